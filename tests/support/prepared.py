"""Registries made ready once and copied for each test: a copy is a database of its own, made in hundredths of a second.

    with open_registry(server) as opened:                       # the log is open, everybody has a credential
        with opened.further(submit_a_fox) as ready:             # and what `submit_a_fox(registry)` did to it
            with ready.copy() as registry:                      # for one test, which may do to it what it likes
                ready.made                                      # what `submit_a_fox` returned

Copies have the same ids and credentials, and nothing else in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

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
