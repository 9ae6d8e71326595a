"""Where a render stands and the only ways on. The table is the rule; the database repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from sdk.errors import Conflict
from sdk.spec.rendering import RenderStatus


class RenderEvent(StrEnum):
    """Everything that happens to a render."""

    CLAIM = "claim"  # a worker starts an attempt; the attempt number is the fencing token
    FINISH = "finish"  # every image is drawn
    FAIL = "fail"  # an error that another attempt would meet again, or the grant is over
    END = "end"  # the application has what it wanted


TRANSITIONS: Final[Mapping[tuple[RenderStatus, RenderEvent], RenderStatus]] = {
    (RenderStatus.QUEUED, RenderEvent.CLAIM): RenderStatus.RUNNING,
    (RenderStatus.QUEUED, RenderEvent.FAIL): RenderStatus.FAILED,
    (RenderStatus.RUNNING, RenderEvent.CLAIM): RenderStatus.RUNNING,  # the attempt before died or met an outage
    (RenderStatus.RUNNING, RenderEvent.FINISH): RenderStatus.DONE,
    (RenderStatus.RUNNING, RenderEvent.FAIL): RenderStatus.FAILED,
    (RenderStatus.QUEUED, RenderEvent.END): RenderStatus.ENDED,
    (RenderStatus.RUNNING, RenderEvent.END): RenderStatus.ENDED,
    (RenderStatus.DONE, RenderEvent.END): RenderStatus.ENDED,
    (RenderStatus.FAILED, RenderEvent.END): RenderStatus.ENDED,
    (RenderStatus.ENDED, RenderEvent.END): RenderStatus.ENDED,
}


def advance(status: RenderStatus, event: RenderEvent) -> RenderStatus:
    """Return the next status.

    Raises:
        Conflict: `event` cannot happen to a render that is `status`.
    """
    try:
        return TRANSITIONS[status, event]
    except KeyError as exc:
        raise Conflict(f"the render is {status.value}; {event.value} cannot happen to it any more") from exc
