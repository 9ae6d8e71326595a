"""Calls about the end of versions: the blast-radius report, notices and their acknowledgement, reminders."""

from __future__ import annotations

from sdk.client.transport import Service
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId
from sdk.spec.log_entry import LogReceipt
from sdk.spec.recall import NoticeAcknowledgement, NoticeList
from sdk.spec.reminders import ReminderPage


class RecallCalls:
    """The registry's recalls; mixed into `Client`."""

    _registry: Service

    def blast_radius(self, concept: ConceptId, number: int) -> Envelope:
        """GET .../blast-radius: a signed report, to be verified before use (`sdk.audit.verify_blast_radius`)."""
        return self._registry.get(f"/v1/concepts/{concept}/versions/{number}/blast-radius", Envelope)

    def list_notices(self) -> NoticeList:
        """GET /v1/notices: which versions that the caller was granted have ended; to reviewers, what is open by break-glass."""
        return self._registry.get_pages("/v1/notices", NoticeList, of="notices")

    def list_reminders(self) -> ReminderPage:
        """GET /v1/reminders: terms that end soon, and minors who come of age soon."""
        return self._registry.get_pages("/v1/reminders", ReminderPage)

    def acknowledge_notice(self, answer: NoticeAcknowledgement) -> LogReceipt:
        """POST /v1/notices/acknowledgements. The same words again change nothing."""
        return self._registry.post("/v1/notices/acknowledgements", answer, LogReceipt)
