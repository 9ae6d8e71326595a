"""What a registry answers to an intent: its decision must be ours, and its grant for exactly what we asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.governed import NOW, fixed_signer, licence_evidence, licence_grant, make_trust_root, record_id, use_terms
from support.workshop import SCENE, USE, Workshop, make_workshop

from sdk.compose import Composition, compose
from sdk.errors import PermissionDenied, SignatureInvalid, VerificationError
from sdk.policy.cedar import CedarEngine
from sdk.signing.grants import sign_grant, verify_grant
from sdk.signing.signer import sign_envelope
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.grant import GrantedVersion, GrantPredicate
from sdk.spec.ids import PrincipalId
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import Decision, Effect, PolicyContext, Use
from sdk.spec.statements import encode_statement

OTHER = Digest.of(b"other")


@pytest.fixture
def workshop(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("something was generated")

    monkeypatch.setattr("sdk.compose.drawing.generate_images", refuse)
    return make_workshop(tmp_path, base=base)


def run(workshop: Workshop, **options: Any) -> Composition:
    with workshop.registry.client() as client:
        return compose(["demo/fox"], SCENE, profile=workshop.profile, client=client, clock=lambda: NOW, **USE | options)


def refused(workshop: Workshop, error: type[Exception], match: str) -> None:
    """Refused after the intent, before an artefact was asked for."""
    with pytest.raises(error, match=match):
        run(workshop)
    assert len(workshop.registry.intents) == 1
    assert not any("artefacts" in asked for asked in workshop.registry.asked)


class TestDecisionOfRecord:
    """Each of these is logged, signed and permitted; only that it does not follow from what was verified gives it away."""

    def lie(self, workshop: Workshop, change: Callable[[PolicyContext], PolicyContext]) -> None:
        honest = workshop.registry.context
        workshop.registry.context = lambda intent: change(honest(intent))  # type: ignore[method-assign]

    @pytest.mark.parametrize(
        "facts",
        [
            {"territories": ("WORLD",)},
            {"purposes": ("advertising", "editorial", "political")},
            {"approvals": 2},
            {"kind": ConceptKind.LOGO},
            {"owner": PrincipalId("demo/somebody")},
            {"images_left": 5},
            {"applications": (PrincipalId("demo/app"),)},
            {"has_minor": True},
            {"number": 2},
        ],
    )
    def test_on_other_facts_is_refused(self, workshop: Workshop, facts: dict[str, Any]) -> None:
        def change(context: PolicyContext) -> PolicyContext:
            return context.model_copy(
                update={"concepts": tuple(held.model_copy(update=facts) for held in context.concepts)}
            )

        self.lie(workshop, change)
        refused(workshop, VerificationError, "rests on other facts")

    @pytest.mark.parametrize(
        "change",
        [
            {"use": Use(purpose="editorial", territory="JP", channel="web")},
            {"count": 2},
            {"concepts": ()},
        ],
    )
    def test_on_another_question_is_refused(self, workshop: Workshop, change: dict[str, Any]) -> None:
        self.lie(workshop, lambda context: context.model_copy(update=change))
        workshop.registry.effect = Effect.PERMIT
        refused(workshop, VerificationError, "rests on other facts")

    @pytest.mark.parametrize("minutes", [-6, 6])
    def test_of_another_moment_is_refused(self, workshop: Workshop, minutes: int) -> None:
        self.lie(workshop, lambda context: context.model_copy(update={"at": NOW + timedelta(minutes=minutes)}))
        refused(workshop, VerificationError, "but here it is")

    def test_of_a_moment_nearby_is_believed(self, workshop: Workshop) -> None:
        self.lie(workshop, lambda context: context.model_copy(update={"at": NOW + timedelta(seconds=30)}))
        with pytest.raises(AssertionError, match="something was generated"):
            run(workshop)

    def test_about_another_context_than_the_one_sent_is_refused(self, workshop: Workshop) -> None:
        honest = workshop.registry.decision
        workshop.registry.decision = lambda context: honest(context).model_copy(update={"context": OTHER})  # type: ignore[method-assign]
        refused(workshop, VerificationError, "rests on other facts")

    @pytest.mark.parametrize("change", [{"reasons": ()}, {"action": "anything"}])
    def test_that_its_policies_do_not_give_is_refused(self, workshop: Workshop, change: dict[str, Any]) -> None:
        honest = workshop.registry.decision
        workshop.registry.decision = lambda context: honest(context).model_copy(update=change)  # type: ignore[method-assign]
        refused(workshop, VerificationError, "is not what its policies say")

    @pytest.mark.parametrize(("left", "error"), [(3, AssertionError), (10, AssertionError), (11, VerificationError)])
    def test_may_count_images_that_are_gone_and_none_that_never_were(
        self, workshop: Workshop, left: int, error: type[BaseException]
    ) -> None:
        (world,) = workshop.registry.worlds.values()
        world.licences = (licence_evidence(licence_grant(terms=use_terms(), max_images=10)),)
        world.approvals.clear()
        world.approve()
        self.lie(
            workshop,
            lambda context: context.model_copy(
                update={"concepts": (context.concepts[0].model_copy(update={"images_left": left}),)}
            ),
        )
        with pytest.raises(error):
            run(workshop)

    def test_forged_into_a_permit_is_refused(self, workshop: Workshop) -> None:
        """The registry's own policies deny for a reason that only it counts: no images are left."""
        (world,) = workshop.registry.worlds.values()
        world.licences = (licence_evidence(licence_grant(max_images=10)),)
        world.approvals.clear()
        world.approve()
        self.lie(
            workshop,
            lambda context: context.model_copy(
                update={"concepts": (context.concepts[0].model_copy(update={"images_left": 0}),)}
            ),
        )

        def forged(context: PolicyContext) -> Decision:
            said = CedarEngine(workshop.registry.policies).evaluate(context)
            assert not said.permitted
            return said.model_copy(update={"effect": Effect.PERMIT})

        workshop.registry.decision = forged  # type: ignore[method-assign]
        refused(workshop, VerificationError, "is not what its policies say")


class TestGrant:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("generation", record_id("gen", "z")),
            ("application", PrincipalId("demo/other")),
            ("executor", PrincipalId("demo/other")),
            ("intent", OTHER),
            ("use", Use(purpose="editorial", territory="JP", channel="web")),
            ("count", 64),
            ("scene", OTHER),
            ("sampling", OTHER),
            ("base_model", OTHER),
            ("decision", OTHER),
            ("policy_bundle", OTHER),
            ("expires_at", NOW + timedelta(days=1)),
        ],
    )
    def test_for_anything_else_is_refused(self, workshop: Workshop, name: str, value: Any) -> None:
        honest = workshop.registry.leave
        workshop.registry.leave = lambda *of: honest(*of).model_copy(update={name: value})  # type: ignore[method-assign]
        refused(workshop, VerificationError, f"for another {name} than ours")

    def test_for_another_version_is_refused(self, workshop: Workshop) -> None:
        honest = workshop.registry.leave

        def leave(*of: Any) -> GrantPredicate:
            grant = honest(*of)
            other = grant.versions[0].model_copy(update={"manifest": OTHER})
            return grant.model_copy(update={"versions": (other,)})

        workshop.registry.leave = leave  # type: ignore[method-assign]
        refused(workshop, VerificationError, "for another manifests than ours")

    def test_that_is_not_the_one_logged_is_refused(self, workshop: Workshop) -> None:
        honest = workshop.registry.grant

        def grant(intent: Any) -> Any:
            opened = honest(intent)
            predicate = workshop.registry.leave(opened.id, intent, opened.decision)
            again = sign_grant(predicate.model_copy(update={"nonce": "1" * 32}), fixed_signer("decision"))
            return opened.model_copy(update={"grant": again})

        workshop.registry.grant = grant  # type: ignore[method-assign]
        refused(workshop, VerificationError, "about another grant than ours")


def leave(**changes: Any) -> GrantPredicate:
    plain: dict[str, Any] = {
        "generation": record_id("gen"),
        "application": "demo/app",
        "executor": "demo/app",
        "intent": OTHER,
        "versions": (GrantedVersion(concept="demo/fox", number=1, manifest=OTHER, terms=OTHER),),
        "use": USE,
        "count": 1,
        "scene": OTHER,
        "base_model": OTHER,
        "decision": OTHER,
        "policy_bundle": OTHER,
        "issued_at": NOW,
        "expires_at": NOW + timedelta(minutes=10),
        "nonce": "0" * 32,
    }
    return GrantPredicate(**plain | changes)


class TestVerifyGrant:
    def verify(self, envelope: Envelope, **at: float) -> GrantPredicate:
        return verify_grant(envelope, make_trust_root(), now=NOW + timedelta(**at))

    def test_returns_what_was_signed(self) -> None:
        assert self.verify(sign_grant(leave(), fixed_signer("decision"))) == leave()

    @pytest.mark.parametrize("signer", ["log", "app", "reviewer", "root", "training-service"])
    def test_signed_in_another_role_is_refused(self, signer: str) -> None:
        with pytest.raises(SignatureInvalid, match="decision"):
            self.verify(sign_grant(leave(), fixed_signer(signer)))

    def test_ends(self) -> None:
        envelope = sign_grant(leave(), fixed_signer("decision"))
        self.verify(envelope, minutes=9.99)
        with pytest.raises(PermissionDenied, match="expired"):
            self.verify(envelope, minutes=10)

    def test_from_the_future_is_refused(self) -> None:
        with pytest.raises(VerificationError, match="is from"):
            self.verify(sign_grant(leave(), fixed_signer("decision")), minutes=-6)

    def test_stretched_after_it_was_signed_is_refused(self) -> None:
        envelope = sign_grant(leave(), fixed_signer("decision"))
        stretched = envelope.payload.replace(b'"count":1', b'"count":9')
        assert stretched != envelope.payload
        with pytest.raises(SignatureInvalid):
            self.verify(envelope.model_copy(update={"payload": stretched}))

    def test_about_other_versions_than_it_names_is_refused(self) -> None:
        payload = encode_statement(leave(), subjects={"demo/owl@1": Digest.of(b"owl")})
        with pytest.raises(VerificationError, match="not about the versions"):
            self.verify(sign_envelope(payload, fixed_signer("decision")))
