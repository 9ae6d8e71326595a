"""One person is erased beside others: whoever shares a version, a picture or a deed with them can be erased as well, and loses nothing before."""

from __future__ import annotations

import pytest
from support.break_glass import opening
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, refused

from registry.erasure import service
from registry.fsck.check import check
from sdk.receipt import verify_erasure
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureAccepted, ErasurePredicate, ErasureRequest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.manifest import ArtefactRole
from sdk.spec.subjects import SubjectBinding
from sdk.spec.terms import Capacity, Evidence

AIKO, BEN, OWL = "subject-aiko", "subject-ben", ConceptId("demo/owl")
GUARDIAN = PrincipalId("demo/subject")
DEED = b"%PDF the court names the guardian of two children"
DOCUMENT = b"%PDF the agreement that Aiko signed"
PICTURE = {ArtefactRole.TRAINING_PICTURE: b"\x89PNG both of them"}


def brought(steps: Steps, content: bytes) -> Evidence:
    digest = Digest.of(content)
    steps.registry.client("owner").put(f"/v1/blobs/{digest}", content=content).raise_for_status()
    return Evidence(document=digest, page=1, clause="3")


def consent_of(steps: Steps, subject: str, concept: ConceptId = FOX, **changes: object) -> RecordId:
    return RecordId(steps.consent(steps.concept(concept), subject=subject, **changes)["id"])


def bound(steps: Steps, subject: str) -> None:
    guardian = SubjectBinding(
        pseudonym=subject, principal=GUARDIAN, capacity=Capacity.GUARDIAN, evidence=brought(steps, DEED)
    )
    accepted(steps.post("owner", "/v1/subjects", guardian))


def erase(registry: RegistryUnderTest, subject: str) -> ErasurePredicate:
    answer = Steps(registry).post("owner", "/v1/erasures", ErasureRequest(subject=subject))
    done = ErasureAccepted.model_validate(accepted(answer))
    return verify_erasure(done.certificate, registry.runtime.trust_root)


def findings(registry: RegistryUnderTest) -> tuple[str, ...]:
    with registry.runtime.sessions() as session:
        return check(session, registry.runtime).findings


class TestWhoSharesWithWhoWasErased:
    def test_a_version_is_erased_too_and_each_key_is_counted_once(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        consents = consent_of(steps, AIKO), consent_of(steps, BEN)
        version = steps.approved(consents=consents, embedding=b"both", files=PICTURE)
        first, second = erase(registry, AIKO), erase(registry, BEN)
        assert (first.consents, second.consents) == ((consents[0],), (consents[1],))
        assert first.versions == second.versions == (version.name,)
        assert second.documents == first.documents
        assert (first.keys, second.keys) == (2 + len(first.documents), 1)
        assert findings(registry) == ()

    def test_a_picture_is_erased_too(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for subject, concept in ((AIKO, FOX), (BEN, OWL)):
            consents = (consent_of(steps, subject, concept),)
            steps.approved(concept, consents=consents, embedding=subject.encode(), files=PICTURE)
        picture = Digest.of(PICTURE[ArtefactRole.TRAINING_PICTURE])
        first, second = erase(registry, AIKO), erase(registry, BEN)
        assert picture in first.documents
        assert picture in second.documents
        assert (first.keys, second.keys) == (4, 3)
        assert findings(registry) == ()

    def test_is_erased_although_a_crash_left_the_keys_of_the_first(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = Steps(registry)
        steps.approved(consents=(consent_of(steps, AIKO), consent_of(steps, BEN)), embedding=b"both", files=PICTURE)
        with monkeypatch.context() as patch:
            patch.setattr(service, "destroy", lambda *_: None)
            keys = erase(registry, AIKO).keys
        erase(registry, BEN)
        with registry.runtime.sessions.begin() as session:
            assert service.finish(session, registry.runtime) == 1, (
                f"of {keys}, all but that of Aiko's record are shared"
            )


class TestWhoReturns:
    def test_with_the_same_document_is_erased_again(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        evidence = brought(steps, DOCUMENT)
        consent_of(steps, AIKO, evidence=evidence)
        first = erase(registry, AIKO)
        consent_of(steps, AIKO, evidence=evidence, salt="11" * 16)
        assert (first.keys, erase(registry, AIKO).keys) == (2, 1)
        assert findings(registry) == ()

    def test_brings_the_document_anew_also_after_a_crash(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = Steps(registry)
        consent_of(steps, AIKO, evidence=brought(steps, DOCUMENT))
        with monkeypatch.context() as patch:
            patch.setattr(service, "destroy", lambda *_: None)
            erase(registry, AIKO)
        with registry.runtime.sessions.begin() as session:
            service.finish(session, registry.runtime)
        path = f"/v1/blobs/{Digest.of(DOCUMENT)}"
        refused(registry.client("owner").get(path), 410, "resource.erased")
        consent_of(steps, AIKO, evidence=brought(steps, DOCUMENT), salt="11" * 16)
        assert registry.client("owner").get(path).content == DOCUMENT
        assert erase(registry, AIKO).keys == 2
        refused(registry.client("owner").get(path), 410, "resource.erased")


class TestWhoSpeaksForThePerson:
    def test_does_so_no_more_and_the_deed_is_destroyed(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        bound(steps, AIKO)
        consent_of(steps, AIKO)
        said = erase(registry, AIKO)
        assert steps.get("owner", "/v1/subjects")["subjects"] == []
        assert steps.events(GUARDIAN)[-1] == ("subject:released", "demo/owner")
        assert said.documents == (Digest.of(DEED),)
        refused(registry.client("owner").get(f"/v1/blobs/{Digest.of(DEED)}"), 410, "resource.erased")
        assert [kept for kept in said.kept if "which principals" in kept.what]
        assert findings(registry) == ()

    def test_who_consented_to_nothing_can_be_erased_once(self, registry: RegistryUnderTest) -> None:
        bound(Steps(registry), AIKO)
        said = erase(registry, AIKO)
        assert (said.consents, said.documents) == ((), (Digest.of(DEED),))
        refused(registry.client("owner").get(f"/v1/blobs/{Digest.of(DEED)}"), 410, "resource.erased")
        again = Steps(registry).post("owner", "/v1/erasures", ErasureRequest(subject=AIKO))
        refused(again, 404, "resource.not_found")
        assert findings(registry) == ()

    def test_by_a_deed_for_others_who_consented_to_nothing_keeps_it_until_then(
        self, registry: RegistryUnderTest
    ) -> None:
        for subject in (AIKO, BEN):
            bound(Steps(registry), subject)
        assert erase(registry, AIKO).documents == ()
        assert erase(registry, BEN).documents == (Digest.of(DEED),)

    def test_by_a_deed_for_others_too_keeps_it_until_they_are_erased(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for subject in (AIKO, BEN):
            bound(steps, subject)
            consent_of(steps, subject)
        first = erase(registry, AIKO)
        assert first.documents == ()
        assert [kept.what for kept in first.kept if "binding" in kept.why] == [f"document {Digest.of(DEED)}"]
        assert registry.client("owner").get(f"/v1/blobs/{Digest.of(DEED)}").content == DEED
        assert [held["binding"]["pseudonym"] for held in steps.get("owner", "/v1/subjects")["subjects"]] == [BEN]
        assert erase(registry, BEN).documents == (Digest.of(DEED),)
        refused(registry.client("owner").get(f"/v1/blobs/{Digest.of(DEED)}"), 410, "resource.erased")


class TestDocumentStaysThat:
    """Aiko's consent names it too."""

    def kept(self, registry: RegistryUnderTest) -> None:
        said = erase(registry, AIKO)
        assert said.documents == ()
        assert str(Digest.of(DEED)) in " ".join(kept.what for kept in said.kept)
        assert registry.client("owner").get(f"/v1/blobs/{Digest.of(DEED)}").content == DEED

    def test_a_licence_is_granted_by(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        consent_of(steps, AIKO, evidence=brought(steps, DEED))
        steps.licence(FOX, capacity=Capacity.GUARDIAN, authority=brought(steps, DEED))
        self.kept(registry)

    def test_was_shown_to_somebody_else(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        consent_of(steps, AIKO, evidence=brought(steps, DEED))
        consent_of(steps, BEN, notice_document=Digest.of(DEED))
        self.kept(registry)

    def test_lets_somebody_speak_for_somebody_else(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        consent_of(steps, AIKO, evidence=brought(steps, DEED))
        bound(steps, BEN)  # who has not consented to anything yet
        self.kept(registry)


class TestDraft:
    def test_that_rests_on_an_erased_consent_is_not_put_up_for_review(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        consents = consent_of(steps, AIKO), consent_of(steps, BEN)
        draft = steps.drafted(consents=consents)
        erase(registry, AIKO)
        refused(steps.ask(draft), 410, "resource.erased", f"{consents[0]} is erased")
        assert steps.get("reviewer", draft.path)["status"] == "draft"
        whole = steps.drafted(consents=consents[1:], embedding=b"Ben alone")
        accepted(steps.ask(whole))

    def test_put_up_while_the_keys_were_being_destroyed_is_never_approved(
        self, registry: RegistryUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = Steps(registry)
        draft = steps.drafted(consents=(consent_of(steps, AIKO), consent_of(steps, BEN)))
        with monkeypatch.context() as patch:
            patch.setattr(service, "destroy", lambda *_: None)
            erase(registry, AIKO)
        accepted(steps.ask(draft))
        with registry.runtime.sessions.begin() as session:
            service.finish(session, registry.runtime)
        refused(steps.review(draft), 410, "resource.erased")
        glass = opening(registry, draft, "reviewer", "second-reviewer")
        refused(steps.post("reviewer", f"{draft.path}/break-glass", glass), 410, "resource.erased")
        accepted(steps.reject(draft))
