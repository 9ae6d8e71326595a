"""`imprimatur renewal`: the owner asks, reviewers read, sign or reject, against the real registry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.command_line import CommandLine
from support.database import DatabaseServer
from support.registry import SettableClock, make_test_registry
from support.renewal import new_records
from support.versions import FOX, Steps, accepted


def test_a_version_is_renewed(
    postgres_server: DatabaseServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    with (
        postgres_server.fresh_database() as url,
        make_test_registry(url, clock=SettableClock(datetime.now(UTC))) as made,
    ):
        imprimatur, steps = CommandLine(made, monkeypatch, capsys, tmp_path), Steps(made)
        version = steps.approved()
        records = new_records(steps, version)
        consent, licence = records["consents"][0], records["licences"][0]
        ask = ("renewal", "ask", version.name)
        assert "these very records already" in imprimatur.refused("owner", *ask)
        assert f"does not rest on consent {consent}" in imprimatur.refused(
            "owner", *ask, "--consent", f"{consent}={consent}"
        )
        told = imprimatur("owner", *ask, "--licence", licence)
        assert "renewal 1 of demo/fox@1 is waiting (0 of 1 approvals)" in told
        told = imprimatur("owner", *ask, "--licence", licence, "--consent", f"{version.consent}={consent}")
        assert "renewal 2 of demo/fox@1 is waiting" in told
        assert "renewals that wait as well: 1" in imprimatur("reviewer", "review", "queue")
        shown = imprimatur("reviewer", "renewal", "show", version.name)
        assert "asked for by demo/owner, wait for reviewers" in shown
        assert f"consent {consent} is given" in shown
        wrong = ("renewal", "approve", version.name, "--terms", str(version.terms))
        assert "look again before you sign" in imprimatur.refused("reviewer", *wrong)
        imprimatur("reviewer", "renewal", "reject", version.name, "--reason", "too long")
        assert "no renewal of demo/fox@1 waits" in imprimatur.refused("reviewer", "renewal", "show", version.name)
        imprimatur("owner", *ask, "--licence", licence, "--consent", consent)
        signed = imprimatur("reviewer", "renewal", "approve", version.name, "--comment", "prolonged")
        assert "renewal 3 of demo/fox@1 is approved (1 of 1 approvals), and its terms hold from" in signed
        listed = imprimatur("auditor", "renewal", "list", version.name)
        assert [word for word in ("replaced", "rejected", "approved") if word in listed] == [
            "replaced",
            "rejected",
            "approved",
        ]
        made.clock.now = datetime.now(UTC)
        assert "every signature, log proof and the status list hold" in imprimatur("reviewer", "show", version.name)
        accepted(steps.compose(version))
        assert "nothing seen before was rewritten" in imprimatur("auditor", "audit", "verify")


def test_of_several_records_it_is_said_which(
    postgres_server: DatabaseServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    with (
        postgres_server.fresh_database() as url,
        make_test_registry(url, clock=SettableClock(datetime.now(UTC))) as made,
    ):
        imprimatur, steps = CommandLine(made, monkeypatch, capsys, tmp_path), Steps(made)
        steps.concept()
        licences = tuple(steps.licence(FOX, rights_holder=name)["id"] for name in ("holder-1", "holder-2"))
        version = steps.approved(licences=licences)
        new = steps.licence(FOX, rights_holder="holder-3")["id"]
        ask = ("renewal", "ask", version.name, "--licence")
        assert "rests on 2 licences; say which one" in imprimatur.refused("owner", *ask, new)
        imprimatur("owner", *ask, f"{licences[1]}={new}")
        (renewal,) = steps.get("owner", "/v1/renewals")["renewals"]
        assert renewal["licences"] == [licences[0], new]
