"""Compose grants, signed and verified. What one is: `sdk.spec.grant`. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sdk.errors import PermissionDenied, VerificationError
from sdk.signing.signer import Signer, sign_envelope
from sdk.signing.trust import TrustRole, TrustRoot, verify_role
from sdk.spec.envelope import Envelope
from sdk.spec.grant import GrantPredicate
from sdk.spec.statements import encode_statement, parse_predicate, parse_statement

CLOCK_SKEW: Final = timedelta(minutes=5)
"""By how much a grant may come from the future, as clocks differ."""


def sign_grant(grant: GrantPredicate, signer: Signer) -> Envelope:
    """The grant as a statement about the manifests of its versions."""
    subjects = {f"{version.concept}@{version.number}": version.manifest for version in grant.versions}
    return sign_envelope(encode_statement(grant, subjects=subjects), signer)


def verify_grant(envelope: Envelope, trust: TrustRoot, *, now: datetime) -> GrantPredicate:
    """Return the grant in `envelope` if the registry signed it and it counts at the moment `now`.

    Whether it is the grant for what is about to be done is the caller's to compare.

    Raises:
        SignatureInvalid: no key trusted for decisions signed it.
        VerificationError: it is not about the versions it names, or comes from the future.
        PermissionDenied: it has expired.
    """
    verify_role(envelope, trust, TrustRole.DECISION)
    statement = parse_statement(envelope.payload, envelope.payload_type)
    grant = parse_predicate(statement, GrantPredicate)
    if tuple(subject.content for subject in statement.subject) != grant.manifests:
        raise VerificationError(f"the grant of {grant.generation} is not about the versions that it names")
    if grant.issued_at - now > CLOCK_SKEW:
        raise VerificationError(f"the grant of {grant.generation} is from {grant.issued_at}, but here it is {now}")
    if now >= grant.expires_at:
        raise PermissionDenied(f"the grant of {grant.generation} expired at {grant.expires_at}; record a new intent")
    return grant
