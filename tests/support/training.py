"""A small trainer for tests: a registry in memory, a training function without torch, a runtime on a real database.

`make_bench(url, directory)` gives all of it. The training function counts rounds into its TrainingCheckpoint, as the
real one does, so that crash and hand-over can be tested in seconds.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.orm import sessionmaker
from support.governed import fixed_signer, learned_embedding

from sdk.errors import AuthenticationRequired, NotFound, ServiceUnavailable
from sdk.policy.bundle import PolicyBundle, load_bundle
from sdk.signing.signer import Ed25519Signer
from sdk.spec.api import ConceptView, PolicyBundleView, VersionSubmission, VersionView, WhoAmI
from sdk.spec.bundle import VersionStatus
from sdk.spec.denials import TrainingDenied, WantedTraining
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureList, ErasureView, TrainingErased, TrainingErasure
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.manifest import ArtefactRole, ConceptKind, EmbeddingFacts
from sdk.spec.policy import Role
from sdk.spec.terms import (
    AgeClass,
    Capacity,
    ConsentEvidence,
    ConsentRecord,
    ConsentStatus,
    Evidence,
    LicenceEvidence,
    LicenceGrant,
    UseTerms,
)
from sdk.spec.training import ConceptRequest, JobProgress, PictureRequest, TrainingRequest
from trainer.app import open_policy
from trainer.jobs.files import CHECKPOINT_FILE, OUT
from trainer.jobs.ports import Trained, TrainedConcept, TrainedFile, TrainingOrder
from trainer.jobs.runtime import Runtime
from trainer.settings import TrainerSettings

ROOT = Path(__file__).resolve().parents[2]
FOX = ConceptId("demo/fox")
PIER = ConceptId("demo/pier")
CONSENT = RecordId("con_" + "a" * 26)
LICENCE = RecordId("lic_" + "a" * 26)
PICTURE = b"the bytes of a picture"
SERVICE_CREDENTIAL = "imp_service"
ROUNDS = 5

_DOCUMENT = Evidence(document=Digest.of(b"release form"), page=1, clause="1")
_TERMS = UseTerms(
    purposes=("advertising",),
    territories=("WORLD",),
    channels=("web",),
    valid_from=datetime(2020, 1, 1, tzinfo=UTC),
    valid_until=datetime(2100, 1, 1, tzinfo=UTC),
)
_CREDENTIALS = {
    "imp_trainer": ("demo/aiko", (Role.TRAINER,)),
    "imp_owner": ("demo/omar", (Role.OWNER,)),
    "imp_reviewer": ("demo/rika", (Role.REVIEWER,)),
    "imp_app": ("demo/shop", (Role.APP,)),
    "imp_other": ("other/trainer", (Role.TRAINER,)),
    SERVICE_CREDENTIAL: ("demo/training-service", (Role.TRAINING_SERVICE,)),
}


def consent(**changes: object) -> ConsentEvidence:
    """A live consent that covers both concepts, but for `changes` of the evidence."""
    record = ConsentRecord(
        covers=(FOX, PIER),
        subject="subject-1",
        age_class=AgeClass.NOT_A_PERSON,
        controller="Demo",
        notice="https://example.org/notice",
        notice_language="en",
        terms=_TERMS,
        withdrawal_method="a letter",
        evidence=_DOCUMENT,
        expressed_by="subject-1",
        expressed_as=Capacity.SELF,
        expressed_on=date(2026, 1, 1),
    )
    evidence = ConsentEvidence(id=CONSENT, digest=Digest.of(b"consent"), record=record, status=ConsentStatus.GIVEN)
    return evidence.model_copy(update=changes)


def licence() -> LicenceEvidence:
    """A licence in force that covers both concepts."""
    grant = LicenceGrant(
        covers=(FOX, PIER),
        rights_holder="Demo",
        capacity=Capacity.SELF,
        license="LicenseRef-Demo",
        attribution="Demo",
        terms=_TERMS,
        evidence=_DOCUMENT,
    )
    return LicenceEvidence(id=LICENCE, digest=Digest.of(b"licence"), grant=grant)


def training_request(**changes: object) -> TrainingRequest:
    """A request for two concepts in one picture, but for `changes`."""
    concepts = tuple(
        ConceptRequest(id=concept, kind=kind, class_word=word, consents=(CONSENT,), licences=(LICENCE,))
        for concept, kind, word in ((FOX, ConceptKind.SUBJECT, "fox"), (PIER, ConceptKind.BACKGROUND, "pier"))
    )
    picture = PictureRequest(name="one.png", digest=Digest.of(PICTURE), concepts=(FOX, PIER))
    return TrainingRequest(concepts=concepts, pictures=(picture,), seed=7).model_copy(update=changes)


@dataclass
class MemoryRegistry:
    """The registry's answers to the trainer. `journal`, a file, receives one line a submission if it is given."""

    consent: ConsentEvidence = field(default_factory=consent)
    kinds: dict[ConceptId, ConceptKind] = field(
        default_factory=lambda: {FOX: ConceptKind.SUBJECT, PIER: ConceptKind.BACKGROUND}
    )
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    submissions: list[tuple[ConceptId, VersionSubmission]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # credentials that whoami was asked about
    denied: list[WantedTraining] = field(default_factory=list)
    erasures: ErasureList = field(default_factory=lambda: ErasureList(erasures=()))
    away: bool = False
    journal: Path | None = None

    @contextmanager
    def open(self, credential: str) -> Iterator[RegistrySession]:
        """The `OpenRegistry` port."""
        yield RegistrySession(self, credential)


@dataclass
class RegistrySession:
    """A `MemoryRegistry` as the bearer of one credential sees it."""

    registry: MemoryRegistry
    credential: str

    def whoami(self) -> WhoAmI:
        self._answer()
        self.registry.asked.append(self.credential)
        if self.credential not in _CREDENTIALS:
            raise AuthenticationRequired("unknown credential")
        principal = PrincipalId(_CREDENTIALS[self.credential][0])
        return WhoAmI(principal=principal, tenant=principal.tenant, roles=_CREDENTIALS[self.credential][1])

    def get_concept(self, concept: ConceptId) -> ConceptView:
        self._answer()
        if concept not in self.registry.kinds:
            raise NotFound(f"there is no concept {concept}")
        return ConceptView(
            id=concept,
            kind=self.registry.kinds[concept],
            title="a concept",
            owner=PrincipalId("demo/omar"),
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )

    def report_denied_training(self, wanted: WantedTraining) -> TrainingDenied:
        self._answer()
        self.registry.denied.append(wanted)
        return TrainingDenied(log_indices=tuple(range(len(wanted.concepts))))

    def get_consent(self, consent: RecordId) -> ConsentEvidence:
        self._answer()
        return self.registry.consent

    def get_licence(self, licence_id: RecordId) -> LicenceEvidence:
        self._answer()
        return licence()

    def policies(self) -> PolicyBundleView:
        self._answer()
        return shipped_policies().view()

    def put_blob(self, content: bytes) -> Digest:
        self._answer()
        digest = Digest.of(content)
        self.registry.blobs[digest] = content
        return digest

    def submit_version(self, concept: ConceptId, submission: VersionSubmission) -> VersionView:
        self._answer()
        self.registry.submissions.append((concept, submission))
        manifest = Digest.of(submission.manifest)
        if self.registry.journal:
            with self.registry.journal.open("a") as file:
                file.write(json.dumps({"concept": concept, "manifest": manifest}) + "\n")
        known = [Digest.of(other.manifest) for held, other in self.registry.submissions if held == concept]
        return VersionView(
            concept=concept,
            number=list(dict.fromkeys(known)).index(manifest) + 1,
            status=VersionStatus.SUBMITTED,
            manifest=manifest,
            submitted_by=PrincipalId("demo/training-service"),
            submitted_at=datetime(2026, 1, 1, tzinfo=UTC),
            approvals=0,
            approvals_required=1,
        )

    def list_erasures(self) -> ErasureList:
        self._answer()
        return self.registry.erasures

    def confirm_training_erased(self, erasure: RecordId, erased: TrainingErased) -> ErasureView:
        self._answer()
        (view,) = (view for view in self.registry.erasures.erasures if view.id == erasure)
        said = TrainingErasure(
            jobs=erased.jobs,
            confirmed_by=PrincipalId("demo/training-service"),
            confirmed_at=datetime(2026, 1, 1, tzinfo=UTC),
            log_index=7,
        )
        told = view.model_copy(update={"training": (*view.training, said)})
        self.registry.erasures = ErasureList(erasures=(told,))
        return told

    def _answer(self) -> None:
        if self.registry.away:
            raise ServiceUnavailable("the registry gives no answer")


def shipped_policies() -> PolicyBundle:
    """The bundle in `policies/`."""
    return load_bundle(ROOT / "policies")


@dataclass
class CountingTrain:
    """A training function of `ROUNDS` rounds, each `round_seconds` long; it notes where it began."""

    round_seconds: float = 0.0
    began: list[int] = field(default_factory=list)
    error: Exception | None = None
    on_round: Callable[[int], None] = lambda number: None

    def __call__(self, order: TrainingOrder, *, on_progress: Callable[[JobProgress], None]) -> Trained:
        out = order.folder / OUT
        out.mkdir(parents=True, exist_ok=True)
        first = _rounds_done(order)
        self.began.append(first)
        (order.folder.parent / "began").write_text(str(first))
        if self.error:
            raise self.error
        for number in range(first, ROUNDS):
            on_progress(_progress(number))
            time.sleep(self.round_seconds)
            _save(out / CHECKPOINT_FILE, number + 1)
            self.on_round(number)
        return _trained(order, out)


def _rounds_done(order: TrainingOrder) -> int:
    for folder in order.resume_from:
        checkpoint = folder / OUT / CHECKPOINT_FILE
        if checkpoint.is_file():
            return int(checkpoint.read_text())
    return 0


def _save(path: Path, done: int) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(str(done))
    partial.replace(path)


def _progress(number: int) -> JobProgress:
    return JobProgress(phase="m-step", round=number, rounds=ROUNDS, step=number, steps=ROUNDS, loss=0.5)


def _trained(order: TrainingOrder, out: Path) -> Trained:
    concepts = []
    for wanted in order.request.concepts:
        path = out / wanted.id / "learned_embeds.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(learned_embedding(b"learned", wanted.id, vectors=1, width=4))
        name, media_type = "learned_embeds.safetensors", "application/vnd.safetensors"
        file = TrainedFile(name=name, role=ArtefactRole.EMBEDDING, media_type=media_type, path=path)
        facts = EmbeddingFacts(
            placeholder_token=f"<{wanted.id.replace('/', '-')}>", vectors=1, dimensions=(4,), class_word="fox"
        )
        concepts.append(TrainedConcept(concept=wanted.id, embedding=facts, files=(file,)))
    digest = Digest.of(b"config")
    return Trained(
        base_model=digest, config=digest, software="tests", rounds=ROUNDS, steps=ROUNDS, concepts=tuple(concepts)
    )


class StepClock:
    """A clock that moves on by a second at every reading."""

    def __init__(self) -> None:
        self._ticks = itertools.count()

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(1_800_000_000 + next(self._ticks), UTC)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A trainer on a database, with its ports in hand."""

    runtime: Runtime
    registry: MemoryRegistry
    signer: Ed25519Signer
    engine: Engine

    def upload(self, content: bytes = PICTURE, tenant: str = "demo") -> None:
        """Put a picture where an upload would."""
        path = self.runtime.settings.pictures / TenantName(tenant) / Digest.of(content).hex
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def make_settings(url: str, directory: Path, **changes: object) -> TrainerSettings:
    """Settings with intervals for tests: everything within a second or two."""
    quick: dict[str, object] = {
        "progress_seconds": 0.05,
        "heartbeat_seconds": 0.2,
        "stalled_seconds": 1.0,
        "upkeep_seconds": 1,
        "poll_seconds": 0.2,
        "retry_seconds": 0.1,
    }
    return TrainerSettings(directory=directory, database_url=url, **{**quick, **changes})  # type: ignore[arg-type]


def make_bench(
    url: str,
    directory: Path,
    *,
    clock: Callable[[], datetime] | None = None,
    registry: MemoryRegistry | None = None,
    **changes: object,
) -> Bench:
    """A trainer in `directory` on the migrated database at `url`. Dispose of its engine at the end."""
    settings = make_settings(url, directory, **changes)
    registry = registry or MemoryRegistry()
    engine = create_engine(settings.driver_url)
    counter = itertools.count(1)
    runtime = Runtime(
        settings=settings,
        sessions=sessionmaker(engine),
        open_registry=registry.open,
        open_policy=open_policy,
        clock=clock or StepClock(),
        entropy=lambda size: next(counter).to_bytes(size, "big"),
    )
    return Bench(runtime=runtime, registry=registry, signer=fixed_signer("training-service"), engine=engine)
