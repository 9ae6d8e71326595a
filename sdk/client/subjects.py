"""Calls about the persons behind records: the consents about them, who they are or who speaks for them; exports."""

from __future__ import annotations

from datetime import datetime

from sdk.client.salting import salted
from sdk.client.transport import Params, Service
from sdk.spec.api import RecordAccepted, VersionList
from sdk.spec.consent_events import ConsentAnswer, ConsentReceipt, LifeEventRecorded, LifeEventReport
from sdk.spec.ids import RecordId
from sdk.spec.subjects import ConsentPage, SubjectAccepted, SubjectBinding, SubjectList, SubjectRelease
from sdk.spec.terms import ConsentEvidence, ConsentStatus
from sdk.spec.texts import Pseudonym


class SubjectCalls:
    """The registry's subjects; mixed into `Client`."""

    _registry: Service

    def list_consents(
        self,
        *,
        subject: Pseudonym | None = None,
        status: ConsentStatus | None = None,
        as_of: datetime | None = None,
        after: RecordId | None = None,
        limit: int = 100,
    ) -> ConsentPage:
        """GET /v1/consents: the tenant's; to a subject, those about them. Now, or as they stood at a moment."""
        moment = as_of.isoformat() if as_of else None
        asked: dict[str, str | None] = {"subject": subject, "status": status, "as_of": moment, "after": after}
        params: Params = {name: value for name, value in asked.items() if value is not None} | {"limit": str(limit)}
        return self._registry.get("/v1/consents", ConsentPage, params)

    def consent_as_of(self, consent: RecordId, as_of: datetime) -> ConsentEvidence:
        """GET /v1/consents/{id}?as_of=: how it stood at a moment."""
        return self._registry.get(f"/v1/consents/{consent}", ConsentEvidence, {"as_of": as_of.isoformat()})

    def consent_receipt(self, consent: RecordId) -> ConsentReceipt:
        """GET /v1/consents/{id}/receipt: for the person to keep; its proofs are still to be verified."""
        return self._registry.get(f"/v1/consents/{consent}/receipt", ConsentReceipt)

    def export_consent(self, consent: RecordId) -> bytes:
        """GET /v1/consents/{id}/export: JSON-LD in the Data Privacy Vocabulary."""
        return self._registry.get_bytes(f"/v1/consents/{consent}/export")

    def export_licence(self, licence: RecordId) -> bytes:
        """GET /v1/licences/{id}/export: JSON-LD, an ODRL 2.2 agreement."""
        return self._registry.get_bytes(f"/v1/licences/{licence}/export")

    def answer_consent(self, consent: RecordId, answer: ConsentAnswer) -> RecordAccepted:
        """POST /v1/consents/{id}/answers: confirm it anew, or refuse to. An answer without a salt gets one."""
        return self._registry.post(f"/v1/consents/{consent}/answers", salted(answer), RecordAccepted)

    def reinstate(self, consent: RecordId) -> VersionList:
        """POST /v1/consents/{id}/reinstatement: approve again what was suspended until it was confirmed anew."""
        return self._registry.post(f"/v1/consents/{consent}/reinstatement", None, VersionList)

    def report_life_event(self, report: LifeEventReport) -> LifeEventRecorded:
        """POST /v1/subjects/life-events: every consent about the person falls due. A report without a salt gets one."""
        return self._registry.post("/v1/subjects/life-events", salted(report), LifeEventRecorded)

    def bind_subject(self, binding: SubjectBinding) -> SubjectAccepted:
        """POST /v1/subjects: this principal is, or speaks for, the person behind a pseudonym."""
        return self._registry.post("/v1/subjects", binding, SubjectAccepted)

    def release_subject(self, ending: SubjectRelease) -> SubjectAccepted:
        """POST /v1/subjects/release: this principal no longer is, or speaks for, them."""
        return self._registry.post("/v1/subjects/release", ending, SubjectAccepted)

    def list_subjects(self) -> SubjectList:
        """GET /v1/subjects: the bindings that hold; to a subject, their own."""
        return self._registry.get_pages("/v1/subjects", SubjectList)
