"""Calls about oneself, consents, licences, policies and blobs."""

from __future__ import annotations

from datetime import datetime

from sdk.client.salting import salted
from sdk.client.transport import Params, Service
from sdk.spec.api import Health, PolicyBundleView, RecordAccepted, WhoAmI, Withdrawal
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.envelope import Envelope
from sdk.spec.erasure import ErasureAccepted, ErasureList, ErasureRequest, ErasureView, TrainingErased
from sdk.spec.ids import RecordId
from sdk.spec.terms import ConsentEvidence, ConsentRecord, LicenceEvidence, LicenceGrant


class RecordCalls:
    """The registry's records; mixed into `Client`."""

    _registry: Service

    def health(self) -> Health:
        """GET /healthz."""
        return self._registry.get("/healthz", Health)

    def ready(self) -> Health:
        """GET /readyz. Raises `ServiceUnavailable` naming what cannot serve: database, blob store, log key."""
        return self._registry.get("/readyz", Health)

    def trust_root(self) -> Envelope:
        """GET /v1/trust-root: signed, and to be verified before use."""
        return self._registry.get("/v1/trust-root", Envelope)

    def whoami(self) -> WhoAmI:
        """GET /v1/whoami."""
        return self._registry.get("/v1/whoami", WhoAmI)

    def policies(self, *, as_of: datetime | None = None, digest: Digest | None = None) -> PolicyBundleView:
        """GET /v1/policies: the bundle in force, now or at a moment, or the one that a decision names."""
        params: Params = {"as_of": as_of.isoformat()} if as_of else {}
        if digest:
            params = {"digest": str(digest)}
        return self._registry.get("/v1/policies", PolicyBundleView, params)

    def put_blob(self, content: bytes) -> Digest:
        """PUT /v1/blobs/{digest}: store `content` and return its digest."""
        digest = Digest.of(content)
        self._registry.put_bytes(f"/v1/blobs/{digest}", content)
        return digest

    def get_blob(self, digest: Digest) -> bytes:
        """GET /v1/blobs/{digest}: a document. Raises `DigestMismatch` when other bytes come back."""
        return verify_digest(self._registry.get_bytes(f"/v1/blobs/{digest}"), digest, f"blob {digest}")

    def give_consent(self, record: ConsentRecord) -> RecordAccepted:
        """POST /v1/consents. A record without a salt gets one."""
        return self._registry.post("/v1/consents", salted(record), RecordAccepted)

    def get_consent(self, consent: RecordId) -> ConsentEvidence:
        """GET /v1/consents/{id}."""
        return self._registry.get(f"/v1/consents/{consent}", ConsentEvidence)

    def withdraw_consent(self, consent: RecordId, reason: str) -> RecordAccepted:
        """POST /v1/consents/{id}/withdrawal."""
        return self._registry.post(f"/v1/consents/{consent}/withdrawal", Withdrawal(reason=reason), RecordAccepted)

    def grant_licence(self, grant: LicenceGrant) -> RecordAccepted:
        """POST /v1/licences."""
        return self._registry.post("/v1/licences", grant, RecordAccepted)

    def get_licence(self, licence: RecordId) -> LicenceEvidence:
        """GET /v1/licences/{id}."""
        return self._registry.get(f"/v1/licences/{licence}", LicenceEvidence)

    def erase_subject(self, subject: str) -> ErasureAccepted:
        """POST /v1/erasures: destroy the keys of everything about a person, for good."""
        return self._registry.post("/v1/erasures", ErasureRequest(subject=subject), ErasureAccepted)

    def list_erasures(self) -> ErasureList:
        """GET /v1/erasures: the certificates of the tenant."""
        return self._registry.get_pages("/v1/erasures", ErasureList)

    def confirm_training_erased(self, erasure: RecordId, erased: TrainingErased) -> ErasureView:
        """POST /v1/erasures/{id}/training: what the training service held of these jobs is destroyed."""
        return self._registry.post(f"/v1/erasures/{erasure}/training", erased, ErasureView)
