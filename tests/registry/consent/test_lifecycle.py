"""Tests of registry.consent.lifecycle: every pair of the table, and what the clock brings."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from itertools import product

import pytest
from support.governed import NOW, consent_record, use_terms

from registry.consent.lifecycle import TRANSITIONS, Happened, advance, confirmed_on, status_at
from sdk.errors import Conflict
from sdk.spec.consent_events import MAY_CONFIRM, SPEAKS_NO_MORE, ConsentEvent, LifeEvent, may_confirm
from sdk.spec.terms import AgeClass, Capacity, ConsentEvidence, ConsentStatus

TODAY = NOW.date()
END = NOW + timedelta(days=365)
GUARDED = {"age_class": AgeClass.MINOR, "expressed_as": Capacity.GUARDIAN, "terms": use_terms(valid_until=END)}


def asked() -> Happened:
    return Happened(event=ConsentEvent.ASK)


def confirmed(day: date) -> Happened:
    return Happened(event=ConsentEvent.RECONFIRM, expressed_on=day)


class TestTable:
    @pytest.mark.parametrize(("status", "event"), list(product(ConsentStatus, ConsentEvent)))
    def test_every_pair_leads_somewhere_or_is_refused(self, status: ConsentStatus, event: ConsentEvent) -> None:
        if (status, event) in TRANSITIONS:
            assert advance(status, event, "con") is TRANSITIONS[status, event]
        else:
            with pytest.raises(Conflict, match=f"con is {status.value}, so {event.value} is not possible"):
                advance(status, event, "con")

    @pytest.mark.parametrize("status", [ConsentStatus.WITHDRAWN, ConsentStatus.REFUSED])
    def test_what_was_ended_stays_so(self, status: ConsentStatus) -> None:
        assert not any(start is status for start, _ in TRANSITIONS)

    def test_whatever_counts_can_be_withdrawn(self) -> None:
        open_ = (ConsentStatus.GIVEN, ConsentStatus.RECONFIRMATION_DUE, ConsentStatus.EXPIRED)
        assert all(TRANSITIONS[status, ConsentEvent.WITHDRAW] is ConsentStatus.WITHDRAWN for status in open_)


class TestStatus:
    def test_starts_with_the_answer_that_was_given(self) -> None:
        assert status_at(consent_record(), (), NOW) is ConsentStatus.GIVEN
        assert status_at(consent_record(refused=True), (), NOW) is ConsentStatus.REFUSED

    def test_expires_at_the_end_of_the_term_and_not_before(self) -> None:
        record = consent_record(terms=use_terms(valid_until=END))
        assert status_at(record, (), END - timedelta(seconds=1)) is ConsentStatus.GIVEN
        assert status_at(record, (), END) is ConsentStatus.EXPIRED

    def test_a_life_event_holds_until_it_is_answered(self) -> None:
        assert status_at(consent_record(), (asked(),), NOW) is ConsentStatus.RECONFIRMATION_DUE
        assert status_at(consent_record(), (asked(), confirmed(TODAY)), NOW) is ConsentStatus.GIVEN
        assert status_at(consent_record(), (asked(), Happened(event=ConsentEvent.REFUSE)), NOW) is ConsentStatus.REFUSED

    def test_is_due_from_the_day_on_which_a_minor_comes_of_age_anywhere(self) -> None:
        record = consent_record(of_age_on=date(2027, 3, 1), **GUARDED)
        first = datetime.fromisoformat("2027-02-28T10:00:00+00:00")  # 1 March in Kiritimati
        assert status_at(record, (), first - timedelta(seconds=1)) is ConsentStatus.GIVEN
        assert status_at(record, (), first) is ConsentStatus.RECONFIRMATION_DUE

    def test_is_due_from_one_moment_in_whatever_zone_it_is_written(self) -> None:
        record = consent_record(of_age_on=date(2027, 3, 1), **GUARDED)
        for hours in (-12, -8, 0, 9, 14):
            zone = timezone(timedelta(hours=hours))
            moments = (record.of_age_at - timedelta(seconds=1), record.of_age_at)  # type: ignore[operator]
            assert [record.of_age_unconfirmed(None, at.astimezone(zone)) for at in moments] == [False, True]  # type: ignore[union-attr]

    def test_only_what_is_said_of_age_confirms_it(self) -> None:
        record = consent_record(of_age_on=date(2027, 3, 1), **GUARDED)
        later = NOW + timedelta(days=200)
        assert status_at(record, (confirmed(date(2027, 2, 28)),), later) is ConsentStatus.RECONFIRMATION_DUE
        assert status_at(record, (confirmed(date(2027, 3, 1)),), later) is ConsentStatus.GIVEN

    def test_a_client_finds_the_same_without_the_registry(self) -> None:
        record = consent_record(of_age_on=date(2027, 3, 1), **GUARDED)
        held = ConsentEvidence(
            id="con_" + "a" * 26, digest="sha256:" + "0" * 64, record=record, status=ConsentStatus.GIVEN
        )
        later = NOW + timedelta(days=200)
        assert (held.live_at(NOW), held.live_at(later)) == (True, False)
        assert held.model_copy(update={"confirmed_on": date(2027, 3, 2)}).live_at(later)

    def test_the_last_confirmation_counts(self) -> None:
        assert confirmed_on((confirmed(TODAY), asked(), confirmed(TODAY + timedelta(days=3)))) == TODAY + timedelta(
            days=3
        )
        assert confirmed_on((asked(),)) is None


class TestWhoMayConfirm:
    def test_is_said_for_every_life_event(self) -> None:
        assert set(MAY_CONFIRM) == set(SPEAKS_NO_MORE) == set(LifeEvent)

    @pytest.mark.parametrize(
        ("happened", "allowed"),
        [
            ((), set(Capacity)),
            ((LifeEvent.OF_AGE,), {Capacity.SELF, Capacity.AGENT}),
            ((LifeEvent.DIED,), {Capacity.ESTATE}),
            ((LifeEvent.OF_AGE, LifeEvent.AGENT_CHANGED), {Capacity.SELF, Capacity.AGENT, Capacity.ESTATE}),
            ((LifeEvent.DIED, LifeEvent.AGENT_CHANGED), {Capacity.ESTATE}),
            ((LifeEvent.OF_AGE, LifeEvent.GUARDIAN_CHANGED), set()),
        ],
    )
    def test_neither_the_dead_nor_guardians_of_adults(
        self, happened: tuple[LifeEvent, ...], allowed: set[Capacity]
    ) -> None:
        assert may_confirm(happened) == allowed
