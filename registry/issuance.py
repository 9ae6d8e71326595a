"""Opening the log, issuing credentials, changing keys and policies: each is logged.

`imprimatur init`, `imprimatur registry issue` and the start of the service are callers, for whoever runs the registry: the holder of the trust root's key.
`registry.credentials` is the other, for administrators of a tenant.
"""

from __future__ import annotations

from datetime import UTC
from typing import Final

from sqlalchemy.orm import Session

from registry.auth import Grant, NewCredential, create_credential
from registry.log.query import newest_evidence
from registry.log.service import append, hold_end, tree_size
from registry.policies import note_in_force
from registry.runtime import Runtime
from sdk.errors import Conflict
from sdk.signing.trust import TrustRole
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import Role

_TRUST_ROOT: Final = "trust_root"  # names in the evidence of an entry
_POLICY_BUNDLE: Final = "policy_bundle"


def open_log(session: Session, runtime: Runtime) -> int:
    """Write entry 0: the trust root and the policy bundle in force. Raises `Conflict` when the log is open already."""
    index = append(
        session,
        runtime,
        event=AuditEventType.LOG_OPENED,
        actor=operator(runtime),
        subject=runtime.trust_root.log_origin,
        evidence={_TRUST_ROOT: runtime.trust_root_envelope.digest, _POLICY_BUNDLE: runtime.policy_bundle.digest},
    )
    if index != 0:
        raise Conflict(f"the log {runtime.trust_root.log_origin} is open already; this database belongs to a workspace")
    note_in_force(session, runtime)
    return index


def issue_credential(
    session: Session, runtime: Runtime, *, principal: PrincipalId, roles: frozenset[Role]
) -> NewCredential:
    """Issue and log a credential as whoever runs the registry. Raises `Conflict` before the log is open."""
    return issue(session, runtime, Grant(principal=principal, roles=roles), actor=operator(runtime))


def issue(session: Session, runtime: Runtime, grant: Grant, *, actor: PrincipalId) -> NewCredential:
    """Issue and log a credential. Raises `Conflict` before the log is open, `InputError` like `create_credential`."""
    if tree_size(session) == 0:
        raise Conflict("the log is not open; its first entry is log:opened")
    credential = create_credential(session, runtime, grant)
    append(
        session,
        runtime,
        event=AuditEventType.CREDENTIAL_ISSUED,
        actor=actor,
        subject=grant.principal,
        evidence={"credential": credential.digest},
        facts=facts_of(credential),
    )
    return credential


def facts_of(credential: NewCredential) -> dict[str, str]:
    """What the log says of a new credential."""
    row = credential.row
    expires_at = row.expires_at.astimezone(UTC).isoformat(timespec="seconds")
    facts = {"roles": " ".join(row.roles), "expires_at": expires_at}
    return facts if row.scopes is None else facts | {"scopes": " ".join(row.scopes)}


def log_what_is_in_force(session: Session, runtime: Runtime) -> tuple[int, ...]:
    """Log the trust root and the policy bundle that the service starts with, each if the log has another last.

    So keys and rules have a place in the log: what stands after the entry was decided under them.
    """
    hold_end(session)  # services that start together log a change once
    changes = (
        (_TRUST_ROOT, AuditEventType.TRUST_ROOT_CHANGED, runtime.trust_root_envelope.digest),
        (_POLICY_BUNDLE, AuditEventType.POLICY_CHANGED, runtime.policy_bundle.digest),
    )
    logged = tuple(
        append(
            session,
            runtime,
            event=event,
            actor=operator(runtime),
            subject=runtime.trust_root.log_origin,
            evidence={name: digest},
        )
        for name, event, digest in changes
        if newest_evidence(session, name, (AuditEventType.LOG_OPENED, event)) != digest
    )
    note_in_force(session, runtime)
    return logged


def operator(runtime: Runtime) -> PrincipalId:
    """Who runs the registry: the holder of the first root key."""
    return min(key.holder for key in runtime.trust_root.keys.values() if key.role is TrustRole.ROOT)
