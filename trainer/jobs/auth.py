"""Who is calling: the bearer credential, asked of the registry and believed for a short while.

The registry is the only judge of credentials. An answer is kept `whoami_seconds`, under a digest of the credential, so
that a revoked one lives that much longer here and no longer. A refusal is never kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from sdk.errors import AuthenticationRequired, PermissionDenied
from sdk.spec.api import WhoAmI
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.policy import Role
from sdk.spec.scopes import Scope
from trainer.jobs.ports import Clock, OpenRegistry


@dataclass(frozen=True, kw_only=True)
class Caller:
    """An authenticated principal. `credential` is for calls to the registry in its name, and is never shown."""

    principal: PrincipalId
    tenant: TenantName
    roles: frozenset[Role]
    credential: str = field(repr=False)

    def require(self, *roles: Role) -> None:
        """Raise `PermissionDenied` unless the caller has one of `roles`."""
        if not self.roles & set(roles):
            wanted = " or ".join(role.value for role in roles)
            raise PermissionDenied(f"{self.principal} needs the role {wanted}; ask an administrator of {self.tenant}")


class Authenticator:
    """Remembers what the registry said about credentials. Safe to share between threads."""

    def __init__(self, open_registry: OpenRegistry, clock: Clock, *, seconds: float, entries: int) -> None:
        self._open_registry = open_registry
        self._clock = clock
        self._seconds = seconds
        self._entries = entries
        self._known: OrderedDict[Digest, tuple[datetime, WhoAmI]] = OrderedDict()
        self._lock = threading.Lock()

    def whoami(self, credential: str) -> WhoAmI:
        """Who bears `credential`. Raises `AuthenticationRequired`, or `ServiceUnavailable` when nobody can say."""
        key = Digest.of(credential.encode())
        now = self._clock()
        with self._lock:
            asked_at, answer = self._known.get(key, (None, None))
        if answer is not None and asked_at is not None and (now - asked_at).total_seconds() < self._seconds:
            return answer
        with self._open_registry(credential) as registry:
            answer = registry.whoami()
        self._remember(key, now, answer)
        return answer

    def _remember(self, key: Digest, now: datetime, answer: WhoAmI) -> None:
        with self._lock:
            self._known[key] = (now, answer)
            self._known.move_to_end(key)
            while len(self._known) > self._entries:
                self._known.popitem(last=False)


def caller_of(request: Request) -> Caller:
    """The principal behind `request`.

    Raises:
        AuthenticationRequired: no bearer credential, or one that the registry does not know.
        PermissionDenied: the credential is limited to scopes without training.
    """
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential or not credential.isascii():
        raise AuthenticationRequired("send 'Authorization: Bearer imp_...' with a credential of your profile")
    authenticator: Authenticator = request.app.state.authenticator
    answer = authenticator.whoami(credential)
    if answer.scopes is not None and Scope.TRAINING_WRITE not in answer.scopes:
        raise PermissionDenied(
            f"the credential is limited to {', '.join(answer.scopes)}; this needs {Scope.TRAINING_WRITE.value}"
        )
    return Caller(
        principal=answer.principal, tenant=answer.tenant, roles=frozenset(answer.roles), credential=credential
    )


CallerDep = Annotated[Caller, Depends(caller_of)]
