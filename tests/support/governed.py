"""A small governed world from fixed keys: trust root, log, one concept version with every proof. For tests.

`World.bundle()` is a version that verifies. A test changes one thing and sees one error.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from support.memory_log import MemoryLog

from sdk.signing.public_keys import key_id, raw_public_key
from sdk.signing.signer import Ed25519Signer, sign_envelope
from sdk.signing.status import sign_status_list
from sdk.signing.trust import TrustedKey, TrustRole, TrustRoot
from sdk.spec.bundle import ApprovalEvidence, VersionBundle, VersionStatus
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, TenantName
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import (
    ArtefactDescriptor,
    ArtefactRole,
    ConceptKind,
    ConceptManifest,
    EmbeddingFacts,
    TrainingRecord,
    encode_manifest,
)
from sdk.spec.recorded import STATEMENT, SubmissionPredicate
from sdk.spec.statements import ApprovalPredicate, Predicate, TrainingPredicate, encode_statement, terms_digest
from sdk.spec.status_list import StatusListName, list_number, make_bits, make_credential
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

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ORIGIN = "log.test/imprimatur"
FOX = ConceptId("demo/fox")
EMBEDDING = b"an embedding file"
_SEED_BYTES = 64  # at most; what is longer is a file


def fixed_signer(name: str) -> Ed25519Signer:
    """The signer that `name` always gives. Never a real key."""
    return Ed25519Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"test key {name}".encode()).digest()))


class P256Signer:
    """A `Signer` over an ECDSA P-256 key in memory: what key services and hardware modules hold."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public_key = raw_public_key(self._key.public_key()) or b""
        self.keyid = key_id(self.public_key)

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content, ec.ECDSA(SHA256()))


def record_id(prefix: str, name: str = "a") -> RecordId:
    """A record id that `name` always gives."""
    return RecordId(f"{prefix}_{name * 26}"[:30])


HOLDERS = {
    "root": TrustRole.ROOT,
    "log": TrustRole.LOG,
    "training-service": TrustRole.TRAINING,
    "reviewer": TrustRole.APPROVAL,
    "second-reviewer": TrustRole.APPROVAL,
    "owner": TrustRole.APPROVAL,  # a key that must not count for what its holder owns
    "trainer": TrustRole.APPROVAL,  # nor for what its holder trained
    "app": TrustRole.GENERATION,
    "auditor": TrustRole.AUDIT,
    "status": TrustRole.STATUS,
    "decision": TrustRole.DECISION,
}


def make_trust_root(**changes: Any) -> TrustRoot:
    keys = {
        fixed_signer(name).keyid: TrustedKey(
            public_key=fixed_signer(name).public_key, role=role, holder=PrincipalId(f"demo/{name}")
        )
        for name, role in HOLDERS.items()
    }
    return TrustRoot(
        **{"version": 1, "expires_at": NOW + timedelta(days=365), "log_origin": ORIGIN, "keys": keys} | changes
    )


SALT = "5a" * 16
EVIDENCE = Evidence(document=Digest.of(b"agreement"), page=1, clause="1")


def use_terms(**changes: Any) -> UseTerms:
    return UseTerms(
        **{
            "purposes": ("advertising", "editorial"),
            "territories": ("DE", "JP"),
            "channels": ("print", "web"),
            "valid_from": NOW - timedelta(days=30),
            "valid_until": NOW + timedelta(days=365),
        }
        | changes
    )


def consent_record(*covers: ConceptId, **changes: Any) -> ConsentRecord:
    return ConsentRecord(
        **{
            "covers": covers or (FOX,),
            "subject": "subject-0001",
            "age_class": AgeClass.NOT_A_PERSON,
            "controller": "Demo Studio",
            "notice": "https://studio.example/notice",
            "notice_language": "en",
            "terms": use_terms(),
            "withdrawal_method": "a message to consent@studio.example",
            "evidence": EVIDENCE,
            "expressed_by": "subject-0001",
            "expressed_as": Capacity.SELF,
            "expressed_on": date(2026, 10, 1),
        }
        | changes
    )


def licence_grant(*covers: ConceptId, **changes: Any) -> LicenceGrant:
    return LicenceGrant(
        **{
            "covers": covers or (FOX,),
            "rights_holder": "holder-0001",
            "capacity": Capacity.SELF,
            "license": "LicenseRef-demo-1",
            "attribution": "Demo Studio",
            "terms": use_terms(),
            "evidence": Evidence(document=Digest.of(b"agreement"), page=1, clause="2"),
        }
        | changes
    )


def consent_evidence(record: ConsentRecord | None = None, name: str = "a") -> ConsentEvidence:
    record = record or consent_record()
    digest = Digest.of(encode_canonical(record))
    return ConsentEvidence(id=record_id("con", name), digest=digest, record=record, status=ConsentStatus.GIVEN)


def licence_evidence(grant: LicenceGrant | None = None, name: str = "a") -> LicenceEvidence:
    grant = grant or licence_grant()
    return LicenceEvidence(id=record_id("lic", name), digest=Digest.of(encode_canonical(grant)), grant=grant)


def make_manifest(embedding: bytes = EMBEDDING, **changes: Any) -> ConceptManifest:
    concept = changes.get("concept", FOX)
    artefact = ArtefactDescriptor(
        name="learned_embeds.safetensors",
        role=ArtefactRole.EMBEDDING,
        media_type="application/vnd.safetensors",
        size=len(embedding),
        digest=Digest.of(embedding),
    )
    training = TrainingRecord(
        job=record_id("job"),
        requested_by=PrincipalId("demo/trainer"),
        software="imprimatur 0.1.0",
        config=Digest.of(b"config"),
        seed=7,
        rounds=4,
        steps=400,
        pictures=(Digest.of(b"picture"),),
        started_at=NOW - timedelta(hours=2),
        finished_at=NOW - timedelta(hours=1),
    )
    facts = EmbeddingFacts(
        placeholder_token=f"<{concept.replace('/', '-')}>", vectors=2, dimensions=(16,), class_word="fox"
    )
    return ConceptManifest(
        **{
            "concept": concept,
            "kind": ConceptKind.SUBJECT,
            "base_model": Digest.of(b"base model"),
            "embedding": facts,
            "artefacts": (artefact,),
            "training": training,
            "consents": (record_id("con"),),
            "licences": (record_id("lic"),),
        }
        | changes
    )


def learned_embedding(seed: bytes, concept: ConceptId, *, vectors: int = 2, width: int = 16) -> bytes:
    """An embedding file as `make_manifest` describes it, of numbers made from `seed`; what is a file already stays as it is."""
    if len(seed) > _SEED_BYTES:
        return seed
    numbers = struct.pack(
        f"<{vectors * width}f", *(byte / 256 for byte in hashlib.shake_256(seed).digest(vectors * width))
    )
    tensor = {"dtype": "F32", "shape": [vectors, width], "data_offsets": [0, len(numbers)]}
    header = json.dumps({f"<{concept.replace('/', '-')}>": tensor}).encode()
    return struct.pack("<Q", len(header)) + header + numbers


def sign_about(predicate: Predicate, digest: Digest, signer: str, concept: ConceptId = FOX) -> Envelope:
    """A statement about one digest, signed by the fixed key of `signer`."""
    return sign_envelope(encode_statement(predicate, subjects={str(concept): digest}), fixed_signer(signer))


class World:
    """A trust root, a log, and versions with their proofs."""

    def __init__(
        self,
        *,
        manifest: ConceptManifest | None = None,
        number: int = 1,
        approvals_required: int = 1,
        stated: Mapping[str, Any] | None = None,  # options of `state`; none: from before submissions were stated
        log: MemoryLog | None = None,  # of a world before; none: a new one
    ) -> None:
        self.trust = make_trust_root()
        self.log = log or MemoryLog(ORIGIN, fixed_signer("log"), NOW)
        if log is None:
            self.log.append(AuditEventType.LOG_OPENED, ORIGIN)
        self.manifest = manifest or make_manifest()
        self.number = number
        self.approvals_required = approvals_required
        concept = self.manifest.concept
        self.consents = (consent_evidence(consent_record(concept)),)
        self.licences = (licence_evidence(licence_grant(concept)),)
        self.attestation = self.attest()
        self.statement = None if stated is None else self.state(**stated)
        self.submission_index = self.log_submission()
        self.approvals: list[tuple[Envelope, int]] = []

    @property
    def name(self) -> str:
        return f"{self.manifest.concept}@{self.number}"

    @property
    def terms(self) -> Digest:
        return terms_digest(tuple(record.digest for record in (*self.consents, *self.licences)))

    def attest(self, signer: str = "training-service", **changes: Any) -> Envelope:
        predicate = TrainingPredicate(**{"concept": self.manifest.concept, "record": self.manifest.training} | changes)
        return sign_about(predicate, self.manifest.digest, signer, self.manifest.concept)

    def state(self, signer: str = "decision", *, about: Digest | None = None, **changes: Any) -> Envelope:
        """What the registry states about the submission; `changes` are members of its predicate."""
        predicate = SubmissionPredicate(
            **{
                "concept": self.manifest.concept,
                "number": self.number,
                "attestation": self.attestation.digest,
                "owner": PrincipalId("demo/owner"),
                "trainer_of_record": self.manifest.training.requested_by,
                "approvals_required": self.approvals_required,
                "risk_class": "subject",
                "recorded_by": PrincipalId("demo/somebody"),  # who `MemoryLog` says it was
                "recorded_at": NOW,
            }
            | changes
        )
        statement = encode_statement(predicate, subjects={self.name: about or self.manifest.digest})
        return sign_envelope(statement, fixed_signer(signer))

    def log_submission(self) -> int:
        evidence = {"manifest": self.manifest.digest, "attestation": self.attestation.digest}
        evidence |= {STATEMENT: self.statement.digest} if self.statement else {}
        facts = {"owner": "demo/owner", "approvals_required": str(self.approvals_required)}
        return self.log.append(AuditEventType.VERSION_SUBMITTED, self.name, evidence=evidence, facts=facts)

    def approve(
        self, signer: str = "reviewer", *, about: Digest | None = None, signed_by: str | None = None, **changes: Any
    ) -> Envelope:
        """Sign and log an approval; `changes` are members of its predicate."""
        predicate = ApprovalPredicate(
            **{
                "concept": self.manifest.concept,
                "number": self.number,
                "reviewer": PrincipalId(f"demo/{signer}"),
                "terms": self.terms,
                "signed_at": NOW,
            }
            | changes
        )
        envelope = sign_about(predicate, about or self.manifest.digest, signed_by or signer, self.manifest.concept)
        index = self.log.append(
            AuditEventType.APPROVAL_SIGNED, self.name, actor=f"demo/{signer}", evidence={"envelope": envelope.digest}
        )
        self.approvals.append((envelope, index))
        return envelope

    def status_list(
        self,
        status: VersionStatus = VersionStatus.APPROVED,
        *,
        at: datetime = NOW,
        origin: str = ORIGIN,
        tenant: str | None = None,
        signer: str = "status",
        statuses: Mapping[int, VersionStatus] | None = None,
    ) -> bytes:
        """The signed list that the version stands in, from `at` on, for a minute."""
        entry = self.submission_index
        name = StatusListName(
            log_origin=origin, tenant=TenantName(tenant or self.manifest.concept.tenant), number=list_number(entry)
        )
        credential = make_credential(name, make_bits(statuses or {entry: status}), at=at, ttl=timedelta(minutes=1))
        return sign_status_list(credential, fixed_signer(signer))

    def bundle(self, **changes: Any) -> VersionBundle:
        """The version as the registry would send it now."""
        approvals = tuple(
            ApprovalEvidence(envelope=envelope, receipt=self.log.receipt(index)) for envelope, index in self.approvals
        )
        return VersionBundle(
            **{
                "concept": self.manifest.concept,
                "number": self.number,
                "status": VersionStatus.APPROVED,
                "owner": PrincipalId("demo/owner"),
                "approvals_required": self.approvals_required,
                "manifest": encode_manifest(self.manifest),
                "training_attestation": self.attestation,
                "submission_receipt": self.log.receipt(self.submission_index),
                "submission_statement": self.statement,
                "approvals": approvals,
                "consents": self.consents,
                "licences": self.licences,
                "checkpoint": self.log.note().decode(),
            }
            | changes
        )
