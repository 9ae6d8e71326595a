"""Registries made ready once and copied for each test: a copy is a database of its own, made in hundredths of a second.

    with open_registry(server) as opened, After(opened) as after:   # the log is open, everybody has a credential
        with after(submit_a_fox).copy() as registry:                # and what `submit_a_fox(registry)` did to it
            ...                                                     # for one test, which may do to it what it likes
        after(submit_a_fox).made                                    # what `submit_a_fox` returned; it ran once

Copies have the same ids and credentials, and nothing else in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from support.database import DatabaseServer
from support.registry import RegistryUnderTest, Snapshot, make_test_registry

Made = TypeVar("Made")
Next = TypeVar("Next")


@dataclass(frozen=True, kw_only=True)
class Prepared(Generic[Made]):
    """A registry at rest: nobody is connected to its database, which is only copied."""

    server: DatabaseServer
    database_url: str
    snapshot: Snapshot
    made: Made

    @contextmanager
    def copy(self) -> Iterator[RegistryUnderTest]:
        """The registry as it stood, for one test."""
        with self.server.fresh_database(like=self.database_url) as url:
            with make_test_registry(url, snapshot=self.snapshot) as registry:
                yield registry

    @contextmanager
    def further(self, act: Callable[[RegistryUnderTest], Next]) -> Iterator[Prepared[Next]]:
        """The registry after `act`."""
        with self.server.fresh_database(like=self.database_url) as url:
            with make_test_registry(url, snapshot=self.snapshot) as registry:
                made = act(registry)
                snapshot = registry.snapshot()
            yield Prepared(server=self.server, database_url=url, snapshot=snapshot, made=made)


@contextmanager
def open_registry(server: DatabaseServer) -> Iterator[Prepared[None]]:
    """A registry as it is right after it was set up."""
    with server.fresh_database() as url:
        with make_test_registry(url) as registry:
            snapshot = registry.snapshot()
        yield Prepared(server=server, database_url=url, snapshot=snapshot, made=None)


class After(ExitStack):
    """`after(act)` is the registry after `act`, which is done once while this is open."""

    def __init__(self, opened: Prepared[None]) -> None:
        super().__init__()
        self._opened = opened
        self._made: dict[Callable[[RegistryUnderTest], Any], Prepared[Any]] = {}

    def __call__(self, act: Callable[[RegistryUnderTest], Next]) -> Prepared[Next]:
        if act not in self._made:
            self._made[act] = self.enter_context(self._opened.further(act))
        return self._made[act]
