"""The demo's checks can fail: each step against the real registry with one thing broken, and with nothing broken."""

from __future__ import annotations

import base64

import httpx
import pytest
from support.demo import InProcess, OpenDemo
from support.tampering import Answer, changed_bytes, changed_json, from_the_log_of, without_rules

from examples.demo import steps
from examples.demo.stage import DemoFailed
from sdk.errors import LogForked, ProofInvalid, SignatureInvalid, VerificationError

pytestmark = pytest.mark.long


class TestNothingBroken:
    def test_every_step_does_what_it_should(self, submitted: OpenDemo) -> None:
        demo = submitted()
        for step in (steps.compose_too_early, steps.approve, steps.compose, steps.audit):
            step(demo)
        steps.find_copies(demo)
        steps.revoke(demo)
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
        change = changed_json(lambda body: body["generations"][0]["images"].reverse())
        with composed.studio.wire.tampered(r"GET /v1/generations", change):
            with pytest.raises(DemoFailed, match="not those on record"):
                steps.audit(composed)


class TestFindCopies:
    def test_fails_when_a_copy_leads_nowhere(self, composed: InProcess) -> None:
        change = changed_json(lambda body: body["matches"].clear())
        with composed.studio.wire.tampered(r"POST /v1/generations/identify", change):
            with pytest.raises(DemoFailed, match="stripped of its metadata\\) should lead to it"):
                steps.find_copies(composed)


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
