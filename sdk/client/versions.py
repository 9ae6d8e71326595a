"""Calls about concepts and their versions: naming, submitting, resolving, reviewing, revoking."""

from __future__ import annotations

from sdk.client.transport import Service
from sdk.spec.api import ConceptList, ConceptView, NewConcept, VersionList, VersionSubmission, VersionView
from sdk.spec.bundle import VersionBundle
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId, VersionRef, parse_version_ref


class VersionCalls:
    """The registry's concepts and versions; mixed into `Client`."""

    _registry: Service

    def create_concept(self, concept: NewConcept) -> ConceptView:
        """POST /v1/concepts."""
        return self._registry.post("/v1/concepts", concept, ConceptView)

    def list_concepts(self) -> ConceptList:
        """GET /v1/concepts: those of the caller's tenant."""
        return self._registry.get("/v1/concepts", ConceptList)

    def get_concept(self, concept: ConceptId) -> ConceptView:
        """GET /v1/concepts/{tenant}/{name}."""
        return self._registry.get(f"/v1/concepts/{concept}", ConceptView)

    def submit_version(self, concept: ConceptId, submission: VersionSubmission) -> VersionView:
        """POST .../versions. The same manifest again answers with the same version."""
        return self._registry.post(f"/v1/concepts/{concept}/versions", submission, VersionView, repeatable=True)

    def list_versions(self, concept: ConceptId) -> VersionList:
        """GET .../versions."""
        return self._registry.get(f"/v1/concepts/{concept}/versions", VersionList)

    def get_version(self, concept: ConceptId, number: int) -> VersionBundle:
        """GET .../versions/{number}: whatever its status."""
        return self._registry.get(f"/v1/concepts/{concept}/versions/{number}", VersionBundle)

    def resolve(self, ref: VersionRef | str) -> VersionBundle:
        """GET /v1/resolve: the version that a reference means; its proofs are still to be verified."""
        parsed = parse_version_ref(ref) if isinstance(ref, str) else ref
        return self._registry.get("/v1/resolve", VersionBundle, {"ref": str(parsed)})

    def review(self, concept: ConceptId, number: int, envelope: Envelope) -> VersionView:
        """POST .../reviews: a signed approval or rejection."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/reviews", envelope, VersionView)

    def revoke(self, concept: ConceptId, number: int, envelope: Envelope) -> VersionView:
        """POST .../revocation: a signed revocation."""
        return self._registry.post(f"/v1/concepts/{concept}/versions/{number}/revocation", envelope, VersionView)
