"""The command line: helps, one-line errors, exit statuses, and each journey against a registry in memory."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
import typer
from support.governed import NOW, World, consent_record, licence_grant, record_id
from support.tiny_backbone import make_backbone_dir
from support.workshop import SCENE, Workshop, make_workshop

from sdk.cli import application
from sdk.cli import application as make_application
from sdk.cli.application import run
from sdk.cli.train import TrainingPlan, follow, make_request, name_missing_concepts, read_plan
from sdk.client import Client
from sdk.credentials.read import verify_credentials
from sdk.errors import ConfigurationError, TrainingInputError
from sdk.signing.trust import TrustRole, verify_role
from sdk.spec.api import ConceptView, JobProgress, JobView, NewConcept, RecordAccepted, TrainingRequest
from sdk.spec.bundle import VersionStatus
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import parse_envelope
from sdk.spec.log_entry import AuditEventType
from sdk.spec.statements import (
    ApprovalPredicate,
    AuditPredicate,
    RejectionPredicate,
    RevocationPredicate,
    parse_predicate,
    parse_statement,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone_dir(tmp_path_factory.mktemp("base") / "sd", "sd")


@pytest.fixture(autouse=True)
def our_commands_in_a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.delenv("IMPRIMATUR_PROFILE", raising=False)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())  # services have tests of their own


def make(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Workshop:
    workshop = make_workshop(tmp_path, name=name, base=base)
    monkeypatch.setattr("sdk.cli.connection.connect", lambda profile: workshop.registry.client())
    for module in ("sdk.cli.connection.now", "sdk.cli.review.now", "sdk.cli.audit.now", "sdk.cli.compose.now"):
        monkeypatch.setattr(module, lambda: NOW)
    monkeypatch.setenv("IMPRIMATUR_PROFILE", str(workshop.profile.path))
    return workshop


@pytest.fixture
def reviewer(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return make(tmp_path, base, monkeypatch, "reviewer")


@pytest.fixture
def auditor(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return make(tmp_path, base, monkeypatch, "auditor")


@pytest.fixture
def app(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return make(tmp_path, base, monkeypatch, "app")


def commands(group: click.Command | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group there is, as typed."""
    group = group or typer.main.get_command(make_application())
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


with pytest.MonkeyPatch.context() as _patch:
    _patch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    PATHS = list(commands())


class TestHelp:
    @pytest.mark.parametrize("path", PATHS, ids=" ".join)
    def test_every_command_says_what_it_does_and_what_it_takes(
        self, path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run([*path, "--help"]) == 0
        assert "Usage: imprimatur" in capsys.readouterr().out
        command: Any = typer.main.get_command(make_application())
        for name in path:
            command = command.commands[name]
        assert (command.help or "").strip().endswith((".", "not.", "ever."))
        assert [p.name for p in command.params if not getattr(p, "help", None)] == []

    def test_our_commands(self) -> None:
        ours = {" ".join(path) for path in PATHS}
        assert ours >= {
            *("whoami", "concept create", "concept list", "consent give", "consent withdraw", "licence grant"),
            *("train", "show", "approve", "reject", "revoke", "compose"),
            *("audit log", "audit verify", "audit generations"),
            *("policy why", "policy test", "policy diff", "policy replay"),
            *("alias set", "alias list", "alias history", "alias remove"),
        }

    @pytest.mark.parametrize("path", [("whoami",), ("approve",), ("audit", "verify"), ("compose",), ("train",)])
    def test_every_command_takes_a_profile(self, path: tuple[str, ...]) -> None:
        command: Any = typer.main.get_command(make_application())
        for name in path:
            command = command.commands[name]
        assert "profile" in {parameter.name for parameter in command.params}


class TestErrors:
    def test_an_error_is_one_line_that_says_what_to_do(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["whoami", "--profile", str(tmp_path / "none.toml")]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("error: no profile can be read")
        assert shown.err.count("\n") == 1
        assert "imprimatur init" in shown.err

    def test_debug_shows_where_it_came_from(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError):
            run(["--debug", "whoami", "--profile", str(tmp_path / "none.toml")])

    def test_wrong_calls_are_status_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["no-such-command"]) == 2
        assert run(["approve"]) == 2
        assert "Traceback" not in capsys.readouterr().err

    def test_the_unexpected_is_one_line_too(
        self, app: Workshop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken(_profile: object) -> Client:
            raise ZeroDivisionError("oh\nno")

        monkeypatch.setattr("sdk.cli.connection.connect", broken)
        assert run(["whoami"]) == 1
        err = capsys.readouterr().err
        assert "unexpected ZeroDivisionError: oh no; run again with --debug" in err
        assert err.count("\n") == 1

    def test_interruption(self, monkeypatch: pytest.MonkeyPatch, app: Workshop) -> None:
        def interrupted(_profile: object) -> Client:
            raise KeyboardInterrupt

        monkeypatch.setattr("sdk.cli.connection.connect", interrupted)
        assert run(["whoami"]) == 130


class FakePoint:
    """An entry point of a service."""

    def __init__(self, name: str, loads: object) -> None:
        self.name, self._loads = name, loads

    def load(self) -> object:
        if isinstance(self._loads, Exception):
            raise self._loads
        return self._loads


class TestContributedCommands:
    def use(self, monkeypatch: pytest.MonkeyPatch, *points: FakePoint) -> None:
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: points)

    def test_appear_at_the_top(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        added, group = typer.Typer(), typer.Typer()
        added.command("init")(lambda: print("made"))
        group.command("serve")(lambda: print("served"))
        added.add_typer(group, name="registry")
        self.use(monkeypatch, FakePoint("registry", added))
        assert run(["init"]) == 0
        assert run(["registry", "serve"]) == 0
        assert capsys.readouterr().out.split() == ["made", "served"]

    def test_a_service_that_is_not_installed_is_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.use(monkeypatch, FakePoint("registry", ModuleNotFoundError("no", name="sqlalchemy.orm")))
        assert run(["--help"]) == 0

    def test_a_service_that_is_broken_is_not_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.use(monkeypatch, FakePoint("registry", ModuleNotFoundError("no", name="registry.gone")))
        assert run(["whoami"]) == 1


class TestReview:
    def signed(self, workshop: Workshop) -> Any:
        (envelope,) = workshop.registry.reviews
        assert verify_role(envelope, workshop.registry.trust, TrustRole.APPROVAL) == {"demo/reviewer"}
        statement = parse_statement(envelope.payload, envelope.payload_type)
        world = workshop.registry.worlds["demo/fox"]
        assert [subject.content for subject in statement.subject] == [world.manifest.digest]
        return statement

    def test_approve_signs_the_verified_manifest_and_terms(self, reviewer: Workshop) -> None:
        reviewer.registry.status["demo/fox"] = VersionStatus.SUBMITTED
        assert run(["approve", "demo/fox@1", "--comment", "fine"]) == 0
        predicate = parse_predicate(self.signed(reviewer), ApprovalPredicate)
        assert (predicate.number, predicate.reviewer, predicate.comment) == (1, "demo/reviewer", "fine")
        assert predicate.terms == reviewer.registry.worlds["demo/fox"].terms

    def test_reject_and_revoke(self, reviewer: Workshop) -> None:
        assert run(["reject", "demo/fox@1", "--reason", "blurred"]) == 0
        assert parse_predicate(self.signed(reviewer), RejectionPredicate).reason == "blurred"
        reviewer.registry.reviews.clear()
        assert run(["revoke", "demo/fox@1", "--reason", "harm"]) == 0
        assert parse_predicate(self.signed(reviewer), RevocationPredicate).reason == "harm"

    def test_nothing_is_signed_about_what_does_not_verify(
        self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        world: World = reviewer.registry.worlds["demo/fox"]
        world.attestation = world.attest("app")
        assert run(["approve", "demo/fox@1"]) == 1
        assert "training" in capsys.readouterr().err
        assert reviewer.registry.reviews == []

    def test_show_lists_terms_files_and_approvers(self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["show", "demo/fox@1"]) == 0
        out = capsys.readouterr().out
        for expected in (
            "demo/fox@1 (subject) is approved",
            "advertising",
            "learned_embeds",
            "Approved by demo/reviewer",
        ):
            assert expected in out

    def test_show_says_why_a_version_cannot_be_used(
        self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reviewer.registry.status["demo/fox"] = VersionStatus.SUBMITTED
        assert run(["show", "demo/fox"]) == 0
        assert "Not usable: demo/fox@1 is submitted" in capsys.readouterr().out

    def test_refuses_what_is_no_reference(self, reviewer: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["show", "fox"]) == 1
        assert "acme/fox" in capsys.readouterr().err


class TestComposeCommand:
    OPTIONS = ("--purpose", "advertising", "--territory", "JP", "--channel", "web", "--steps", "2", "--count", "2")

    def test_saves_the_recorded_files(self, app: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "new" / "folder"
        assert run(["compose", "demo/fox", "--scene", SCENE, *self.OPTIONS, "--out", str(out)]) == 0
        saved = sorted(out.iterdir())
        assert [Digest.of(path.read_bytes()) for path in saved] == [i.digest for i in app.registry.results[0].images]
        assert verify_credentials(saved[0].read_bytes(), [app.authority]).use
        assert f"generation {record_id('gen')} is recorded" in capsys.readouterr().out

    def test_a_refusal_is_one_line(self, app: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        options = [*self.OPTIONS, "--territory", "US", "--out", str(tmp_path / "out")]
        assert run(["compose", "demo/fox", "--scene", SCENE, *options]) == 1
        err = capsys.readouterr().err
        assert "compose is refused" in err
        assert err.count("\n") == 1
        assert list((tmp_path / "out").iterdir()) == []

    def test_says_where_it_cannot_write(self, app: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        options = [*self.OPTIONS, "--out", str(app.profile.path / "folder")]
        assert run(["compose", "demo/fox", "--scene", SCENE, *options]) == 1
        assert "cannot be written" in capsys.readouterr().err


class TestAudit:
    def test_log_lists_entries(self, auditor: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["audit", "log"]) == 0
        assert "approval:signed" in capsys.readouterr().out

    def test_verify_writes_a_signed_report(
        self, auditor: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["audit", "verify", "--out", str(tmp_path / "report.json")]) == 0
        assert "every entry is included" in capsys.readouterr().out
        report = parse_envelope((tmp_path / "report.json").read_bytes())
        assert verify_role(report, auditor.registry.trust, TrustRole.AUDIT) == {"demo/auditor"}
        statement = parse_statement(report.payload, report.payload_type)
        assert parse_predicate(statement, AuditPredicate).tree_size == len(auditor.registry.log.contents)

    def test_verify_notices_rewritten_history(self, auditor: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["audit", "verify"]) == 0
        log = auditor.registry.log
        log.contents[1], log.contents[2] = log.contents[2], log.contents[1]
        log.append(AuditEventType.CONCEPT_CREATED, "demo/owl")
        assert run(["audit", "verify"]) == 1
        assert "rewritten" in capsys.readouterr().err

    def test_verify_fails_on_a_finding(self, auditor: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        auditor.registry.log.append(AuditEventType.GENERATION_PERMITTED, record_id("gen", "b"))
        assert run(["audit", "verify"]) == 1
        shown = capsys.readouterr()
        assert "does not list it" in shown.out
        assert "findings" in shown.err

    def test_generations_say_who_and_under_which_approval(
        self, app: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert (
            run(["compose", "demo/fox", "--scene", SCENE, *TestComposeCommand.OPTIONS, "--out", str(tmp_path / "o")])
            == 0
        )
        assert run(["audit", "generations", "--concept", "demo/fox"]) == 0
        out = capsys.readouterr().out
        for expected in (
            "demo/app",
            record_id("gen"),
            "demo/fox@1",
            "demo/reviewer (entry 2, demo/fox@1)",
            "advertising, JP, web",
        ):
            assert expected in out

    def test_whoami(self, app: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["whoami"]) == 0
        assert capsys.readouterr().out == "demo/app at http://registry.test: app\n"


PLAN = """
seed: 3
concepts:
  - {id: demo/fox, kind: subject, class_word: fox, title: The fox}
  - {id: demo/pier, kind: background, class_word: pier, vectors: 2}
pictures:
  - {file: a.png}
  - {file: deep/b.png, concepts: [demo/fox], caption: a fox}
settings: {rounds: 2}
"""


class Studio:
    """A registry and a trainer that accept everything, and remember it."""

    def __init__(self) -> None:
        self.named: list[NewConcept] = []
        self.bodies: list[bytes] = []
        self.pictures: list[bytes] = []
        self.views: list[JobView] = []

    def client(self) -> Client:
        carrier = httpx.MockTransport(self.answer)
        return Client("http://registry.test", "imp_x", trainer_url="http://trainer.test", transport=carrier)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, request.read()
        if path == "/v1/concepts":
            concept = parse_wire(NewConcept, body, "concept")
            self.named.append(concept)
            members = concept.model_dump() | {"owner": "demo/owner", "created_at": NOW}
            return httpx.Response(201, content=encode_canonical(ConceptView(**members)))
        if path.startswith("/v1/concepts/"):
            known = path.endswith("/pier")
            view = ConceptView(id="demo/pier", kind="background", title="Pier", owner="demo/owner", created_at=NOW)
            return httpx.Response(200, content=encode_canonical(view)) if known else httpx.Response(404)
        if path.startswith("/v1/pictures/"):
            self.pictures.append(body)
            return httpx.Response(201)
        if path in ("/v1/consents", "/v1/licences"):
            self.bodies.append(body)
            receipt = World().log.receipt(1)
            accepted = RecordAccepted(id=record_id("con"), digest=Digest.of(body), receipt=receipt)
            return httpx.Response(201, content=encode_canonical(accepted))
        if request.method == "POST":
            self.bodies.append(body)
        return httpx.Response(
            200, content=encode_canonical(self.views.pop(0) if len(self.views) > 1 else self.views[0])
        )


def job(status: str, **members: Any) -> JobView:
    request = TrainingRequest.model_validate(
        {
            "concepts": [
                {
                    "id": "demo/fox",
                    "kind": "subject",
                    "class_word": "fox",
                    "consents": [record_id("con")],
                    "licences": [record_id("lic")],
                }
            ],
            "pictures": [{"name": "a.png", "digest": Digest.of(b"a"), "concepts": ["demo/fox"]}],
        }
    )
    return JobView(
        id=record_id("job"), status=status, requested_by="demo/trainer", request=request, created_at=NOW, **members
    )


@pytest.fixture
def studio(app: Workshop, monkeypatch: pytest.MonkeyPatch) -> Studio:
    made = Studio()
    monkeypatch.setattr("sdk.cli.connection.connect", lambda profile: made.client())
    return made


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.png").write_bytes(b"picture a")
    (tmp_path / "deep/b.png").write_bytes(b"picture b")
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path / "plan.yaml"


class TestTraining:
    def test_uploads_names_and_asks(self, studio: Studio, plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
        progress = JobProgress(phase="m-step", round=1, rounds=2, step=3, steps=10, loss=0.5, eta_seconds=9)
        studio.views = [job("queued"), job("running", progress=progress), job("succeeded", versions=("demo/fox@1",))]
        options = ["--consent", record_id("con"), "--licence", record_id("lic")]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sdk.cli.train.time.sleep", lambda seconds: None)
            assert run(["train", str(plan), *options]) == 0
        assert [concept.id for concept in studio.named] == ["demo/fox"]
        assert studio.pictures == [b"picture a", b"picture b"]
        request = parse_wire(TrainingRequest, studio.bodies[0], "request")
        assert [p.concepts for p in request.pictures] == [("demo/fox", "demo/pier"), ("demo/fox",)]
        assert [c.vectors for c in request.concepts] == [3, 2]
        assert (request.seed, request.settings) == (3, {"rounds": 2})
        assert all(c.consents == (record_id("con"),) and c.licences == (record_id("lic"),) for c in request.concepts)
        assert "demo/fox@1 is submitted" in capsys.readouterr().out

    def test_a_failed_job_is_an_error(self, studio: Studio, plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
        studio.views = [job("failed", error="out of memory")]
        options = ["--consent", record_id("con"), "--licence", record_id("lic")]
        assert run(["train", str(plan), *options]) == 1
        assert "failed: out of memory" in capsys.readouterr().err

    def test_follow_waits_between_looks(self, studio: Studio) -> None:
        studio.views = [job("running"), job("running"), job("cancelled")]
        with studio.client() as client:
            assert follow(client, record_id("job"), poll_seconds=0).status.value == "cancelled"

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("concepts: [", "not YAML"),
            ("concepts: []", "concepts"),
            (PLAN + "colour: red\n", "colour"),
            (PLAN.replace("subject", "thing"), "kind"),
            ("", "training file"),
        ],
    )
    def test_names_what_is_wrong_in_the_file(self, tmp_path: Path, text: str, fault: str) -> None:
        (tmp_path / "plan.yaml").write_text(text)
        with pytest.raises(TrainingInputError, match=fault):
            read_plan(tmp_path / "plan.yaml")

    def test_names_what_cannot_be_trained(self, studio: Studio, plan: Path) -> None:
        wrong = TrainingPlan.model_validate(
            {
                "concepts": [{"id": "demo/fox", "kind": "subject", "class_word": "fox", "vectors": 99}],
                "pictures": [{"file": "a.png"}],
            }
        )
        with studio.client() as client, pytest.raises(TrainingInputError, match="vectors"):
            make_request(client, wrong, plan.parent, [record_id("con")], [record_id("lic")])

    def test_names_only_the_concepts_that_are_missing(self, studio: Studio, plan: Path) -> None:
        with studio.client() as client:
            name_missing_concepts(client, read_plan(plan))
        assert [(c.id, c.title) for c in studio.named] == [("demo/fox", "The fox")]


class TestRecords:
    def test_gives_consent_and_grants_licence_from_files(
        self, studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for command, name, record in (("consent", "give", consent_record()), ("licence", "grant", licence_grant())):
            file = tmp_path / f"{command}.json"
            file.write_text(json.dumps(json.loads(encode_canonical(record)), indent=2))
            assert run([command, name, str(file)]) == 0
        assert studio.bodies == [encode_canonical(consent_record()), encode_canonical(licence_grant())]
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
        assert "concept: id" in capsys.readouterr().err
        assert studio.named == []

    def test_names_a_concept(self, studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["concept", "create", "demo/fox", "--kind", "subject", "--title", "Fox"]) == 0
        assert capsys.readouterr().out == "demo/fox is named (subject: Fox), owned by demo/owner\n"


def test_the_application_is_public() -> None:
    assert isinstance(application(), typer.Typer)
