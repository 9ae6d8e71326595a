"""The transition table of renders: every pair."""

from __future__ import annotations

import itertools

import pytest

from sdk.errors import Conflict
from sdk.spec.rendering import RenderStatus
from trainer.rendering.lifecycle import TRANSITIONS, RenderEvent, advance


@pytest.mark.parametrize(("status", "event"), list(itertools.product(RenderStatus, RenderEvent)))
def test_what_is_not_in_the_table_cannot_happen(status: RenderStatus, event: RenderEvent) -> None:
    if (status, event) in TRANSITIONS:
        assert advance(status, event) is TRANSITIONS[status, event]
    else:
        with pytest.raises(Conflict, match=status.value):
            advance(status, event)


def test_what_has_ended_never_comes_back() -> None:
    assert {TRANSITIONS.get((RenderStatus.ENDED, event), RenderStatus.ENDED) for event in RenderEvent} == {
        RenderStatus.ENDED
    }
    assert (RenderStatus.DONE, RenderEvent.CLAIM) not in TRANSITIONS
