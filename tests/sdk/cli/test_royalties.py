"""`imprimatur royalties`: a ledger from a real registry, verified without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.asgi import AsgiTransport
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import Steps, accepted
from support.workshop import Workshop

from registry.log import proofs
from registry.log import service as log
from sdk.cli.application import run
from sdk.client import Client
from sdk.royalties.ledger import encode_page
from sdk.signing.trust import sign_trust_root
from sdk.spec.canonical import parse_wire
from sdk.spec.envelope import encode_envelope
from sdk.spec.ledger import LedgerPage, LedgerQuery
from sdk.spec.royalty import RoyaltyTerms
from sdk.spec.royalty_report import RoyaltyQuery, RoyaltyReport


@pytest.fixture
def served(auditor: Workshop, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch) -> RegistryUnderTest:
    """The command speaks to a real registry, as its auditor; the fox was used twice, recorded once."""
    carrier = AsgiTransport(registry.app)
    monkeypatch.setattr(
        "sdk.cli.connection.connect", lambda _: Client(BASE_URL, registry.credentials["auditor"], transport=carrier)
    )
    monkeypatch.setattr("sdk.cli.royalties.open_log", lambda address: Client(address, "none", transport=carrier))
    for module in ("royalties", "audit"):
        monkeypatch.setattr(f"sdk.cli.{module}.now", lambda: registry.clock.now)
    steps = Steps(registry)
    owed = RoyaltyTerms(currency="EUR", per_image="0.125", minimum_guarantee="3.00", period="month")
    licence = steps.licence(steps.concept(), royalty=owed)["id"]
    fox = steps.approved(licences=(licence,))
    grant = accepted(steps.compose(fox, key="a" * 16))
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], fox)))
    accepted(steps.compose(fox, key="b" * 16, count=5))
    registry.clock.advance(days=40)
    return registry


@pytest.fixture
def trust_root(served: RegistryUnderTest, tmp_path: Path) -> str:
    path = tmp_path / "given-trust-root.json"
    path.write_bytes(encode_envelope(sign_trust_root(served.runtime.trust_root, served.keys["root"])))
    return str(path)


@pytest.fixture
def ledger(served: RegistryUnderTest, tmp_path: Path) -> Path:
    path = tmp_path / "ledger.jsonl"
    assert run(["royalties", "export", "--out", str(path)]) == 0
    return path


class TestExport:
    def test_says_how_many_receipts_there_are(
        self, served: RegistryUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["royalties", "export", "--out", str(tmp_path / "l.jsonl"), "--until", "2026-06-15"]) == 0
        out = capsys.readouterr().out
        assert f"2 receipts in {tmp_path / 'l.jsonl'}" in out
        assert "digest sha256:" in out

    def test_never_writes_over_a_file(self, ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["royalties", "export", "--out", str(ledger)]) == 1
        assert "already" in capsys.readouterr().err


class TestVerify:
    def test_needs_no_registry_and_says_what_is_proven(
        self, ledger: Path, trust_root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("IMPRIMATUR_PROFILE")
        monkeypatch.setattr("sdk.cli.connection.connect", None)
        assert run(["royalties", "verify", str(ledger), "--trust-root", trust_root]) == 0
        out = capsys.readouterr().out
        assert "1 generations with 2 images are proven" in out
        assert "1 more, of 5 images granted, have no result yet" in out

    def test_with_the_log_knows_that_nothing_is_left_out(
        self, ledger: Path, trust_root: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        told = ["royalties", "verify", str(ledger), "--trust-root", trust_root, "--log", BASE_URL]
        assert run(told) == 0
        assert "the log records no other" in capsys.readouterr().out

    def test_names_what_was_left_out(
        self, served: RegistryUnderTest, ledger: Path, trust_root: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = parse_wire(LedgerPage, ledger.read_bytes().strip(), "page")
        with served.runtime.transaction() as session:
            proof = proofs.prove_all(session, [page.receipts[1].permit.index], log.tree_size(session))
        short = page.model_copy(update={"receipts": page.receipts[1:], "proof": proof})
        ledger.write_bytes(encode_page(short))
        told = ["royalties", "verify", str(ledger), "--trust-root", trust_root]
        assert run(told) == 0, "offline, nobody can know"
        assert run([*told, "--log", BASE_URL]) == 1
        assert "records its result, but the ledger has no receipt of it that holds" in capsys.readouterr().out

    def test_a_damaged_ledger_fails(self, ledger: Path, trust_root: str, capsys: pytest.CaptureFixture[str]) -> None:
        content = ledger.read_bytes()
        ledger.write_bytes(content + content)
        assert run(["royalties", "verify", str(ledger), "--trust-root", trust_root]) == 1
        told = capsys.readouterr()
        assert "finding: gen_" in told.out
        assert "a second receipt of it is on page 2; it counts once" in told.out
        assert "do not hold or are missing" in told.err


def rows(out: str) -> list[list[str]]:
    return [[word for word in line.strip("│ ").split() if word != "│"] for line in out.splitlines()]


JUNE = ["2026-06-01", "to", "2026-07-01", "1", "2", "0.250", "3.00", "3.00"]


class TestCompute:
    def test_says_what_is_due_from_the_file_alone(
        self,
        ledger: Path,
        trust_root: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.delenv("IMPRIMATUR_PROFILE")
        monkeypatch.setattr("sdk.cli.connection.connect", None)
        told = ["royalties", "compute", str(ledger), "--trust-root", trust_root, "--out", str(tmp_path / "report.json")]
        assert run(told) == 0
        out = capsys.readouterr().out
        assert JUNE in rows(out)
        assert ["total", "1", "2", "6.00"] in rows(out)  # May and June; July is not over
        assert "1 generations of 5 images granted have no result, and earn nothing" in out
        assert parse_wire(RoyaltyReport, (tmp_path / "report.json").read_bytes(), "report").accounts[0].due == "6.00"

    def test_counts_no_receipt_that_does_not_hold_and_fails(
        self, ledger: Path, trust_root: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = parse_wire(LedgerPage, ledger.read_bytes().strip(), "page")
        spoilt = page.receipts[0].model_copy(update={"statement": None})
        ledger.write_bytes(encode_page(page.model_copy(update={"receipts": (spoilt, page.receipts[1])})))
        assert run(["royalties", "compute", str(ledger), "--trust-root", trust_root]) == 1
        told = capsys.readouterr()
        assert ["total", "0", "0", "6.00"] in rows(told.out)
        assert "statement that its result names is missing" in told.out


class TestStatement:
    def test_is_written_for_people_and_for_spreadsheets(
        self, ledger: Path, trust_root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = parse_wire(LedgerPage, ledger.read_bytes().strip(), "page")
        told = ["royalties", "statement", str(ledger), "--trust-root", trust_root, "--licence", page.licences[0].id]
        for name in ("statement.pdf", "statement.csv"):
            assert run([*told, "--out", str(tmp_path / name)]) == 0
        assert "holder-0001: EUR 6.00" in capsys.readouterr().out
        assert (tmp_path / "statement.pdf").read_bytes().startswith(b"%PDF")
        assert (tmp_path / "statement.csv").read_bytes().startswith(b"row,starts")
        assert run([*told, "--out", str(tmp_path / "statement.doc")]) == 1
        assert "a statement is a .pdf or a .csv" in capsys.readouterr().err


class TestReport:
    def test_shows_the_registrys_claim(self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["royalties", "report", "--since", "2026-06-01", "--until", "2026-07-01"]) == 0
        assert JUNE in rows(capsys.readouterr().out)


class TestAudit:
    @pytest.fixture(autouse=True)
    def trusted(self, auditor: Workshop, trust_root: str) -> None:
        auditor.profile.trust_root.write_bytes(Path(trust_root).read_bytes())

    def test_agrees_with_an_honest_registry(
        self, served: RegistryUnderTest, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["audit", "royalties"]) == 0
        assert "the receipts come to the same" in capsys.readouterr().out

    def test_names_what_the_registry_reports_otherwise(
        self, served: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        honest = Client.royalties

        def lying(client: Client, query: RoyaltyQuery) -> RoyaltyReport:
            report = honest(client, query)
            less = report.accounts[0].model_copy(update={"due": "1.00"})
            return report.model_copy(update={"accounts": (less,)})

        monkeypatch.setattr(Client, "royalties", lying)
        assert run(["audit", "royalties"]) == 1
        told = capsys.readouterr()
        assert "the report says EUR 1.00; the receipts say EUR 6.00" in told.out
        assert "1 findings" in told.err

    def test_names_a_receipt_that_the_registry_holds_back(
        self, served: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        honest = Client.ledger_pages

        def hiding(client: Client, query: LedgerQuery) -> Iterator[LedgerPage]:
            (page,) = honest(client, query)
            hidden = page.receipts[0].model_copy(update={"result": None, "statement": None})
            kept = (hidden, page.receipts[1])
            with served.runtime.transaction() as session:
                proof = proofs.prove_all(session, [each.permit.index for each in kept], log.tree_size(session))
            yield page.model_copy(update={"receipts": kept, "proof": proof})

        monkeypatch.setattr(Client, "ledger_pages", hiding)
        assert run(["audit", "royalties"]) == 1
        assert "records its result, but the ledger has no receipt of it that holds" in capsys.readouterr().out
