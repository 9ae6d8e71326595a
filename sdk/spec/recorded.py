"""What the registry states about acts that it recorded and that nobody else signs: consents, and submissions of versions.

Each is an in-toto Statement about the record or the manifest, in a DSSE envelope signed by a key of the role `decision`
before the act's entry, which names it as `stated`. So whoever holds one can show it to any in-toto tool, and with the
entry's receipt when it was made. It names no person. Verifying one is `sdk.signing.recorded`.
"""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from sdk.spec.consent_events import ConsentEvent
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.statements import PREFIX, Predicate

STATEMENT = "stated"
"""How an entry of the log names it among its evidence."""


class ConsentPredicate(Predicate):
    """This happened to this consent; the statement's subject is the record by its digest."""

    predicate_type = f"{PREFIX}/consent/v1"
    consent: RecordId
    event: ConsentEvent
    covers: tuple[ConceptId, ...] = ()  # said when it is given or refused at first
    act: Digest | None = None  # of the answer, or of the report of a life event
    recorded_by: PrincipalId
    recorded_at: AwareDatetime


class SubmissionPredicate(Predicate):
    """This manifest was accepted as this version; the statement's subject is the manifest."""

    predicate_type = f"{PREFIX}/submission/v1"
    concept: ConceptId
    number: int = Field(ge=1)
    attestation: Digest  # of the training service's envelope
    owner: PrincipalId
    trainer_of_record: PrincipalId
    approvals_required: int = Field(ge=1)
    risk_class: str = Field(max_length=100)
    recorded_by: PrincipalId
    recorded_at: AwareDatetime
