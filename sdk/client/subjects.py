"""Calls about the persons behind records: the consents about them, and who they are or who speaks for them."""

from __future__ import annotations

from sdk.client.transport import Params, Service
from sdk.spec.ids import RecordId
from sdk.spec.subjects import ConsentPage, SubjectAccepted, SubjectBinding, SubjectList, SubjectRelease
from sdk.spec.terms import Pseudonym


class SubjectCalls:
    """The registry's subjects; mixed into `Client`."""

    _registry: Service

    def list_consents(
        self, *, subject: Pseudonym | None = None, after: RecordId | None = None, limit: int = 100
    ) -> ConsentPage:
        """GET /v1/consents: the tenant's; to a subject, those about them."""
        asked: dict[str, str | None] = {"subject": subject, "after": after, "limit": str(limit)}
        params: Params = {name: value for name, value in asked.items() if value is not None}
        return self._registry.get("/v1/consents", ConsentPage, params)

    def bind_subject(self, binding: SubjectBinding) -> SubjectAccepted:
        """POST /v1/subjects: this principal is, or speaks for, the person behind a pseudonym."""
        return self._registry.post("/v1/subjects", binding, SubjectAccepted, repeatable=True)

    def release_subject(self, ending: SubjectRelease) -> SubjectAccepted:
        """POST /v1/subjects/release: this principal no longer is, or speaks for, them."""
        return self._registry.post("/v1/subjects/release", ending, SubjectAccepted)

    def list_subjects(self) -> SubjectList:
        """GET /v1/subjects: the bindings that hold; to a subject, their own."""
        return self._registry.get("/v1/subjects", SubjectList)
