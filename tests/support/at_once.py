"""Two acts at once on the real registry: the second has to wait for the first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from sqlalchemy import text
from sqlalchemy.orm import Session
from support.registry import RegistryUnderTest

from sdk.errors import ImprimaturError
from sdk.spec.ids import TenantName


def one_after_the_other(
    registry: RegistryUnderTest, first: Callable[[Session], object], second: Callable[[Session], object]
) -> object:
    """Run `second` while `first` has acted but not committed; return what `second` gave, or the error it raised.

    `second` must come to wait for `first`; the test fails if it gets through.
    """
    with ThreadPoolExecutor(max_workers=1) as threads, ExitStack() as stack:
        stack.enter_context(_acted(registry, first))
        late = threads.submit(_in_transaction, registry, second)
        _wait_until_blocked(registry, late)
        stack.close()
        try:
            return late.result(timeout=20)
        except ImprimaturError as exc:
            return exc


@contextmanager
def _acted(registry: RegistryUnderTest, act: Callable[[Session], object]) -> Iterator[None]:
    with registry.runtime.transaction(TenantName("demo")) as session:
        act(session)
        session.flush()
        yield


def _in_transaction(registry: RegistryUnderTest, act: Callable[[Session], object]) -> object:
    with registry.runtime.transaction(TenantName("demo")) as session:
        return act(session)


def _wait_until_blocked(registry: RegistryUnderTest, late: Future[object]) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        assert not late.done(), f"the second act did not wait: {late}"
        with registry.engine.connect() as connection:
            if connection.scalar(waiting):
                return
        time.sleep(0.01)
    raise AssertionError("the second act neither waited nor ended")
