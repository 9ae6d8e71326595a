"""A request to draw is held to its grant: replayed, stretched or shared, it is refused before anything is queued."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.governed import FOX, NOW, fixed_signer, make_manifest, make_trust_root, record_id

from sdk.errors import ImprimaturError, InputError, PermissionDenied, SceneError, SignatureInvalid, VerificationError
from sdk.signing.grants import sign_grant
from sdk.spec.digest import Digest
from sdk.spec.grant import GrantedVersion, GrantPredicate
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.manifest import encode_manifest
from sdk.spec.policy import Use
from sdk.spec.rendering import RendererView, RenderRequest
from sdk.spec.sampling import Sampling
from trainer.rendering.admission import Admitted, admit

MANIFEST = make_manifest()
SAMPLING = Sampling(seed=7, steps=2, guidance=3.0)
SCENE = "a photo of {hero}"
RENDERER = RendererView(principal=PrincipalId("demo/renderer"), base_model=MANIFEST.base_model)
OTHER = Digest.of(b"other")


def leave(**changes: Any) -> GrantPredicate:
    plain: dict[str, Any] = {
        "generation": record_id("gen"),
        "application": "demo/app",
        "executor": "demo/renderer",
        "intent": OTHER,
        "versions": (GrantedVersion(concept=FOX, number=1, manifest=MANIFEST.digest, terms=OTHER),),
        "use": Use(purpose="advertising", territory="JP", channel="web"),
        "count": 2,
        "scene": Digest.of(SCENE.encode()),
        "sampling": SAMPLING.digest,
        "base_model": MANIFEST.base_model,
        "decision": OTHER,
        "policy_bundle": OTHER,
        "issued_at": NOW,
        "expires_at": NOW + timedelta(minutes=10),
        "nonce": "0" * 32,
    }
    return GrantPredicate(**plain | changes)


def request(signer: str = "decision", grant: GrantPredicate | None = None, **changes: Any) -> RenderRequest:
    plain: dict[str, Any] = {
        "grant": sign_grant(grant or leave(), fixed_signer(signer)),
        "scene": SCENE,
        "names": {"hero": FOX},
        "sampling": SAMPLING,
        "manifests": (encode_manifest(MANIFEST),),
    }
    return RenderRequest(**plain | changes)


def ask(wanted: RenderRequest, *, caller: str = "demo/app", minutes: float = 0, **renderer: Any) -> Admitted:
    return admit(
        wanted,
        caller=PrincipalId(caller),
        renderer=RENDERER.model_copy(update=renderer),
        trust=make_trust_root(),
        now=NOW + timedelta(minutes=minutes),
    )


def test_what_was_granted_is_admitted() -> None:
    admitted = ask(request())
    assert admitted.scene.parts == ("a photo of", FOX)
    assert admitted.manifests == {FOX: MANIFEST}


class TestShared:
    def test_with_another_application(self) -> None:
        with pytest.raises(PermissionDenied, match="was given to demo/app, not to demo/thief"):
            ask(request(), caller="demo/thief")

    def test_with_another_service(self) -> None:
        with pytest.raises(PermissionDenied, match="is to be drawn by demo/renderer, not here"):
            ask(request(), principal=PrincipalId("demo/other"))

    def test_a_grant_that_an_application_draws_itself(self) -> None:
        with pytest.raises(PermissionDenied, match="is to be drawn by demo/app"):
            ask(request(grant=leave(executor="demo/app")))


class TestStretched:
    @pytest.mark.parametrize("signer", ["app", "log", "training-service", "reviewer"])
    def test_signed_by_anybody_else(self, signer: str) -> None:
        with pytest.raises(SignatureInvalid):
            ask(request(signer))

    @pytest.mark.parametrize(
        ("old", "new"),
        [(b'"count":2', b'"count":9'), (b"2026-11-24T12:10", b"2027-11-24T12:10"), (b"demo/app", b"demo/bad")],
    )
    def test_changed_after_it_was_signed(self, old: bytes, new: bytes) -> None:
        plain = request()
        payload = plain.grant.payload.replace(old, new)
        assert payload != plain.grant.payload
        with pytest.raises(SignatureInvalid):
            ask(plain.model_copy(update={"grant": plain.grant.model_copy(update={"payload": payload})}))

    def test_past_its_end(self) -> None:
        ask(request(), minutes=9.9)
        with pytest.raises(PermissionDenied, match="expired"):
            ask(request(), minutes=10)

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"scene": SCENE + ", evening"}, "the scene sent"),
            ({"sampling": SAMPLING.model_copy(update={"steps": 3})}, "the sampling sent"),
            ({"manifests": (encode_manifest(make_manifest(b"other")),)}, "the versions sent"),
            ({"manifests": (encode_manifest(MANIFEST),) * 2}, "the versions sent"),
        ],
    )
    def test_to_something_else(self, change: dict[str, Any], match: str) -> None:
        with pytest.raises(VerificationError, match=match):
            ask(request(**change))

    def test_to_another_base_model(self) -> None:
        with pytest.raises(VerificationError, match="base model"):
            ask(request(), base_model=OTHER)

    def test_to_more_images(self) -> None:
        several = SAMPLING.model_copy(update={"seeds": (7, 8, 9)})
        with pytest.raises(VerificationError, match="was granted 2 images, not 3"):
            ask(request(grant=leave(sampling=several.digest), sampling=several))

    @pytest.mark.parametrize("names", [{"hero": ConceptId("demo/owl")}, {"hero": FOX, "other": ConceptId("demo/owl")}])
    def test_to_another_concept(self, names: dict[str, ConceptId]) -> None:
        with pytest.raises(InputError, match="other concepts"):
            ask(request(names=names))

    @pytest.mark.parametrize("text", ["a photo of {hero} <demo-owl>", "a photo", "a photo of {hero} {villain}"])
    def test_to_a_scene_that_cannot_be(self, text: str) -> None:
        with pytest.raises(SceneError):
            ask(request(grant=leave(scene=Digest.of(text.encode())), scene=text))

    def test_to_a_negative_prompt_with_a_token(self) -> None:
        sly = SAMPLING.model_copy(update={"negative_prompt": "<demo-owl>"})
        with pytest.raises(ImprimaturError, match="holds the token"):
            ask(request(grant=leave(sampling=sly.digest), sampling=sly))
