"""The trainer and the real registry, in process: from records and a request to versions that reviewers can see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from support.asgi import AsgiTransport
from support.registry import RegistryUnderTest
from support.training import FOX, PICTURE, PIER, Bench, CountingTrain, consent, licence, training_request

from sdk.client import Client
from sdk.errors import NotFound, PermissionDenied, PolicyDenied
from sdk.signing.trust import TrustRole, verify_role
from sdk.spec.api import NewConcept
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.manifest import ConceptKind
from sdk.spec.training import JobStatus, JobView, TrainingRequest
from trainer.app import create_app
from trainer.jobs import query
from trainer.jobs.ports import RegistryPort
from trainer.jobs.tables import JobRow
from trainer.jobs.workflow import run_attempt


class House:
    """Both services, and the people who use them."""

    def __init__(self, bench: Bench, registry: RegistryUnderTest) -> None:
        self.registry = registry

        @contextmanager
        def open_registry(credential: str) -> Iterator[RegistryPort]:
            with Client("http://registry.test", credential, transport=registry.transport) as client:
                yield client

        self.runtime = replace(bench.runtime, open_registry=open_registry, clock=self.clock)
        self.transport = AsgiTransport(create_app(self.runtime))

    def clock(self) -> datetime:
        self.registry.clock.now += timedelta(seconds=1)
        return self.registry.clock.now

    def client(self, name: str) -> Client:
        return Client(
            "http://registry.test",
            self.registry.credentials[name],
            trainer_url="http://trainer.test",
            transport=self.registry.transport,
            trainer_transport=self.transport,
        )

    def prepare(self) -> tuple[RecordId, TrainingRequest]:
        """Name the concepts, record consent and licence, send the picture; returns the consent and a request."""
        with self.client("trainer") as trainer:
            trainer.create_concept(NewConcept(id=FOX, kind=ConceptKind.SUBJECT, title="Fox"))
            trainer.create_concept(NewConcept(id=PIER, kind=ConceptKind.BACKGROUND, title="Pier"))
            given = trainer.give_consent(consent().record).id
            granted = trainer.grant_licence(licence().grant).id
            trainer.put_picture(PICTURE)
        records = {"consents": (given,), "licences": (granted,)}
        concepts = tuple(concept.model_copy(update=records) for concept in training_request().concepts)
        return given, training_request(concepts=concepts)

    def work(self, job: RecordId, train: CountingTrain, credential: str = "training-service") -> JobView:
        with self.runtime.transaction() as session:
            entry = session.scalar(select(JobRow.queue_entry).where(JobRow.id == job))
        assert entry is not None
        with self.runtime.open_registry(self.registry.credentials[credential]) as registry:
            run_attempt(
                self.runtime,
                job,
                entry,
                train=train,
                registry=registry,
                signer=self.registry.keys["training-service"],
                stopping=lambda: False,
            )
        with self.runtime.transaction() as session:
            return query.view(session, job, tenant=TenantName("demo"))


@pytest.fixture
def house(bench: Bench, registry: RegistryUnderTest) -> House:
    return House(bench, registry)


class TestTrainAndSubmit:
    def test_ends_with_submitted_versions_that_the_training_key_attests(self, house: House) -> None:
        _, request = house.prepare()
        with house.client("trainer") as trainer:
            job = trainer.create_job(request).id
            view = house.work(job, CountingTrain())
            assert (view.status, view.versions, view.error) == (
                JobStatus.SUCCEEDED,
                ("demo/fox@1", "demo/pier@1"),
                None,
            )
            assert trainer.get_job(job).versions == view.versions
            assert not [name for name in trainer.job_files(job).files if name.endswith(".safetensors")]
            with pytest.raises(NotFound):
                trainer.job_file(job, f"{FOX}/learned_embeds.safetensors")
        with house.client("reviewer") as reviewer:
            bundle = reviewer.get_version(FOX, 1)
        assert bundle.status is VersionStatus.SUBMITTED
        verify_role(bundle.training_attestation, house.registry.runtime.trust_root, TrustRole.TRAINING)

    def test_is_refused_before_a_job_exists_once_consent_is_withdrawn(self, house: House) -> None:
        given, request = house.prepare()
        with house.client("trainer") as trainer:
            trainer.withdraw_consent(given, "changed my mind")
            with pytest.raises(PolicyDenied, match=r"training\.consent"):
                trainer.create_job(request)
            assert trainer.list_jobs().jobs == ()

    def test_consent_withdrawn_during_the_training_stops_the_submission(self, house: House) -> None:
        given, request = house.prepare()
        with house.client("trainer") as trainer:
            job = trainer.create_job(request).id
            trainer.withdraw_consent(given, "changed my mind")
            view = house.work(job, CountingTrain())
            assert view.status is JobStatus.FAILED
            assert view.error
            assert "consent" in view.error
            assert trainer.list_versions(FOX).versions == ()

    def test_is_for_the_training_service_alone(self, house: House) -> None:
        _, request = house.prepare()
        with house.client("trainer") as trainer:
            job = trainer.create_job(request).id
        view = house.work(job, CountingTrain(), credential="trainer")
        assert view.status is JobStatus.FAILED
        assert view.versions == ()

    def test_applications_may_not_ask(self, house: House) -> None:
        _, request = house.prepare()
        with house.client("app") as app, pytest.raises((PolicyDenied, PermissionDenied)):
            app.create_job(request)
