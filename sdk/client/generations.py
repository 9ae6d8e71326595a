"""Calls around one generation: the intent before, the artefacts under its grant, the result after."""

from __future__ import annotations

from sdk.client.transport import Params, Service
from sdk.spec.api import (
    DecisionPage,
    DecisionQuery,
    GenerationGrant,
    GenerationIntent,
    GenerationList,
    GenerationResult,
    GenerationView,
    LicenceCount,
)
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.identify import IdentifyAnswer, IdentifyQuery
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.opening import GrownReceipt, OpeningQuery, RecordingQuery
from sdk.spec.usage import UsageQuery, UsageReport


class GenerationCalls:
    """The registry's generations; mixed into `Client`."""

    _registry: Service

    def open_generation(self, intent: GenerationIntent, query: OpeningQuery | None = None) -> GenerationGrant:
        """POST /v1/generations. Repeatable: the intent carries an idempotency key, under which it is permitted once.

        Raises:
            PolicyDenied: the registry's decision of record is no; it is recorded too.
            Conflict: other policies are in force, or a reference in `query` does not mean its version any more.
        """
        return self._registry.post_repeatable("/v1/generations", intent, GenerationGrant, _params(query))

    def list_generations(self, concept: ConceptId | None = None) -> GenerationList:
        """GET /v1/generations, optionally of one concept."""
        params = {"concept": str(concept)} if concept else None
        return self._registry.get_pages("/v1/generations", GenerationList, params)

    def list_decisions(self, query: DecisionQuery | None = None) -> DecisionPage:
        """GET /v1/generations/decisions, a page at a time."""
        asked = (query or DecisionQuery()).model_dump(mode="json", exclude_none=True)
        params = {name: str(value) for name, value in asked.items()}
        return self._registry.get("/v1/generations/decisions", DecisionPage, params)

    def usage(self, query: UsageQuery) -> UsageReport:
        """GET /v1/generations/usage: how much was used, told apart by the dimensions asked for."""
        asked = query.model_dump(mode="json", exclude_none=True)
        return self._registry.get("/v1/generations/usage", UsageReport, asked)

    def identify(self, query: IdentifyQuery) -> IdentifyAnswer:
        """POST /v1/generations/identify: which image on record a picture is, or looks like. Changes nothing."""
        return self._registry.post("/v1/generations/identify", query, IdentifyAnswer)

    def count_images(self, licence: RecordId) -> LicenceCount:
        """GET /v1/generations/licences/{id}: images granted under a licence."""
        return self._registry.get(f"/v1/generations/licences/{licence}", LicenceCount)

    def get_generation(self, generation: RecordId) -> GenerationView:
        """GET /v1/generations/{id}."""
        return self._registry.get(f"/v1/generations/{generation}", GenerationView)

    def fetch_artefact(self, generation: RecordId, digest: Digest) -> bytes:
        """GET .../artefacts/{digest}, while the grant lasts. Raises `DigestMismatch` when other bytes come back."""
        content = self._registry.get_bytes(f"/v1/generations/{generation}/artefacts/{digest}")
        return verify_digest(content, digest, f"artefact {digest}")

    def record_generation(
        self, generation: RecordId, result: GenerationResult, query: RecordingQuery | None = None
    ) -> GrownReceipt:
        """POST .../result. Repeatable: the same result again has the same answer."""
        path = f"/v1/generations/{generation}/result"
        return self._registry.post_repeatable(path, result, GrownReceipt, _params(query))


def _params(query: RecordingQuery | None) -> Params:
    return query.model_dump(mode="json", exclude_defaults=True) if query else {}
