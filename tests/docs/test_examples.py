"""The example records say what they are: each is read as the registry reads it, and those of a person are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.spec.canonical import parse_wire
from sdk.spec.dpv import missing_fields
from sdk.spec.terms import ConsentRecord, LicenceGrant

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class TestRecords:
    @pytest.mark.parametrize("path", sorted(EXAMPLES.glob("consent*.json")), ids=lambda path: path.name)
    def test_consents_are_read(self, path: Path) -> None:
        assert parse_wire(ConsentRecord, path.read_bytes(), path.name).covers

    @pytest.mark.parametrize("path", sorted(EXAMPLES.glob("licence*.json")), ids=lambda path: path.name)
    def test_licences_are_read(self, path: Path) -> None:
        assert parse_wire(LicenceGrant, path.read_bytes(), path.name).covers

    def test_the_consent_of_a_person_states_all_that_the_standard_asks_for(self) -> None:
        path = EXAMPLES / "consent-person.json"
        assert missing_fields(parse_wire(ConsentRecord, path.read_bytes(), path.name)) == ()
