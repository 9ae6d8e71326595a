"""Takes a concept through the real registry: create, consent, licence, submit, review, revoke, compose. For tests.

steps = Steps(registry)
fox = steps.submitted()                 # concept demo/fox of demo/owner, trained by demo/trainer
steps.review(fox, "reviewer")           # the answer of the registry, whatever it is
steps.approved()                        # all of it, checked
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.governed import SALT, consent_record, learned_embedding, licence_grant, make_manifest, use_terms
from support.registry import ROLES, RegistryUnderTest

from registry.auth import Caller
from sdk.signing.signer import sign_envelope
from sdk.spec.api import GeneratedImage, GenerationIntent, GenerationResult, NewConcept, VersionSubmission, Withdrawal
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.fingerprint import Fingerprint
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ArtefactDescriptor, ArtefactRole, ConceptKind, ConceptManifest, encode_manifest
from sdk.spec.policy import Use
from sdk.spec.renewal import RenewalRequest
from sdk.spec.review import Assignment, NewComment, ReviewRequest
from sdk.spec.statements import (
    ApprovalPredicate,
    GenerationPredicate,
    Predicate,
    RejectionPredicate,
    RevocationPredicate,
    TrainingPredicate,
    encode_statement,
    terms_digest,
)
from sdk.spec.terms import UseTerms

_UNLOGGED = {  # logged with the row they belong to; a column to try to change
    "version_consents": "number",
    "generation_versions": "number",
    "licence_uses": "images",
    "version_statuses": "number",
    "sealed_artefacts": "number",
    "version_previews": "number",
}
FOX = ConceptId("demo/fox")
INTENDED_USE = "posters of the singer in a red coat for the 2027 spring tour, shown in Tokyo"
USE = Use(purpose="advertising", territory="JP", channel="web")


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A version in the registry, and what it rests on."""

    concept: ConceptId
    number: int
    manifest: ConceptManifest
    consent: RecordId
    terms: Digest
    embedding: bytes

    @property
    def path(self) -> str:
        return f"/v1/concepts/{self.concept}/versions/{self.number}"

    @property
    def name(self) -> str:
        return f"{self.concept}@{self.number}"


@dataclass(frozen=True)
class Steps:
    """One step a method; `post` and its kin return the raw answer, `accepted` insists on a good one."""

    registry: RegistryUnderTest

    def post(self, name: str | None, path: str, body: WireModel) -> httpx.Response:
        content = body.model_dump_json(by_alias=True, exclude_none=True)
        return self.registry.client(name).post(path, content=content, headers={"Content-Type": "application/json"})

    def get(self, name: str, path: str) -> Any:
        return accepted(self.registry.client(name).get(path))

    def terms(self, **changes: Any) -> UseTerms:
        now = self.registry.clock.now
        span = {"valid_from": now - timedelta(days=1), "valid_until": now + timedelta(days=100)}
        return use_terms(**span | changes)

    def concept(self, concept: ConceptId = FOX, kind: ConceptKind = ConceptKind.SUBJECT) -> ConceptId:
        if self.registry.client("owner").get(f"/v1/concepts/{concept}").status_code == 404:
            accepted(self.post("owner", "/v1/concepts", NewConcept(id=concept, kind=kind, title=str(concept))))
        return concept

    def consent(self, concept: ConceptId, **changes: Any) -> dict[str, Any]:
        record = consent_record(concept, **{"terms": self.terms(), "salt": SALT} | changes)
        return accepted(self.post("owner", "/v1/consents", record))

    def licence(self, concept: ConceptId, **changes: Any) -> dict[str, Any]:
        return accepted(self.post("owner", "/v1/licences", licence_grant(concept, **{"terms": self.terms()} | changes)))

    def manifest(
        self,
        concept: ConceptId = FOX,
        *,
        kind: ConceptKind = ConceptKind.SUBJECT,
        embedding: bytes = b"e",
        files: Mapping[ArtefactRole, bytes] | None = None,
        **changes: Any,
    ) -> ConceptManifest:
        """A manifest whose artefacts are uploaded and whose records are on file; `files` come after the embedding."""
        self.concept(concept, kind)
        learned = learned_embedding(embedding, concept)
        for content in (learned, *(files or {}).values()):
            self.upload(content)
        described = {"intended_uses": (INTENDED_USE,)} if kind is ConceptKind.PERSON else {}
        records = {
            "consents": (RecordId(self.consent(concept)["id"]),),
            "licences": (RecordId(self.licence(concept, **described)["id"]),),
        }
        made = make_manifest(learned, **{"concept": concept, "kind": kind} | records | changes)
        more = tuple(_described(role, content) for role, content in (files or {}).items())
        return made.model_copy(update={"artefacts": made.artefacts + more})

    def upload(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.registry.client("training-service").put(f"/v1/blobs/{digest}", content=content).raise_for_status()
        return digest

    def attest(self, manifest: ConceptManifest, signer: str = "training-service", **changes: Any) -> Envelope:
        predicate = TrainingPredicate(**{"concept": manifest.concept, "record": manifest.training} | changes)
        return self.sign(predicate, signer, {str(manifest.concept): manifest.digest})

    def sign(self, predicate: Predicate, signer: str, subjects: dict[str, Digest]) -> Envelope:
        return sign_envelope(encode_statement(predicate, subjects=subjects), self.registry.keys[signer])

    def submit(
        self,
        manifest: ConceptManifest,
        *,
        name: str = "training-service",
        attestation: Envelope | None = None,
        draft: bool = False,
    ) -> httpx.Response:
        signed = attestation or self.attest(manifest)
        body = VersionSubmission(manifest=encode_manifest(manifest), attestation=signed, draft=draft)
        return self.post(name, f"/v1/concepts/{manifest.concept}/versions", body)

    def drafted(self, concept: ConceptId = FOX, **changes: Any) -> Submitted:
        return self.submitted(concept, draft=True, **changes)

    def submitted(self, concept: ConceptId = FOX, *, draft: bool = False, **changes: Any) -> Submitted:
        manifest = self.manifest(concept, **changes)
        view = accepted(self.submit(manifest, draft=draft))
        records = [self.get("reviewer", f"/v1/consents/{record}")["digest"] for record in manifest.consents]
        records += [self.get("reviewer", f"/v1/licences/{record}")["digest"] for record in manifest.licences]
        return Submitted(
            concept=concept,
            number=view["number"],
            manifest=manifest,
            consent=manifest.consents[0],
            terms=terms_digest(tuple(map(Digest, records))),
            embedding=learned_embedding(changes.get("embedding", b"e"), concept),
        )

    def approval(
        self, version: Submitted, name: str, *, signer: str | None = None, about: Digest | None = None, **changes: Any
    ) -> Envelope:
        predicate = ApprovalPredicate(
            **{
                "concept": version.concept,
                "number": version.number,
                "reviewer": self.registry.principals[name],
                "terms": version.terms,
                "signed_at": self.registry.clock.now,
            }
            | changes
        )
        return self.sign(predicate, signer or name, {str(version.concept): about or version.manifest.digest})

    def ask(self, version: Submitted, name: str = "owner", **wanted: Any) -> httpx.Response:
        return self.post(name, f"{version.path}/review-request", ReviewRequest(**wanted))

    def assign(self, version: Submitted, *reviewers: str, name: str = "reviewer", **changes: Any) -> httpx.Response:
        named = tuple(self.registry.principals[reviewer] for reviewer in reviewers)
        return self.post(name, f"{version.path}/assignment", Assignment(reviewers=named, **changes))

    def comment(
        self, version: Submitted, words: str = "look", name: str = "reviewer", reply_to: int | None = None
    ) -> httpx.Response:
        return self.post(name, f"{version.path}/comments", NewComment(text=words, reply_to=reply_to))

    def review(self, version: Submitted, name: str = "reviewer", **changes: Any) -> httpx.Response:
        return self.post(name, f"{version.path}/reviews", self.approval(version, name, **changes))

    def rejection(self, version: Submitted, name: str = "reviewer", **changes: Any) -> Envelope:
        predicate = RejectionPredicate(
            **{
                "concept": version.concept,
                "number": version.number,
                "reviewer": self.registry.principals[name],
                "reason": "not recognisable",
                "signed_at": self.registry.clock.now,
            }
            | changes
        )
        return self.sign(predicate, name, {str(version.concept): version.manifest.digest})

    def reject(self, version: Submitted, name: str = "reviewer") -> httpx.Response:
        return self.post(name, f"{version.path}/reviews", self.rejection(version, name))

    def revocation(self, version: Submitted, name: str, reason: str = "harm found", **changes: Any) -> Envelope:
        predicate = RevocationPredicate(
            **{
                "concept": version.concept,
                "number": version.number,
                "revoked_by": self.registry.principals[name],
                "reason": reason,
                "signed_at": self.registry.clock.now,
            }
            | changes
        )
        return self.sign(predicate, name, {str(version.concept): version.manifest.digest})

    def revoke(self, version: Submitted, name: str = "reviewer", **changes: Any) -> httpx.Response:
        return self.post(name, f"{version.path}/revocation", self.revocation(version, name, **changes))

    def approved(self, concept: ConceptId = FOX, **changes: Any) -> Submitted:
        version = self.submitted(concept, **changes)
        if accepted(self.review(version))["status"] == "in-review":  # a person, or a minor
            accepted(self.review(version, "second-reviewer"))
        return version

    def renewal(self, version: Submitted, name: str = "owner", **records: tuple[str, ...]) -> httpx.Response:
        """Ask that it stand under these consents and licences; those of its manifest where none are named."""
        named = {kind: records.get(kind, getattr(version.manifest, kind)) for kind in ("consents", "licences")}
        return self.post(name, f"{version.path}/renewals", RenewalRequest(**named))

    def review_renewal(
        self, version: Submitted, terms: str, name: str = "reviewer", *, reject: bool = False, **changes: Any
    ) -> httpx.Response:
        """An approval of the renewal that waits, or a rejection."""
        envelope = self.approval(version, name, terms=Digest(terms), **changes)
        if reject:
            envelope = self.rejection(version, name, terms=Digest(terms))
        return self.post(name, f"{version.path}/renewal/reviews", envelope)

    def withdraw(self, version: Submitted, name: str = "owner") -> httpx.Response:
        return self.post(name, f"/v1/consents/{version.consent}/withdrawal", Withdrawal(reason="asked to"))

    def intent(self, *versions: Submitted, key: str = "k" * 16, **changes: Any) -> GenerationIntent:
        return GenerationIntent(
            **{
                "manifests": tuple(version.manifest.digest for version in versions),
                "scene": Digest.of(b"a scene"),
                "use": USE,
                "count": 2,
                "seed": 7,
                "base_model": versions[0].manifest.base_model,
                "policy_bundle": self.registry.runtime.policy.bundle_digest,
                "idempotency_key": key,
            }
            | changes
        )

    def compose(self, *versions: Submitted, name: str = "app", **changes: Any) -> httpx.Response:
        return self.post(name, "/v1/generations", self.intent(*versions, **changes))

    def result(
        self,
        generation: str,
        *versions: Submitted,
        images: tuple[bytes, ...] = (b"one", b"two"),
        signer: str = "app",
        stated: tuple[bytes, ...] | None = None,
        **changes: Any,
    ) -> GenerationResult:
        predicate = GenerationPredicate(
            **{
                "generation": generation,
                "application": self.registry.principals["app"],
                "manifests": tuple(version.manifest.digest for version in versions),
                "finished_at": self.registry.clock.now,
            }
            | changes
        )
        subjects = {f"{place}.png": Digest.of(image) for place, image in enumerate(stated or images)}
        listed = tuple(
            GeneratedImage(
                digest=Digest.of(i), media_type="image/png", size=len(i), fingerprints=(stand_in_fingerprint(i),)
            )
            for i in images
        )
        return GenerationResult(images=listed, statement=self.sign(predicate, signer, subjects))

    def events(self, subject: str | None = None) -> list[tuple[str, str]]:
        """(event, actor) of the tenant's log, oldest first; of one subject, if one is named."""
        params = {"limit": 1000} | ({"subject": subject} if subject else {})
        page = accepted(self.registry.client("auditor").get("/v1/log/entries", params=params))
        return [(logged["entry"]["event"], logged["entry"]["actor"]) for logged in page["entries"]]


def stand_in_fingerprint(image: bytes) -> Fingerprint:
    """A fingerprint for bytes that are no picture: far from that of any others."""
    return Fingerprint(f"dct256:{hashlib.sha256(image).hexdigest()}")


def _described(role: ArtefactRole, content: bytes) -> ArtefactDescriptor:
    return ArtefactDescriptor(
        name=f"{role.value}.bin",
        role=role,
        media_type="application/octet-stream",
        size=len(content),
        digest=Digest.of(content),
    )


def accepted(answer: httpx.Response) -> Any:
    """The body of a good answer; a bad one fails the test with what it says."""
    assert answer.status_code < 300, answer.text
    return json.loads(answer.content)


def refused(answer: httpx.Response, status: int, code: str, says: str = "") -> dict[str, Any]:
    """The problem of an answer that must be this refusal."""
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    assert says in problem["detail"], problem["detail"]
    return problem


def rules_of(problem: dict[str, Any]) -> list[str]:
    """The rules that a refusal by policy names."""
    return [reason["rule"] for reason in problem["decision"]["reasons"]]


def assert_insert_only(registry: RegistryUnderTest, table: str) -> None:
    """The database refuses to change or remove the rows of `table`, of which there is at least one."""
    with registry.engine.connect() as connection:
        assert connection.scalar(text(f"SELECT count(*) FROM {table}"))
    column = _UNLOGGED.get(table, "log_index")
    for act in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
        with pytest.raises(DBAPIError, match="evidence"), registry.engine.begin() as connection:
            connection.execute(text(act))


def caller(registry: RegistryUnderTest, name: str) -> Caller:
    """The caller that `name` is, for calling services without HTTP."""
    principal, roles = ROLES[name]
    who = registry.principals[name]
    assert str(who) == principal
    return Caller(principal=who, tenant=who.tenant, roles=roles)
