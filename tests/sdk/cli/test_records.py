"""`imprimatur concept`, `consent`, `licence`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.accepting_services import Studio
from support.governed import consent_record, licence_grant, record_id

from sdk.cli.application import run
from sdk.spec.canonical import encode_canonical


class TestRecords:
    def test_gives_consent_and_grants_licence_from_files(
        self, studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for command, name, record in (("consent", "give", consent_record()), ("licence", "grant", licence_grant())):
            file = tmp_path / f"{command}.json"
            file.write_text(json.dumps(json.loads(encode_canonical(record)), indent=2))
            assert run([command, name, str(file)]) == 0
        given, granted = (json.loads(body) for body in studio.bodies)
        assert len(bytes.fromhex(given.pop("salt"))) == 16  # the log keeps a digest for ever: nobody can guess of what
        assert encode_canonical(given) == encode_canonical(consent_record())
        assert encode_canonical(granted) == encode_canonical(licence_grant())
        assert record_id("con") in capsys.readouterr().out

    @pytest.mark.parametrize("content", ["{", '{"covers": []}'])
    def test_names_the_file_and_the_fault(
        self, studio: Studio, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "consent.json").write_text(content)
        assert run(["consent", "give", str(tmp_path / "consent.json")]) == 1
        assert "consent.json: consent record" in capsys.readouterr().err
        assert studio.bodies == []

    def test_refuses_a_concept_id_that_is_none(self, studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["concept", "create", "fox", "--kind", "subject", "--title", "Fox"]) == 1
        assert "expected a concept id such as 'acme/fox', found 'fox'" in capsys.readouterr().err
        assert studio.named == []

    def test_names_a_concept(self, studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["concept", "create", "demo/fox", "--kind", "subject", "--title", "Fox"]) == 0
        assert capsys.readouterr().out == "demo/fox is named (subject: Fox), owned by demo/owner\n"
