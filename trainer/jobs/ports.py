"""What training jobs need from outside, as protocols and the values that cross them. No effects here.

`sdk.client.Client` is the `RegistryPort`, `sdk.policy.cedar.CedarEngine` the policy engine, and `trainer.worker`
gives the `Train` function; tests give their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from sdk.policy.engine import PolicyEngine
from sdk.spec.api import ConceptView, PolicyBundleView, VersionSubmission, VersionView, WhoAmI
from sdk.spec.denials import TrainingDenied, WantedTraining
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureList, ErasureView, TrainingErased
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ArtefactRole, EmbeddingFacts
from sdk.spec.terms import ConsentEvidence, LicenceEvidence
from sdk.spec.training import JobProgress, TrainingRequest

Clock = Callable[[], datetime]
"""Returns the moment as an aware UTC `datetime`."""

Entropy = Callable[[int], bytes]
"""Returns that many unpredictable bytes."""


class RegistryPort(Protocol):
    """The registry, as one principal sees it. Every method raises classes of `sdk.errors`."""

    def whoami(self) -> WhoAmI: ...

    def get_concept(self, concept: ConceptId) -> ConceptView: ...

    def get_consent(self, consent: RecordId) -> ConsentEvidence: ...

    def get_licence(self, licence: RecordId) -> LicenceEvidence: ...

    def policies(self) -> PolicyBundleView: ...

    def report_denied_training(self, wanted: WantedTraining) -> TrainingDenied: ...

    def put_blob(self, content: bytes) -> Digest: ...

    def submit_version(self, concept: ConceptId, submission: VersionSubmission) -> VersionView: ...

    def list_erasures(self) -> ErasureList: ...

    def confirm_training_erased(self, erasure: RecordId, erased: TrainingErased) -> ErasureView: ...


OpenRegistry = Callable[[str], AbstractContextManager[RegistryPort]]
"""Opens the registry for the bearer of a credential."""

OpenPolicy = Callable[[PolicyBundleView], PolicyEngine]
"""Makes the engine that decides by a bundle, whose digest it checks."""


@dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """One attempt at one job, with its pictures and masks on disk."""

    job: RecordId
    attempt: int
    request: TrainingRequest
    files: Mapping[Digest, Path]
    folder: Path  # of this attempt alone
    resume_from: tuple[Path, ...] = ()  # folders of earlier attempts, newest first


@dataclass(frozen=True, kw_only=True)
class TrainedFile:
    """A file that becomes an artefact of a version, under `name`."""

    name: str
    role: ArtefactRole
    media_type: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class TrainedConcept:
    """What was learned of one concept."""

    concept: ConceptId
    embedding: EmbeddingFacts
    files: tuple[TrainedFile, ...]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training function made; nothing of it is believed to be stored yet."""

    base_model: Digest
    config: Digest
    software: str
    rounds: int
    steps: int
    concepts: tuple[TrainedConcept, ...]


class Train(Protocol):
    """Trains what is ordered, going on from the newest `TrainingCheckpoint` it finds in the order's folders.

    It calls `on_progress` often and lets through whatever that raises: so a job is cancelled, handed over or stopped.
    """

    def __call__(self, order: TrainingOrder, *, on_progress: Callable[[JobProgress], None]) -> Trained: ...
