"""Issuing, listing, rotating and revoking the credentials of a tenant.

Rules:
1. Policy decides, in the domain `administration`; what is one's own is asked about by an action of its own.
2. A credential of another tenant is not found.
3. Nobody hands out more than they hold: a caller whose credential has scopes gives out no scope beyond them, and who is no
   administrator rotates their own credentials within the roles and the length of life that they show.
4. A rotation makes a credential of the same principal, roles and scopes; the old one works until the overlap is over.
Every act is logged in its transaction; the texts of credentials are in no log, no table and no kept answer.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, cast, extract, func, select
from sqlalchemy.orm import Session

from registry.auth import Caller, CredentialRow, Grant, NewCredential, create_credential, end_credential
from registry.issuance import facts_of, issue
from registry.log.service import append
from registry.paging import page_of
from registry.runtime import Runtime
from sdk.errors import Conflict, NotFound, PermissionDenied
from sdk.policy.engine import enforce
from sdk.spec import access
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType
from sdk.spec.paging import PageQuery
from sdk.spec.policy import PolicyContext, PolicyDomain, Role
from sdk.spec.scopes import Scope

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISSUED: Final = cast(extract("epoch", CredentialRow.issued_at) * 1_000_000, BigInteger)  # microseconds


def require_administration(runtime: Runtime, caller: Caller, action: str) -> None:
    """Return if policy lets the caller do `action` in its tenant. Raises `PolicyDenied`."""
    context = PolicyContext(
        domain=PolicyDomain.ADMINISTRATION, action=action, principal=caller.as_policy_principal, at=runtime.clock()
    )
    enforce(runtime.policy, context)


def issue_for(session: Session, runtime: Runtime, caller: Caller, new: access.NewCredential) -> NewCredential:
    """Issue a credential to a principal of the caller's tenant.

    Raises:
        PolicyDenied, PermissionDenied: rule 1 or 3, or a principal of another tenant.
        InputError: it would end before now, or too late.
    """
    require_administration(runtime, caller, "issue_credential")
    if new.principal.tenant != caller.tenant:
        raise PermissionDenied(f"{caller.principal} issues credentials of {caller.tenant}, not to {new.principal}")
    scopes = None if new.scopes is None else frozenset(new.scopes)
    _require_within(caller, scopes)
    grant = Grant(
        principal=new.principal,
        roles=frozenset(new.roles),
        scopes=scopes,
        expires_at=new.expires_at,
        label=new.label,
    )
    return issue(session, runtime, grant, actor=caller.principal)


def page(session: Session, runtime: Runtime, caller: Caller, query: PageQuery) -> access.CredentialPage:
    """The credentials of the tenant for its administrators, their own for everybody else; oldest first."""
    everybodys = Role.ADMIN in caller.roles
    require_administration(runtime, caller, "list_credentials" if everybodys else "list_own_credentials")
    statement = select(CredentialRow).where(_of_tenant(caller))
    if not everybodys:
        statement = statement.where(CredentialRow.principal == caller.principal)
    rows, cursor = page_of(
        session,
        statement,
        query,
        by=[_ISSUED, CredentialRow.digest],
        key=lambda row: ((row.issued_at - _EPOCH) // timedelta(microseconds=1), row.digest),
        kinds=[int, str],
    )
    return access.CredentialPage(credentials=tuple(view_of(row) for row in rows), next_cursor=cursor)


def rotate(
    session: Session, runtime: Runtime, caller: Caller, digest: Digest, rotation: access.Rotation
) -> NewCredential:
    """Let another credential follow; both work while the overlap lasts.

    Raises:
        PolicyDenied, PermissionDenied: rule 1 or 3.
        NotFound: the tenant has no such credential in force.
        Conflict: it was rotated before; the newer one is the one to rotate.
    """
    now = runtime.clock()
    old = _hold(session, runtime, caller, digest, act="rotate", now=now)
    if old.replaced_by is not None:
        raise Conflict(f"credential {digest} was rotated before, its follower is {old.replaced_by}; rotate that one")
    scopes = None if old.scopes is None else frozenset(Scope(scope) for scope in old.scopes)
    _require_within(caller, scopes)
    longest = now + timedelta(days=runtime.settings.credential_days)
    ends_then = rotation.expires_at or min(now + (old.expires_at - old.issued_at), longest)
    if Role.ADMIN not in caller.roles:
        _require_no_wider(session, caller, old, ends_then, now)
    grant = Grant(
        principal=old.principal,
        roles=frozenset(Role(role) for role in old.roles),
        scopes=scopes,
        expires_at=ends_then,
        label=old.label,
    )
    new = create_credential(session, runtime, grant)
    ends_at = min(now + timedelta(seconds=rotation.overlap_seconds), old.expires_at)
    end_credential(session, digest, ends_at, now=now)
    old.replaced_by = new.digest
    append(
        session,
        runtime,
        event=AuditEventType.CREDENTIAL_ROTATED,
        actor=caller.principal,
        subject=old.principal,
        evidence={"credential": new.digest, "replaced": digest},
        facts=facts_of(new) | {"ends_at": ends_at.isoformat(timespec="seconds")},
    )
    return new


def revoke(session: Session, runtime: Runtime, caller: Caller, digest: Digest) -> access.CredentialView:
    """End a credential now.

    Raises:
        PolicyDenied: rule 1.
        NotFound: the tenant has no such credential in force.
    """
    now = runtime.clock()
    row = _hold(session, runtime, caller, digest, act="revoke", now=now)
    end_credential(session, digest, now, now=now)
    append(
        session,
        runtime,
        event=AuditEventType.CREDENTIAL_REVOKED,
        actor=caller.principal,
        subject=row.principal,
        evidence={"credential": digest},
    )
    session.refresh(row)
    return view_of(row)


def view_of(row: CredentialRow) -> access.CredentialView:
    """A credential as it travels, without its text."""
    return access.CredentialView(
        digest=row.digest,
        principal=row.principal,
        roles=tuple(Role(role) for role in row.roles),
        scopes=None if row.scopes is None else tuple(Scope(scope) for scope in row.scopes),
        label=row.label,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        replaced_by=row.replaced_by,
    )


def _hold(
    session: Session, runtime: Runtime, caller: Caller, digest: Digest, *, act: str, now: datetime
) -> CredentialRow:
    statement = select(CredentialRow).where(CredentialRow.digest == digest, _of_tenant(caller)).with_for_update()
    row = session.scalar(statement)
    own = row is not None and row.principal == caller.principal
    # Asked before it is said whether it is there: nobody finds out about others' credentials by trying.
    require_administration(runtime, caller, f"{act}_own_credential" if own else f"{act}_credential")
    if row is None or now >= min(row.expires_at, row.revoked_at or row.expires_at):
        raise NotFound(f"{caller.tenant} has no credential {digest} in force")
    return row


def _require_within(caller: Caller, scopes: frozenset[Scope] | None) -> None:
    if caller.scopes is None:
        return
    beyond = sorted(s for s in scopes or () if not any(held.covers(s) for held in caller.scopes))
    if scopes is None or beyond:
        wanted = "no scopes, which is all of them" if scopes is None else ", ".join(beyond)
        raise PermissionDenied(
            f"the credential of {caller.principal} is limited to {', '.join(sorted(caller.scopes))}, so it gives out "
            f"nothing with {wanted}"
        )


def _require_no_wider(session: Session, caller: Caller, old: CredentialRow, ends: datetime, now: datetime) -> None:
    """Return if what follows one's own credential `old` is neither more nor longer than what is shown. Raises `PermissionDenied`."""
    if beyond := sorted(set(old.roles) - {role.value for role in caller.roles}):
        raise PermissionDenied(
            f"this credential of {caller.principal} has not the role {', '.join(beyond)}; rotate with the one that is to be "
            "replaced, or ask an administrator"
        )
    shown = session.get_one(CredentialRow, caller.credential) if caller.credential else old  # a token has no row
    if ends > now + min(shown.expires_at - shown.issued_at, old.expires_at - old.issued_at):
        raise PermissionDenied("what follows a credential of your own lasts no longer than it; ask an administrator")


def _of_tenant(caller: Caller) -> ColumnElement[bool]:
    return func.split_part(CredentialRow.principal, "/", 1) == str(caller.tenant)
