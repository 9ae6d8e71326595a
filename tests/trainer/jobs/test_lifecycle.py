"""Every pair of status and event, not only the happy path."""

from __future__ import annotations

import pytest

from sdk.errors import Conflict
from sdk.spec.training import JobStatus
from trainer.jobs.lifecycle import TRANSITIONS, JobEvent, advance

PAIRS = [(status, event) for status in JobStatus for event in JobEvent]
ENDED = {JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}


class TestAdvance:
    @pytest.mark.parametrize(("status", "event"), PAIRS)
    def test_follows_the_table_and_refuses_the_rest(self, status: JobStatus, event: JobEvent) -> None:
        if (status, event) in TRANSITIONS:
            assert advance(status, event) is TRANSITIONS[status, event]
        else:
            with pytest.raises(Conflict, match=f"{status.value} cannot {event.value}"):
                advance(status, event)

    def test_nothing_leads_out_of_an_end(self) -> None:
        assert not [pair for pair in TRANSITIONS if pair[0] in ENDED]

    def test_every_end_can_be_reached(self) -> None:
        assert set(TRANSITIONS.values()) >= ENDED

    def test_a_running_job_is_never_claimed_again(self) -> None:
        with pytest.raises(Conflict):
            advance(JobStatus.RUNNING, JobEvent.CLAIM)
