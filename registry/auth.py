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
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from sqlalchemy import Connection, ForeignKey, Index, Row, String, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from registry.db import Base
from registry.rate_limits import CALLER
from registry.runtime import Runtime, RuntimeDep
from registry.scopes import require_scope
from sdk.errors import AuthenticationRequired, InputError, NotFound, PermissionDenied
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.policy import PolicyPrincipal, Role
from sdk.spec.scopes import Scope

CREDENTIAL_PREFIX: Final = "imp_"
_CREDENTIAL_BYTES: Final = 32
_BEARER = re.compile(r"Bearer (imp_[A-Za-z0-9_-]{43})", re.IGNORECASE)
_HOW: Final = "send 'Authorization: Bearer imp_...' with a credential issued by this registry"


class CredentialRow(Base):
    """A credential, by the digest of its text. Only `revoked_at`, `last_used_at` and `replaced_by` ever change.

    A `revoked_at` that is still to come is the end of a rotation's overlap.
    """

    __tablename__ = "credentials"
    __table_args__ = (Index("ix_credentials_tenant", text("split_part(principal, '/', 1)")),)

    digest: Mapped[Digest] = mapped_column(primary_key=True)
    principal: Mapped[PrincipalId] = mapped_column(index=True)
    roles: Mapped[list[str]] = mapped_column(ARRAY(String))
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(String))  # none: all that the roles allow
    label: Mapped[str] = mapped_column(default="")
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    replaced_by: Mapped[Digest | None] = mapped_column(ForeignKey("credentials.digest", ondelete="RESTRICT"))


_CREDENTIAL: Final = text(
    "SELECT principal, roles, scopes, expires_at, revoked_at, last_used_at FROM credentials WHERE digest = :digest"
)
_NOTE_USE: Final = text("UPDATE credentials SET last_used_at = :now WHERE digest = :digest")


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a credential is to be good for."""

    principal: PrincipalId
    roles: frozenset[Role]
    scopes: frozenset[Scope] | None = None  # none: all that the roles allow
    expires_at: datetime | None = None  # none: as late as the settings allow
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class NewCredential:
    """A credential just made; its text exists here and with its holder, nowhere else."""

    text: str = field(repr=False)
    row: CredentialRow

    @property
    def digest(self) -> Digest:
        return self.row.digest


@dataclass(frozen=True, kw_only=True)
class Caller:
    """An authenticated principal and what it may be in its tenant."""

    principal: PrincipalId
    tenant: TenantName
    roles: frozenset[Role]
    scopes: frozenset[Scope] | None = None  # what the credential is limited to; none: all that the roles allow
    credential: Digest | None = None  # of this registry, that proved it; none: a token of somebody else did

    def require(self, *roles: Role) -> None:
        """Return if the caller has one of `roles`. Raises `PermissionDenied` naming them."""
        if not self.roles & set(roles):
            needed = " or ".join(role.value for role in roles)
            held = ", ".join(sorted(role.value for role in self.roles)) or "none"
            raise PermissionDenied(
                f"{self.principal} has the roles {held}; this needs {needed}; ask who issues credentials"
            )

    def may(self, scope: Scope) -> bool:
        """Whether the credential is wide enough for what needs `scope`."""
        return self.scopes is None or any(held.covers(scope) for held in self.scopes)

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


def create_credential(session: Session, runtime: Runtime, grant: Grant) -> NewCredential:
    """Store a new credential and return it. Use `registry.issuance`, which logs it too.

    Raises:
        InputError: it has no role, or its end is past or later than the settings allow.
    """
    if not grant.roles:
        raise InputError(f"a credential for {grant.principal} needs at least one role")
    now = runtime.clock()
    secret = CREDENTIAL_PREFIX + secrets.token_urlsafe(_CREDENTIAL_BYTES)
    row = CredentialRow(
        digest=Digest.of(secret.encode()),
        principal=grant.principal,
        roles=sorted(role.value for role in grant.roles),
        scopes=None if grant.scopes is None else sorted(scope.value for scope in grant.scopes),
        label=grant.label,
        issued_at=now,
        expires_at=_end(grant, now, runtime.settings.credential_days),
        revoked_at=None,
        last_used_at=None,
        replaced_by=None,
    )
    session.add(row)
    session.flush()
    return NewCredential(text=secret, row=row)


def end_credential(session: Session, digest: Digest, at: datetime, *, now: datetime) -> None:
    """Let a credential end at the moment `at`, never later than it would. Raises `NotFound` when none is in force."""
    in_force = or_(CredentialRow.revoked_at.is_(None), CredentialRow.revoked_at > now)
    statement = (
        update(CredentialRow)
        .where(CredentialRow.digest == digest, in_force, CredentialRow.expires_at > now)
        .values(revoked_at=func.least(CredentialRow.revoked_at, at))
        .returning(CredentialRow.digest)
    )
    if session.execute(statement).first() is None:
        raise NotFound(f"no credential with digest {digest} is in force")


def has_role(session: Session, runtime: Runtime, principal: PrincipalId, role: Role) -> bool:
    """Whether a credential in force gives `principal` this role."""
    statement = select(CredentialRow).where(CredentialRow.principal == principal, CredentialRow.roles.contains([role]))
    now = runtime.clock()
    return any(
        row.expires_at > now and (row.revoked_at is None or row.revoked_at > now) for row in session.scalars(statement)
    )


def authenticate(session: Session | Connection, runtime: Runtime, header: str | None) -> Caller:
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


def identify(runtime: Runtime, header: str | None) -> Caller:
    """The caller that an `Authorization` header proves: a credential, or a token of the issuer that is trusted.

    Raises:
        AuthenticationRequired: it proves nobody.
        ServiceUnavailable: the issuer's keys cannot be had.
    """
    scheme, _, token = (header or "").partition(" ")
    if runtime.tokens and scheme.lower() == "bearer" and not token.startswith(CREDENTIAL_PREFIX):
        found = runtime.tokens.verify(token.strip(), runtime.clock())
        return Caller(principal=found.principal, tenant=found.principal.tenant, roles=found.roles)
    with runtime.look() as connection:
        return authenticate(connection, runtime, header)


def caller_of_credential(session: Session | Connection, runtime: Runtime, digest: Digest) -> Caller:
    """The caller that the credential with this digest proves, now. Raises `AuthenticationRequired`."""
    row = session.execute(_CREDENTIAL, {"digest": digest}).one_or_none()
    if row is None:
        raise AuthenticationRequired(f"the credential is unknown to this registry; {_HOW}")
    now = runtime.clock()
    _check_in_force(row, now)
    if row.last_used_at is None or now - row.last_used_at >= timedelta(seconds=runtime.settings.last_used_seconds):
        session.execute(_NOTE_USE, {"digest": digest, "now": now})
    principal = PrincipalId(row.principal)
    return Caller(
        principal=principal,
        tenant=principal.tenant,
        roles=frozenset(Role(role) for role in row.roles),
        scopes=None if row.scopes is None else frozenset(Scope(scope) for scope in row.scopes),
        credential=digest,
    )


def caller_of(request: Request, runtime: RuntimeDep) -> Caller:
    """The caller of `request`, whose credential is wide enough for it.

    Raises:
        AuthenticationRequired: see `authenticate`.
        PermissionDenied: the credential is limited to other scopes.
    """
    caller = identify(runtime, request.headers.get("Authorization"))
    setattr(request.state, CALLER, caller)
    require_scope(caller.scopes, request.method, request.url.path)
    return caller


AnyCallerDep = Annotated[Caller, Depends(caller_of)]
"""Whoever has a credential, a subject included: for routes that show a subject nothing but what is about them."""


async def member_of(caller: AnyCallerDep) -> Caller:
    """The caller, who works for the tenant. Raises `PermissionDenied` to somebody who is only a subject."""
    caller.require_member()
    return caller


CallerDep = Annotated[Caller, Depends(member_of)]


def _check_in_force(row: Row[Any], now: datetime) -> None:
    if row.revoked_at is not None and now >= row.revoked_at:
        raise AuthenticationRequired(f"the credential of {row.principal} was revoked; ask for a new one")
    if now >= row.expires_at:
        raise AuthenticationRequired(
            f"the credential of {row.principal} expired at {row.expires_at:%Y-%m-%d}; renew it"
        )


def _end(grant: Grant, now: datetime, most_days: int) -> datetime:
    latest = now + timedelta(days=most_days)
    chosen = grant.expires_at or latest
    if not now < chosen <= latest:
        raise InputError(
            f"a credential for {grant.principal} should expire after now and by {latest:%Y-%m-%d}, "
            f"found {chosen:%Y-%m-%dT%H:%M}"
        )
    return chosen
