"""Who is calling: credentials, and the `Caller` they prove. Issuing one is logged in `registry.issuance`.

A credential is `imp_` and 43 characters of base64url (32 random bytes). Only its SHA-256 digest is stored; with 256
bits of entropy it needs no salt and no slow hash, and looking it up by digest leaks nothing through time.
Authentication is never optional: a route either asks for `CallerDep` or is named public in `sdk.spec.api`. The few
that subjects may call ask for `AnyCallerDep`, and see to it themselves that a subject finds only what is about them.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Request
from sqlalchemy import String, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from registry.db import Base
from registry.runtime import Runtime, RuntimeDep
from sdk.errors import AuthenticationRequired, InputError, NotFound, PermissionDenied
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.policy import PolicyPrincipal, Role

CREDENTIAL_PREFIX: Final = "imp_"
_CREDENTIAL_BYTES: Final = 32
_BEARER = re.compile(r"Bearer (imp_[A-Za-z0-9_-]{43})", re.IGNORECASE)
_HOW: Final = "send 'Authorization: Bearer imp_...' with a credential issued by this registry"


class CredentialRow(Base):
    """A credential, by the digest of its text. Only `revoked_at` and `last_used_at` ever change."""

    __tablename__ = "credentials"

    digest: Mapped[Digest] = mapped_column(primary_key=True)
    principal: Mapped[PrincipalId] = mapped_column(index=True)
    roles: Mapped[list[str]] = mapped_column(ARRAY(String))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


@dataclass(frozen=True, kw_only=True)
class IssuedCredential:
    """A new credential; its text exists here and with its holder, nowhere else."""

    text: str = field(repr=False)
    digest: Digest
    principal: PrincipalId
    roles: frozenset[Role]
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Caller:
    """An authenticated principal and what it may be in its tenant."""

    principal: PrincipalId
    tenant: TenantName
    roles: frozenset[Role]

    def require(self, *roles: Role) -> None:
        """Return if the caller has one of `roles`. Raises `PermissionDenied` naming them."""
        if not self.roles & set(roles):
            needed = " or ".join(role.value for role in roles)
            held = ", ".join(sorted(role.value for role in self.roles)) or "none"
            raise PermissionDenied(
                f"{self.principal} has the roles {held}; this needs {needed}; ask who issues credentials"
            )

    @property
    def is_member(self) -> bool:
        """Whether the caller works for the tenant, and is not only the subject of its records."""
        return bool(self.roles - {Role.SUBJECT})

    def require_member(self) -> None:
        """Return if the caller works for the tenant. Raises `PermissionDenied`."""
        if not self.is_member:
            raise PermissionDenied(
                f"{self.principal} has the role subject, which opens what is recorded about oneself and nothing else"
            )

    @property
    def as_policy_principal(self) -> PolicyPrincipal:
        """The caller as policies see it."""
        return PolicyPrincipal(id=self.principal, roles=tuple(sorted(self.roles)))


def create_credential(
    session: Session, runtime: Runtime, *, principal: PrincipalId, roles: frozenset[Role]
) -> IssuedCredential:
    """Store a new credential and return it. Use `registry.issuance.issue_credential`, which logs it too."""
    if not roles:
        raise InputError(f"a credential for {principal} needs at least one role")
    now = runtime.clock()
    text = CREDENTIAL_PREFIX + secrets.token_urlsafe(_CREDENTIAL_BYTES)
    expires_at = now + timedelta(days=runtime.settings.credential_days)
    digest = Digest.of(text.encode())
    session.add(
        CredentialRow(
            digest=digest,
            principal=principal,
            roles=sorted(role.value for role in roles),
            issued_at=now,
            expires_at=expires_at,
        )
    )
    return IssuedCredential(text=text, digest=digest, principal=principal, roles=roles, expires_at=expires_at)


def revoke_credential(session: Session, runtime: Runtime, digest: Digest) -> None:
    """End a credential now. Raises `NotFound` when there is none, or it ended before."""
    statement = (
        update(CredentialRow)
        .where(CredentialRow.digest == digest, CredentialRow.revoked_at.is_(None))
        .values(revoked_at=runtime.clock())
        .returning(CredentialRow.digest)
    )
    if session.execute(statement).first() is None:
        raise NotFound(f"no credential with digest {digest} is in force")


def authenticate(session: Session, runtime: Runtime, header: str | None) -> Caller:
    """The caller that an `Authorization` header proves.

    Raises:
        AuthenticationRequired: no header, another scheme, or a credential that is unknown, expired or revoked.
    """
    if not header:
        raise AuthenticationRequired(f"no credential was given; {_HOW}")
    match = _BEARER.fullmatch(header)
    if not match:
        raise AuthenticationRequired(f"the Authorization header holds no credential of this registry; {_HOW}")
    return caller_of_credential(session, runtime, Digest.of(match[1].encode()))


def caller_of_credential(session: Session, runtime: Runtime, digest: Digest) -> Caller:
    """The caller that the credential with this digest proves, now. Raises `AuthenticationRequired`."""
    row = session.get(CredentialRow, digest)
    if row is None:
        raise AuthenticationRequired(f"the credential is unknown to this registry; {_HOW}")
    now = runtime.clock()
    _check_in_force(row, now)
    _note_use(row, now, runtime.settings.last_used_seconds)
    roles = frozenset(Role(role) for role in row.roles)
    return Caller(principal=row.principal, tenant=row.principal.tenant, roles=roles)


def caller_of(request: Request, runtime: RuntimeDep) -> Caller:
    """The caller of `request`. Raises `AuthenticationRequired`."""
    with runtime.transaction() as session:
        return authenticate(session, runtime, request.headers.get("Authorization"))


AnyCallerDep = Annotated[Caller, Depends(caller_of)]
"""Whoever has a credential, a subject included: for routes that show a subject nothing but what is about them."""


def member_of(caller: AnyCallerDep) -> Caller:
    """The caller, who works for the tenant. Raises `PermissionDenied` to somebody who is only a subject."""
    caller.require_member()
    return caller


CallerDep = Annotated[Caller, Depends(member_of)]


def _check_in_force(row: CredentialRow, now: datetime) -> None:
    if row.revoked_at is not None:
        raise AuthenticationRequired(f"the credential of {row.principal} was revoked; ask for a new one")
    if now >= row.expires_at:
        raise AuthenticationRequired(
            f"the credential of {row.principal} expired at {row.expires_at:%Y-%m-%d}; renew it"
        )


def _note_use(row: CredentialRow, now: datetime, interval_seconds: int) -> None:
    if row.last_used_at is None or now - row.last_used_at >= timedelta(seconds=interval_seconds):
        row.last_used_at = now
