"""`sdk.acompose`: the compose call for asyncio and trio. The call itself is `sdk.compose.call`, in a worker thread.

There is one compose and no second client to keep in step with it: waiting for a service and for a GPU needs a thread,
not another implementation. Cancelling stops the call before its next step, at the latest before the next denoising
step; what was not recorded is never handed out.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, cast

import anyio
import anyio.from_thread
import anyio.to_thread

from sdk.compose.call import compose
from sdk.compose.values import ComposeProgress, Composition, OnProgress

_Options = ParamSpec("_Options")


class _Cancelled(BaseException):
    """Ends the call in its thread. Nobody waits for that thread any more."""


def _in_thread(call: Callable[_Options, Composition]) -> Callable[_Options, Coroutine[Any, Any, Composition]]:
    """`call` without blocking the event loop, in which its `on_progress` is called."""

    @functools.wraps(call)
    async def run(*args: _Options.args, **options: _Options.kwargs) -> Composition:
        on_progress = cast("OnProgress | None", options.pop("on_progress", None))
        cancelled = threading.Event()

        def report(progress: ComposeProgress) -> None:
            if cancelled.is_set():
                raise _Cancelled
            if on_progress:
                anyio.from_thread.run_sync(on_progress, progress)

        options["on_progress"] = report
        try:
            return await anyio.to_thread.run_sync(functools.partial(call, *args, **options), abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            cancelled.set()
            raise

    return run


acompose = _in_thread(compose)
