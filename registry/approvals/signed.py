"""What a reviewer signed: which verdict it is, whether it is theirs and about this version (checks 3 and 4 of `service`)."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from registry.approvals.tables import Verdict
from registry.auth import Caller
from registry.runtime import Runtime
from registry.versions.statements import read_statement, require_subject
from registry.versions.version import Terms, Version
from sdk.errors import FormatError, VerificationError
from sdk.signing.trust import TrustRole
from sdk.spec.envelope import Envelope, encode_envelope
from sdk.spec.ids import ConceptId
from sdk.spec.statements import ApprovalPredicate, RejectionPredicate, RevocationPredicate, parse_statement

_VERDICT_OF: Final = {
    ApprovalPredicate.predicate_type: Verdict.APPROVE,
    RejectionPredicate.predicate_type: Verdict.REJECT,
}

_AnyVerdict = TypeVar("_AnyVerdict", ApprovalPredicate, RejectionPredicate, RevocationPredicate)


def verdict_of(envelope: Envelope) -> Verdict:
    """What the statement claims to be; nothing is believed of it yet."""
    claimed = parse_statement(envelope.payload, envelope.payload_type).predicate_type
    if claimed not in _VERDICT_OF:
        raise FormatError(f"a review is an approval or a rejection, not {claimed}")
    return _VERDICT_OF[claimed]


def verify_statement(
    runtime: Runtime, caller: Caller, version: Version, envelope: Envelope, cls: type[_AnyVerdict]
) -> _AnyVerdict:
    """What the caller signed with a key trusted for approvals, about this version (checks 3 and 4)."""
    statement, predicate = read_statement(
        envelope, cls, trust=runtime.trust_root, role=TrustRole.APPROVAL, signer=caller.principal
    )  # 3
    require_subject(statement, name=version.concept, digest=version.digest)  # 4
    by = predicate.revoked_by if isinstance(predicate, RevocationPredicate) else predicate.reviewer
    _require_same(version, caller, concept=predicate.concept, number=predicate.number, by=by)
    return predicate


def require_terms(version: Version, terms: Terms, approval: ApprovalPredicate) -> None:
    """Return if the approval is under the terms that hold. Raises `VerificationError`."""
    if approval.terms != terms.digest:
        raise VerificationError(
            f"the approval of {version.name} is under terms {approval.terms}, but {terms.digest} hold; look again"
        )


def _require_same(version: Version, caller: Caller, *, concept: ConceptId, number: int, by: str) -> None:
    if (concept, number) != (version.concept, version.number):
        raise VerificationError(f"the statement is about {concept}@{number}, but was sent about {version.name}")
    if by != caller.principal:
        raise VerificationError(f"the statement is by {by}, but was sent by {caller.principal}")


def columns_of(caller: Caller, version: Version, envelope: Envelope, verdict: Verdict) -> dict[str, Any]:
    """The columns of a signed verdict on `version`, of its approval as of its renewal."""
    return {
        "concept_id": version.concept,
        "number": version.number,
        "reviewer": caller.principal,
        "verdict": verdict.value,
        "owner": version.owner,
        "trainer_of_record": version.trainer_of_record,
        "envelope": encode_envelope(envelope),
        "envelope_digest": envelope.digest,
    }
