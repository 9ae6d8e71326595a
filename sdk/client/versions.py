"""Calls about concepts and their versions: naming, submitting, resolving, aliases, history, reviewing, revoking."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sdk.client.transport import Params, Service
from sdk.spec.api import (
    AliasChange,
    AliasChanges,
    AliasesSet,
    AliasList,
    ConceptList,
    ConceptView,
    NewConcept,
    VersionAt,
    VersionList,
    VersionSubmission,
    VersionView,
)
from sdk.spec.bundle import VersionBundle
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import AliasName, ConceptId, VersionRef, parse_version_ref


class VersionCalls:
    """The registry's concepts and versions; mixed into `Client`."""

    _registry: Service

    def create_concept(self, concept: NewConcept) -> ConceptView:
        """POST /v1/concepts."""
        return self._registry.post("/v1/concepts", concept, ConceptView)

    def list_concepts(self, *, as_of: datetime | None = None) -> ConceptList:
        """GET /v1/concepts: those of the caller's tenant, now or as they stood at a moment."""
        return self._registry.get_pages("/v1/concepts", ConceptList, _moment(as_of))

    def get_concept(self, concept: ConceptId, *, as_of: datetime | None = None) -> ConceptView:
        """GET /v1/concepts/{tenant}/{name}, now or as it stood at a moment."""
        return self._registry.get(f"/v1/concepts/{concept}", ConceptView, _moment(as_of))

    def submit_version(self, concept: ConceptId, submission: VersionSubmission) -> VersionView:
        """POST .../versions. The same manifest again answers with the same version."""
        return self._registry.post(f"/v1/concepts/{concept}/versions", submission, VersionView)

    def list_versions(self, concept: ConceptId) -> VersionList:
        """GET .../versions."""
        return self._registry.get_pages(f"/v1/concepts/{concept}/versions", VersionList)

    def get_version(self, concept: ConceptId, number: int, terms_at: datetime | None = None) -> VersionBundle:
        """GET .../versions/{number}: whatever its status; with what it stood under at the moment `terms_at`, if one is given."""
        asked = {} if terms_at is None else {"terms_at": terms_at.isoformat()}
        return self._registry.get(f"/v1/concepts/{concept}/versions/{number}", VersionBundle, asked)

    def resolve(self, ref: VersionRef | str) -> VersionBundle:
        """GET /v1/resolve: the version that a reference means; its proofs are still to be verified."""
        parsed = parse_version_ref(ref) if isinstance(ref, str) else ref
        return self._registry.get("/v1/resolve", VersionBundle, {"ref": str(parsed)})

    def get_file(self, concept: ConceptId, number: int, digest: Digest) -> bytes:
        """GET .../files/{digest}: a picture or report to review. Raises `DigestMismatch` when other bytes come back."""
        content = self._registry.get_bytes(f"/v1/concepts/{concept}/versions/{number}/files/{digest}")
        return verify_digest(content, digest, f"file {digest} of {concept}@{number}")

    def history(self, ref: VersionRef | str, at: datetime) -> VersionAt:
        """GET /v1/history: what a reference meant at a moment. A claim of the registry, which its log can disprove."""
        parsed = parse_version_ref(ref) if isinstance(ref, str) else ref
        return self._registry.get("/v1/history", VersionAt, {"ref": str(parsed), "at": at.isoformat()})

    def set_aliases(self, changes: Sequence[AliasChange]) -> AliasesSet:
        """POST /v1/aliases: all of the changes, or none. Raises `Conflict` naming what an alias names instead."""
        return self._registry.post("/v1/aliases", AliasChanges(changes=tuple(changes)), AliasesSet)

    def list_aliases(self, *, concept: ConceptId | None = None, as_of: datetime | None = None) -> AliasList:
        """GET /v1/aliases: what they name now, or named at a moment."""
        params = _moment(as_of) | ({"concept": str(concept)} if concept else {})
        return self._registry.get_pages("/v1/aliases", AliasList, params)

    def alias_history(self, concept: ConceptId, alias: AliasName) -> AliasList:
        """GET .../aliases/{alias}: everything it ever named, oldest first."""
        return self._registry.get_pages(f"/v1/concepts/{concept}/aliases/{alias}", AliasList)

    def review(self, concept: ConceptId, number: int, envelope: Envelope) -> VersionView:
        """POST .../reviews: a signed approval or rejection."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/reviews", envelope, VersionView)

    def revoke(self, concept: ConceptId, number: int, envelope: Envelope) -> VersionView:
        """POST .../revocation: a signed revocation."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/revocation", envelope, VersionView)


def _moment(as_of: datetime | None) -> Params:
    return {"as_of": as_of.isoformat()} if as_of else {}
