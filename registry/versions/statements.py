"""Reading a signed statement that somebody sent: who signed it, what it says, and that it is about this version.

The signature is checked first; nothing of the payload is believed before. The signer must be the one who sends it.
"""

from __future__ import annotations

from typing import TypeVar

from sdk.errors import SignatureInvalid, VerificationError
from sdk.signing.trust import TrustRole, TrustRoot, verify_role
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.statements import Predicate, Statement, parse_predicate, parse_statement

_AnyPredicate = TypeVar("_AnyPredicate", bound=Predicate)


def read_statement(
    envelope: Envelope, cls: type[_AnyPredicate], *, trust: TrustRoot, role: TrustRole, signer: PrincipalId
) -> tuple[Statement, _AnyPredicate]:
    """The statement in `envelope`, and its predicate.

    Raises:
        SignatureInvalid: `signer` did not sign it with a key trusted for `role`.
        FormatError: what is signed is no statement of this kind.
    """
    holders = verify_role(envelope, trust, role)
    if signer not in holders:
        signed = ", ".join(sorted(holders))
        raise SignatureInvalid(f"expected a signature by a {role.value} key of {signer}, found one of {signed}")
    statement = parse_statement(envelope.payload, envelope.payload_type)
    return statement, parse_predicate(statement, cls)


def require_subject(statement: Statement, *, name: str, digest: Digest) -> None:
    """Return if the statement is about exactly this. Raises `VerificationError`."""
    if [(subject.name, subject.content) for subject in statement.subject] != [(name, digest)]:
        found = ", ".join(f"{subject.name} {subject.content}" for subject in statement.subject)
        raise VerificationError(f"the statement should be about {name} {digest}, but it is about {found}")
