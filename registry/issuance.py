"""Opening the log and issuing credentials: acts of whoever runs the registry, each logged. No HTTP route leads here.

`imprimatur init` is the caller; the actor in the log is the holder of the trust root's key.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.auth import IssuedCredential, create_credential
from registry.log.service import append, tree_size
from registry.runtime import Runtime
from sdk.errors import Conflict
from sdk.signing.trust import TrustRole
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import Role


def open_log(session: Session, runtime: Runtime) -> int:
    """Write entry 0: the trust root and the policy bundle in force. Raises `Conflict` when the log is open already."""
    index = append(
        session,
        runtime,
        event=AuditEventType.LOG_OPENED,
        actor=operator(runtime),
        subject=runtime.trust_root.log_origin,
        evidence={"trust_root": runtime.trust_root_envelope.digest, "policy_bundle": runtime.policy_bundle.digest},
    )
    if index != 0:
        raise Conflict(f"the log {runtime.trust_root.log_origin} is open already; this database belongs to a workspace")
    return index


def issue_credential(
    session: Session, runtime: Runtime, *, principal: PrincipalId, roles: frozenset[Role]
) -> IssuedCredential:
    """Issue and log a credential. Raises `Conflict` before the log is open."""
    if tree_size(session) == 0:
        raise Conflict("the log is not open; its first entry is log:opened")
    credential = create_credential(session, runtime, principal=principal, roles=roles)
    append(
        session,
        runtime,
        event=AuditEventType.CREDENTIAL_ISSUED,
        actor=operator(runtime),
        subject=principal,
        evidence={"credential": credential.digest},
        facts={
            "roles": " ".join(sorted(role.value for role in roles)),
            "expires_at": credential.expires_at.isoformat(timespec="seconds"),
        },
    )
    return credential


def operator(runtime: Runtime) -> PrincipalId:
    """Who runs the registry: the holder of the first root key."""
    return min(key.holder for key in runtime.trust_root.keys.values() if key.role is TrustRole.ROOT)
