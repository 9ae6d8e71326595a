"""One fact in the audit log: the entry, its closed vocabulary, and the receipt that proves it is in the log.

An entry holds ids and digests, never personal data and never a document: envelopes stand beside the log.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from sdk.errors import FormatError
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import Base64Bytes
from sdk.spec.ids import PrincipalId

MAX_ENTRY_BYTES = 65_535  # bytes; the limit of C2SP tlog-tiles


class AuditEventType(StrEnum):
    """Everything that can be logged, as `subject:act`."""

    LOG_OPENED = "log:opened"  # entry 0: the trust root in force
    TRUST_ROOT_CHANGED = "trust_root:changed"  # the registry goes on under another: keys, roles or expiry changed
    POLICY_CHANGED = "policy:changed"  # the registry decides by another policy bundle
    CREDENTIAL_ISSUED = "credential:issued"
    CREDENTIAL_ROTATED = "credential:rotated"  # another follows it; both work until `ends_at`
    CREDENTIAL_REVOKED = "credential:revoked"
    WEBHOOK_CREATED = "webhook:created"  # events are sent to an address, which is told by its digest
    WEBHOOK_REPLAYED = "webhook:replayed"
    WEBHOOK_ENDED = "webhook:ended"
    SESSION_OPENED = "session:opened"  # somebody signed in to the console
    CONCEPT_CREATED = "concept:created"
    CONSENT_GIVEN = "consent:given"
    CONSENT_WITHDRAWN = "consent:withdrawn"
    CONSENT_REFUSED = "consent:refused"  # at first, or when asked anew
    CONSENT_ASKED = "consent:asked"  # a life event: it has to be confirmed anew
    CONSENT_RECONFIRMED = "consent:reconfirmed"
    SUBJECT_BOUND = "subject:bound"  # a principal is, or speaks for, the person behind a pseudonym
    SUBJECT_RELEASED = "subject:released"  # and is or does so no more
    SUBJECT_ERASED = "subject:erased"  # the keys of everything about a person are destroyed; names no person
    TRAINING_ERASED = "training:erased"  # what a training service held of an erased person is destroyed as well
    LICENCE_GRANTED = "licence:granted"
    TERM_ENDING = "term:ending"  # a day that a consent or licence names is near; which one is not said
    TRAINING_DENIED = "training:denied"  # an attempt that policy denied; an entry for each concept
    VERSION_SUBMITTED = "version:submitted"
    REVIEW_REQUESTED = "review:requested"  # a draft is put up for review
    REVIEW_ASSIGNED = "review:assigned"  # who is to review it, until when
    REVIEW_COMMENTED = "review:commented"
    APPROVAL_SIGNED = "approval:signed"  # one reviewer's approval, before or at the threshold
    APPROVAL_REFUSED = "approval:refused"  # an attempt that policy denied
    VERSION_APPROVED = "version:approved"  # the threshold is reached
    RENEWAL_REQUESTED = "renewal:requested"  # other terms for a version are put up for review
    RENEWAL_SIGNED = "renewal:signed"  # one reviewer's approval of it, before or at the threshold
    RENEWAL_REJECTED = "renewal:rejected"  # the terms that hold go on to hold
    VERSION_RENEWED = "version:renewed"  # the threshold is reached under other terms, which hold from `since` on
    VERSION_BREAK_GLASS = "version:break_glass"  # two people opened it for a while, before its approval
    VERSION_REJECTED = "version:rejected"
    VERSION_SUPERSEDED = "version:superseded"
    VERSION_SUSPENDED = "version:suspended"
    VERSION_REINSTATED = "version:reinstated"  # suspended before; its consents all hold again
    VERSION_REVOKED = "version:revoked"
    VERSION_PREVIEWED = "version:previewed"  # somebody looks at its pictures or report for the first time
    ALIAS_SET = "alias:set"  # an alias names another version, or none
    NOTICE_SENT = "notice:sent"  # an application fetches for the first time that a version it was granted has ended
    NOTICE_ACKNOWLEDGED = "notice:acknowledged"
    ARTEFACT_RELEASED = "artefact:released"
    GENERATION_PERMITTED = "generation:permitted"  # the intent, before anything is generated
    GENERATION_DENIED = "generation:denied"
    GENERATION_RECORDED = "generation:recorded"  # the result


class LogEntry(WireModel):
    """One logged fact. Its canonical bytes are the leaf."""

    schema_: Literal["imprimatur.log-entry/v1"] = Field(default="imprimatur.log-entry/v1", alias="schema")
    event: AuditEventType
    at: AwareDatetime
    actor: PrincipalId
    subject: str = Field(min_length=1, max_length=300)  # a version, a record, a generation
    evidence: dict[str, Digest] = Field(default_factory=dict)  # name to digest of what stands beside the log
    facts: dict[str, str] = Field(default_factory=dict)  # short and never personal


class LogReceipt(WireModel):
    """Proof that an entry is in the log: entry bytes, index, inclusion proof, signed checkpoint note."""

    entry: Base64Bytes
    index: int = Field(ge=0)
    inclusion: tuple[Base64Bytes, ...] = Field(max_length=64)
    checkpoint: str = Field(max_length=16_384)  # the signed note


class ConsistencyProof(WireModel):
    """Proof that the log of `new_size` entries extends that of `old_size`."""

    old_size: int
    new_size: int
    hashes: tuple[Base64Bytes, ...]


def encode_log_entry(entry: LogEntry) -> bytes:
    """Canonical bytes of an entry. Raises `FormatError` above `MAX_ENTRY_BYTES`."""
    content = encode_canonical(entry)
    if len(content) > MAX_ENTRY_BYTES:
        raise FormatError(f"log entry about {entry.subject} has {len(content)} bytes; at most {MAX_ENTRY_BYTES}")
    return content


def parse_log_entry(content: bytes) -> LogEntry:
    """Read an entry. Raises `FormatError`."""
    return parse_wire(LogEntry, content, "log entry")
