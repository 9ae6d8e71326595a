"""Each reason for which no job comes to exist, alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.training import (
    CONSENT,
    FOX,
    LICENCE,
    PICTURE,
    PIER,
    MemoryRegistry,
    RegistrySession,
    StepClock,
    consent,
    training_request,
)

from sdk.errors import InputError, NotFound, PolicyDenied, ServiceUnavailable, TrainingInputError
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, TenantName
from sdk.spec.manifest import ConceptKind
from sdk.spec.policy import Decision, Role
from sdk.spec.terms import ConsentStatus
from sdk.spec.training import ConceptRequest, PictureRequest, TrainingRequest
from trainer.app import open_policy
from trainer.jobs.admission import admit
from trainer.jobs.auth import Caller
from trainer.jobs.pictures import PictureStore

DIGEST = Digest.of(PICTURE)


def caller(*roles: Role, tenant: str = "demo") -> Caller:
    return Caller(
        principal=PrincipalId(f"{tenant}/aiko"),
        tenant=TenantName(tenant),
        roles=frozenset(roles or {Role.TRAINER}),
        credential="imp_trainer",
    )


class TestAdmit:
    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path) -> None:
        self.store = PictureStore(root=tmp_path, max_bytes=1000)
        path = self.store.path(TenantName("demo"), DIGEST)
        path.parent.mkdir(parents=True)
        path.write_bytes(PICTURE)
        self.registry = MemoryRegistry()

    def admit(self, request: TrainingRequest, who: Caller | None = None) -> Decision:
        with self.registry.open("imp_trainer") as registry:
            return admit(
                request,
                who or caller(),
                registry=registry,
                open_policy=open_policy,
                pictures=self.store,
                at=StepClock()(),
            )

    def denied(self, request: TrainingRequest, who: Caller | None = None) -> set[str]:
        with pytest.raises(PolicyDenied) as refusal:
            self.admit(request, who)
        return {reason.rule for reason in refusal.value.decision.reasons}

    def test_permits_what_consent_licence_and_policy_cover(self) -> None:
        assert self.admit(training_request()).permitted

    def test_refuses_without_the_role(self) -> None:
        assert self.denied(training_request(), caller(Role.OWNER)) == {"training.role"}

    def test_refuses_a_withdrawn_consent(self) -> None:
        self.registry.consent = consent(status=ConsentStatus.WITHDRAWN)
        assert self.denied(training_request()) == {"training.consent"}

    def test_tells_the_registry_what_was_refused_and_by_whom_nothing_of_it_is_decided(self) -> None:
        self.registry.consent = consent(status=ConsentStatus.WITHDRAWN)
        self.denied(training_request())
        (told,) = self.registry.denied
        assert [(wanted.concept, wanted.consents, wanted.licences) for wanted in told.concepts] == [
            (FOX, (CONSENT,), (LICENCE,)),
            (PIER, (CONSENT,), (LICENCE,)),
        ]

    def test_refuses_as_well_when_the_registry_cannot_be_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object) -> None:
            raise ServiceUnavailable("away")

        monkeypatch.setattr(RegistrySession, "report_denied_training", away)
        self.registry.consent = consent(status=ConsentStatus.WITHDRAWN)
        assert self.denied(training_request()) == {"training.consent"}

    def test_tells_nothing_of_what_is_permitted(self) -> None:
        self.admit(training_request())
        assert self.registry.denied == []

    def test_refuses_a_consent_that_names_other_concepts(self) -> None:
        record = consent().record.model_copy(update={"covers": (FOX,)})
        self.registry.consent = consent(record=record)
        with pytest.raises(PolicyDenied, match="demo/pier") as refusal:
            self.admit(training_request())
        assert {reason.rule for reason in refusal.value.decision.reasons} == {"training.covers"}

    def test_refuses_a_concept_of_another_tenant(self) -> None:
        with pytest.raises(NotFound, match="demo/fox"):
            self.admit(training_request(), caller(tenant="other"))

    def test_refuses_a_concept_that_the_registry_does_not_know(self) -> None:
        del self.registry.kinds[PIER]
        with pytest.raises(NotFound, match="demo/pier"):
            self.admit(training_request())

    def test_refuses_another_kind_than_the_registrys(self) -> None:
        self.registry.kinds[FOX] = ConceptKind.PERSON
        with pytest.raises(InputError, match="demo/fox is a person, the request says subject"):
            self.admit(training_request())

    def test_refuses_a_picture_that_was_not_uploaded(self) -> None:
        self.store.path(TenantName("demo"), DIGEST).unlink()
        with pytest.raises(TrainingInputError, match=r"'one.png' was not uploaded"):
            self.admit(training_request())

    def test_does_not_take_another_tenants_upload_for_ones_own(self) -> None:
        theirs = self.store.path(TenantName("other"), DIGEST)
        theirs.parent.mkdir()
        self.store.path(TenantName("demo"), DIGEST).rename(theirs)
        with pytest.raises(TrainingInputError, match="was not uploaded"):
            self.admit(training_request())

    def test_refuses_a_concept_listed_twice(self) -> None:
        fox = training_request().concepts[0]
        with pytest.raises(TrainingInputError, match="demo/fox is listed 2 times"):
            self.admit(training_request(concepts=(fox, fox)))

    def test_refuses_two_pictures_of_one_name(self) -> None:
        picture = training_request().pictures[0]
        with pytest.raises(TrainingInputError, match=r"2 pictures are named 'one.png'"):
            self.admit(training_request(pictures=(picture, picture)))

    def test_refuses_a_picture_of_something_that_is_not_trained(self) -> None:
        picture = PictureRequest(name="one.png", digest=DIGEST, concepts=(FOX, PIER, ConceptId("demo/hat")))
        with pytest.raises(TrainingInputError, match="shows demo/hat"):
            self.admit(training_request(pictures=(picture,)))

    def test_refuses_a_mask_of_what_a_picture_does_not_show(self) -> None:
        (whole,) = training_request().pictures
        fox = whole.model_copy(update={"name": "two.png", "concepts": (FOX,), "masks": {PIER: DIGEST}})
        with pytest.raises(TrainingInputError, match=r"'two.png' has a mask of demo/pier, which it does not show"):
            self.admit(training_request(pictures=(whole, fox)))

    def test_refuses_a_mask_that_was_not_uploaded(self) -> None:
        (picture,) = training_request().pictures
        drawn = picture.model_copy(update={"masks": {FOX: Digest.of(b"never sent")}})
        with pytest.raises(TrainingInputError, match=r"the mask of demo/fox in 'one.png' was not uploaded; PUT"):
            self.admit(training_request(pictures=(drawn,)))

    def test_refuses_a_concept_without_a_picture(self) -> None:
        picture = PictureRequest(name="one.png", digest=DIGEST, concepts=(FOX,))
        with pytest.raises(TrainingInputError, match="demo/pier is in no picture"):
            self.admit(training_request(pictures=(picture,)))

    def test_looks_at_nothing_of_another_tenant(self) -> None:
        hat = ConceptRequest(
            id=ConceptId("other/hat"),
            kind=ConceptKind.PRODUCT,
            class_word="hat",
            consents=(CONSENT,),
            licences=(LICENCE,),
        )
        picture = PictureRequest(name="one.png", digest=DIGEST, concepts=(hat.id,))
        self.registry.kinds[hat.id] = ConceptKind.PRODUCT
        with pytest.raises(NotFound, match="other/hat"):
            self.admit(training_request(concepts=(hat,), pictures=(picture,)))
