"""Verifying what the registry stated about an act that it recorded. What that is: `sdk.spec.recorded`. Pure."""

from __future__ import annotations

from typing import TypeVar

from sdk.errors import ProofInvalid
from sdk.signing.trust import TrustRole, TrustRoot, verify_role
from sdk.spec.envelope import Envelope
from sdk.spec.log_entry import LogEntry
from sdk.spec.recorded import STATEMENT, ConsentPredicate, SubmissionPredicate
from sdk.spec.statements import parse_predicate, parse_statement

_Recorded = TypeVar("_Recorded", ConsentPredicate, SubmissionPredicate)


def verify_recorded(
    envelope: Envelope | None, entry: LogEntry, index: int, trust: TrustRoot, cls: type[_Recorded]
) -> _Recorded | None:
    """Return what is stated about the act of `entry`, which was proven to be entry `index` of the log.

    An entry from before acts were stated names no statement: then there is none.

    Raises:
        ProofInvalid: the statement is missing, another than the entry names, or about something else.
        SignatureInvalid: no decision key that counts at this entry signed it.
    """
    named = entry.evidence.get(STATEMENT)
    if named is None and envelope is None:
        return None
    if envelope is None:
        raise ProofInvalid(f"entry {index} of the log names a statement about {entry.subject}, and it is not shown")
    if envelope.digest != named:
        raise ProofInvalid(f"the statement about {entry.subject} is not the one that entry {index} of the log names")
    verify_role(envelope, trust, TrustRole.DECISION, entry=index)
    statement = parse_statement(envelope.payload, envelope.payload_type)
    predicate = parse_predicate(statement, cls)
    about = [subject.content in entry.evidence.values() for subject in statement.subject]
    if about != [True] or (statement.subject[0].name, predicate.recorded_by) != (entry.subject, entry.actor):
        raise ProofInvalid(f"the statement that entry {index} of the log names is not about that entry's act")
    return predicate
