"""Tests of registry.versions.lifecycle: every pair, and that the database says the same."""

from __future__ import annotations

from itertools import product
from types import ModuleType

import pytest
from alembic.script import ScriptDirectory

from registry.approvals.tables import Verdict
from registry.db import MIGRATIONS
from registry.versions.lifecycle import FINAL, STORED, TRANSITIONS, VersionEvent, advance, status_at
from sdk.errors import Conflict
from sdk.spec.bundle import VersionStatus
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import Effect

S, E = VersionStatus, VersionEvent
ALLOWED = {
    (S.DRAFT, E.SUBMIT): S.SUBMITTED,
    (S.SUBMITTED, E.ENDORSE): S.IN_REVIEW,
    (S.SUBMITTED, E.APPROVE): S.APPROVED,
    (S.SUBMITTED, E.REJECT): S.REJECTED,
    (S.IN_REVIEW, E.ENDORSE): S.IN_REVIEW,
    (S.IN_REVIEW, E.APPROVE): S.APPROVED,
    (S.IN_REVIEW, E.REJECT): S.REJECTED,
    (S.APPROVED, E.SUPERSEDE): S.SUPERSEDED,
    (S.APPROVED, E.SUSPEND): S.SUSPENDED,
    (S.APPROVED, E.REVOKE): S.REVOKED,
    (S.SUSPENDED, E.REINSTATE): S.APPROVED,
    (S.SUSPENDED, E.REVOKE): S.REVOKED,
}


class TestAdvance:
    @pytest.mark.parametrize(("status", "event"), list(product(VersionStatus, VersionEvent)))
    def test_every_pair(self, status: VersionStatus, event: VersionEvent) -> None:
        if after := ALLOWED.get((status, event)):
            assert advance(status, event, "demo/fox@1") is after
        else:
            with pytest.raises(Conflict, match=f"demo/fox@1 is {status.value}, so {event.value} is not possible"):
                advance(status, event, "demo/fox@1")

    def test_final_statuses_are_those_that_the_vocabulary_calls_terminal(self) -> None:
        assert set(FINAL) == {S.REJECTED, S.SUPERSEDED, S.REVOKED}

    def test_every_stored_status_is_reached(self) -> None:
        assert {S.DRAFT, *TRANSITIONS.values()} == set(STORED)


class TestStatusAt:
    @pytest.mark.parametrize("stored", STORED)
    def test_only_an_approved_version_expires(self, stored: VersionStatus) -> None:
        assert status_at(stored, term_is_over=False) is stored
        assert status_at(stored, term_is_over=True) is (S.EXPIRED if stored is S.APPROVED else stored)


class TestMigrationsSayTheSame:
    @staticmethod
    def migration(revision: str) -> ModuleType:
        found: ModuleType = ScriptDirectory(str(MIGRATIONS)).get_revision(revision).module
        return found

    def test_statuses(self) -> None:
        module = self.migration("0017")
        assert set(module.STATUSES) == {status.value for status in STORED}
        assert set(module.FINAL) == {status.value for status in FINAL}

    def test_transitions(self) -> None:
        steps = {(before.value, after.value) for (before, _), after in TRANSITIONS.items()}
        assert set(self.migration("0017").STEPS) == steps

    def test_kinds_verdicts_and_effects(self) -> None:
        assert set(self.migration("0003").KINDS) == {kind.value for kind in ConceptKind}
        assert set(self.migration("0006").VERDICTS) == {verdict.value for verdict in Verdict}
        assert set(self.migration("0007").EFFECTS) == {effect.value for effect in Effect}
