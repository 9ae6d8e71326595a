"""The demo's checks can fail: each step against the real registry with one thing broken, and with nothing broken."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from support.database import DatabaseServer
from support.studio import StudioInProcess, make_studio
from support.tampering import Answer, changed_bytes, changed_json, from_the_log_of, without_rules
from support.tiny_backbone import make_backbone_dir

from examples.demo import steps
from examples.demo.demo import Demo
from examples.demo.stage import DemoFailed, Stage
from examples.demo.story import Story, load_story
from sdk.errors import LogForked, ProofInvalid, SignatureInvalid, VerificationError
from sdk.spec.api import NewConcept

OpenDemo = Callable[..., "InProcess"]


class ShortStory(Story):
    """The example without its further scenes."""

    subject_elsewhere = ()
    place_with_others = ()


@dataclass
class InProcess(Demo):
    """A demo whose studio tests may tamper with."""

    studio: StudioInProcess


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone_dir(tmp_path_factory.mktemp("base") / "sd", "sd")


@pytest.fixture
def submitted(postgres_server: DatabaseServer, tmp_path: Path, base_model: Path) -> Iterator[OpenDemo]:
    """Opens a demo at the point where training has just submitted both concepts; options are those of `make_studio`."""
    with ExitStack() as stack:

        def open_demo(**options: Any) -> InProcess:
            url = stack.enter_context(postgres_server.fresh_database())
            return make_demo(stack.enter_context(make_studio(url, tmp_path, base_model=base_model, **options)))

        yield open_demo


@pytest.fixture
def approved(submitted: OpenDemo) -> OpenDemo:
    """Like `submitted`, and then both versions are approved."""

    def open_demo(**options: Any) -> InProcess:
        demo = submitted(**options)
        for concept in demo.story.concepts:
            demo.must("approve", demo.version(concept), role="reviewer")
        return demo

    return open_demo


@pytest.fixture(scope="module")
def composed(
    postgres_server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory, base_model: Path
) -> Iterator[InProcess]:
    """One demo that has composed, for tests that change nothing in its registry."""
    folder = tmp_path_factory.mktemp("composed")
    with postgres_server.fresh_database() as url, make_studio(url, folder, base_model=base_model) as studio:
        demo = make_demo(studio)
        steps.approve(demo)
        steps.compose(demo)
        yield demo


def make_demo(studio: StudioInProcess) -> InProcess:
    story = load_story()
    demo = InProcess(
        studio=studio,
        story=ShortStory(subject=story.subject, place=story.place, pictures=story.pictures),
        stage=Stage(Console(quiet=True)),
        training_files=studio.folder / "training",
        sampling_steps=1,
    )
    with studio.client("trainer") as trainer:
        for concept in story.concepts:
            trainer.create_concept(NewConcept(id=concept.id, kind=concept.kind, title=concept.title))
    steps.record_terms(demo)
    for concept in story.concepts:
        studio.submit(concept.id, concept.kind, demo.consents, demo.licences)
    return demo


class TestNothingBroken:
    def test_every_step_does_what_it_should(self, submitted: OpenDemo) -> None:
        demo = submitted()
        for step in (steps.compose_too_early, steps.approve, steps.compose, steps.audit, steps.revoke):
            step(demo)
        assert len(demo.refusals) == 6
        assert [len(made.credentials) for made in demo.composed] == [4]
        assert [account.approvals for account in demo.accounts] != [()]


class TestComposeTooEarly:
    def test_fails_when_approval_is_not_needed(self, approved: OpenDemo) -> None:
        demo = approved()
        with pytest.raises(DemoFailed, match="should have been refused"):
            steps.compose_too_early(demo)

    def test_fails_when_it_is_refused_for_another_reason(self, submitted: OpenDemo) -> None:
        demo = submitted()
        demo.studio.registry.credentials["app"] = "imp_nobody"
        with pytest.raises(DemoFailed, match="because of 'no version of demo/fox is approved'"):
            steps.compose_too_early(demo)


class TestApprove:
    def test_fails_when_duties_are_not_separate(self, submitted: OpenDemo) -> None:
        demo = submitted(change=without_rules("approval.not-own-training"))
        with pytest.raises(DemoFailed, match="duties that must be separate"):
            steps.approve(demo)

    def test_fails_when_the_trainer_can_approve(self, submitted: OpenDemo) -> None:
        demo = submitted()
        key_and_credential = demo.studio.profile("reviewer").path.read_bytes()
        demo.studio.profile("trainer").path.write_bytes(key_and_credential)
        with pytest.raises(DemoFailed, match="should not be able to approve demo/fox@1"):
            steps.approve(demo)

    def test_fails_when_the_reviewer_cannot(self, submitted: OpenDemo) -> None:
        demo = submitted(change=without_rules("approval.may-review"))
        with pytest.raises(DemoFailed, match="'imprimatur approve demo/fox@1"):
            steps.approve(demo)


class TestCompose:
    def test_fails_when_the_territory_does_not_matter(self, approved: OpenDemo) -> None:
        demo = approved(change=without_rules("composition.territory"))
        with pytest.raises(DemoFailed, match="for US should have been refused"):
            steps.compose(demo)

    def test_fails_when_the_images_are_not_credentialed_by_somebody_trusted(self, approved: OpenDemo) -> None:
        demo = approved(trust_the_authority=False)
        with pytest.raises(VerificationError, match="not Trusted"):
            steps.compose(demo)


class TestAudit:
    def test_passes_on_what_the_other_tests_tamper_with(self, composed: InProcess) -> None:
        steps.audit(composed)
        assert composed.log_size > 10

    def test_fails_on_an_entry_that_was_changed(self, composed: InProcess) -> None:
        change = changed_bytes(b"approval:signed", b"version:revoked")
        with composed.studio.wire.tampered(r"GET /v1/log/tile/entries/.*", change):
            with pytest.raises(ProofInvalid, match="an entry was changed"):
                steps.audit(composed)

    def test_fails_on_a_tile_that_was_changed(self, composed: InProcess) -> None:
        def flip(request: httpx.Request, ask: Answer) -> httpx.Response:
            content = bytearray(ask().content)
            content[0] ^= 1
            return httpx.Response(200, content=bytes(content), request=request)

        with composed.studio.wire.tampered(r"GET /v1/log/tile/0/.*", flip):
            with pytest.raises(ProofInvalid):
                steps.audit(composed)

    def test_fails_on_a_log_that_was_forked(self, composed: InProcess, submitted: OpenDemo) -> None:
        other = submitted().studio.client("auditor")
        with composed.studio.wire.tampered(r"GET /v1/log/(checkpoint|tile/.*)", from_the_log_of(other)):
            with pytest.raises(LogForked):
                steps.audit(composed)

    def test_fails_on_a_checkpoint_that_somebody_else_signed(self, composed: InProcess) -> None:
        def resign(request: httpx.Request, ask: Answer) -> httpx.Response:
            text, _, signature = ask().content.decode().rpartition(" ")
            forged = bytearray(base64.b64decode(signature))
            forged[-1] ^= 1
            note = f"{text} {base64.b64encode(forged).decode()}\n"
            return httpx.Response(200, content=note.encode(), request=request)

        with composed.studio.wire.tampered(r"GET /v1/log/checkpoint", resign):
            with pytest.raises(SignatureInvalid, match="no trusted log key signed"):
                steps.audit(composed)

    def test_fails_on_a_generation_that_is_not_listed(self, composed: InProcess) -> None:
        change = changed_json(lambda body: body["generations"].clear())
        with composed.studio.wire.tampered(r"GET /v1/generations", change):
            with pytest.raises(DemoFailed, match="found faults"):
                steps.audit(composed)

    def test_fails_on_images_that_are_not_on_record(self, composed: InProcess) -> None:
        change = changed_json(lambda body: body["generations"][0]["images"].pop())
        with composed.studio.wire.tampered(r"GET /v1/generations", change):
            with pytest.raises(DemoFailed, match="not those on record"):
                steps.audit(composed)


class TestRevoke:
    def test_fails_when_the_revocation_does_not_bite(self, approved: OpenDemo) -> None:
        demo = approved()

        def nod(request: httpx.Request, ask: Answer) -> httpx.Response:
            shown = demo.studio.registry.client("reviewer").get("/v1/concepts/demo/fox/versions")
            (view,) = shown.json()["versions"]
            return httpx.Response(200, json=view | {"status": "revoked"}, request=request)

        with demo.studio.wire.tampered(r"POST .*/revocation", nod):
            with pytest.raises(DemoFailed, match="should have been refused: revoked"):
                steps.revoke(demo)

    def test_fails_when_the_reviewer_cannot_revoke(self, approved: OpenDemo) -> None:
        demo = approved()
        key_and_credential = demo.studio.profile("app").path.read_bytes()
        demo.studio.profile("reviewer").path.write_bytes(key_and_credential)
        with pytest.raises(DemoFailed, match="'imprimatur revoke demo/fox@1"):
            steps.revoke(demo)

    def test_fails_when_records_of_use_are_gone(self, approved: OpenDemo) -> None:
        demo = approved()
        steps.compose(demo)
        steps.audit(demo)
        change = changed_json(lambda body: body["generations"].clear())
        with demo.studio.wire.tampered(r"GET /v1/generations", change):
            with pytest.raises(DemoFailed, match="should stay"):
                steps.revoke(demo)
