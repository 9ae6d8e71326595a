"""The catalogue: every word of a closed set, both languages, nothing unused, nothing that templates ask for missing."""

from __future__ import annotations

import re
import string
from enum import StrEnum

import pytest
from support.governed import make_manifest

from registry.approvals.tables import Verdict
from registry.console.changes import Change, Standing, changes_between
from registry.console.language import Language
from registry.console.origins import Recognised
from registry.console.pages import HERE
from registry.console.words import WORDS, say
from sdk.credentials.read import CredentialState
from sdk.spec.bundle import VersionStatus
from sdk.spec.consent_events import ConsentEvent, LifeEvent
from sdk.spec.denials import DeniedAct
from sdk.spec.identify import Confidence
from sdk.spec.manifest import ConceptKind, ConceptManifest
from sdk.spec.policy import Effect
from sdk.spec.reminders import ReminderKind
from sdk.spec.renewal import RenewalStatus
from sdk.spec.royalty import RoyaltyPeriod
from sdk.spec.terms import (
    AgeClass,
    Alteration,
    Capacity,
    ConsentStatus,
    Expression,
    LegalBasis,
    Medium,
    Sublicensing,
    VitalStatus,
)

CLOSED: dict[str, type[StrEnum]] = {
    "status": VersionStatus,
    "kind": ConceptKind,
    "age": AgeClass,
    "capacity": Capacity,
    "consent-status": ConsentStatus,
    "effect": Effect,
    "royalty-period": RoyaltyPeriod,
    "consent-event": ConsentEvent,
    "life-event": LifeEvent,
    "vital-status": VitalStatus,
    "expression": Expression,
    "legal-basis": LegalBasis,
    "medium": Medium,
    "sublicensing": Sublicensing,
    "alteration": Alteration,
    "reminder": ReminderKind,
    "language": Language,
    "act": Verdict,
    "denied-act": DeniedAct,
    "renewal-status": RenewalStatus,
    "likeness": Recognised,
    "belief": CredentialState,
    "confidence": Confidence,
}
SOURCES = [*sorted((HERE / "templates").glob("*.html")), HERE / "view.py", HERE / "changes.py"]
ASKED = {key for path in SOURCES for key in re.findall(r'["\']([a-z]+(?:[.-][a-z-]+)*)["\']', path.read_text())}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


class TestWords:
    @pytest.mark.parametrize("key", sorted(WORDS))
    def test_say_the_same_with_the_same_gaps(self, key: str) -> None:
        english, japanese = WORDS[key]
        assert english.strip()
        assert japanese.strip()
        assert fields(english) == fields(japanese)

    @pytest.mark.parametrize(("prefix", "members"), CLOSED.items())
    def test_name_every_member_of_a_closed_set(self, prefix: str, members: type[StrEnum]) -> None:
        assert [member for member in members if f"{prefix}.{member.value}" not in WORDS] == []

    def test_are_all_asked_for(self) -> None:
        closed = {f"{prefix}.{member.value}" for prefix, members in CLOSED.items() for member in members}
        changes = {key for key in WORDS if key.startswith("change.") and key.removeprefix("change.") in ASKED}
        assert sorted(WORDS.keys() - ASKED - closed - changes - {"act.revoke"}) == []

    def test_everything_that_templates_say_is_there(self) -> None:
        said = {
            key
            for path in (HERE / "templates").glob("*.html")
            for key in re.findall(r'\bt\("([a-z.-]+)"[,)]', path.read_text())
        }
        assert said - WORDS.keys() == set()

    def test_a_missing_word_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            say("no.such.word", Language.JAPANESE)


def standing(manifest: ConceptManifest) -> Standing:
    return Standing(manifest=manifest, consents=manifest.consents, licences=manifest.licences)


class TestChanges:
    def test_nothing_changed_between_a_manifest_and_itself(self) -> None:
        assert changes_between(standing(make_manifest()), standing(make_manifest())) == ()

    def test_names_what_came_and_what_went(self) -> None:
        before, after = make_manifest(b"one"), make_manifest(b"two")
        (change,) = changes_between(standing(before), standing(after))
        old, new = before.artefacts[0], after.artefacts[0]
        assert change == Change(what="files", before=(f"{old.name} {old.digest}",), after=(f"{new.name} {new.digest}",))
        training = before.training.model_copy(update={"rounds": 9})
        found = changes_between(standing(before), standing(before.model_copy(update={"training": training})))
        assert found == (Change(what="rounds", before=("4",), after=("9",)),)
        assert all(f"change.{each.what}" in WORDS for each in found)
