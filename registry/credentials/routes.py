"""/v1/credentials. An answer that holds a credential's text is never stored: not by a cache, not with an idempotency key."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Response

from registry.auth import CallerDep, NewCredential
from registry.credentials import service
from registry.paging import PageDep
from registry.runtime import RuntimeDep
from sdk.spec import access
from sdk.spec.digest import Digest

_NOT_STORED: Final = "no-store"

router = APIRouter(prefix="/v1/credentials", tags=["credentials"])


@router.post("", status_code=201)
def issue_credential(
    new: access.NewCredential, runtime: RuntimeDep, caller: CallerDep, response: Response
) -> access.IssuedCredential:
    """Issue a credential to somebody of the caller's tenant. Its text is in this answer only."""
    with runtime.transaction(caller.tenant) as session:
        return _shown_once(service.issue_for(session, runtime, caller, new), response)


@router.get("")
def list_credentials(page: PageDep, runtime: RuntimeDep, caller: CallerDep) -> access.CredentialPage:
    """The tenant's credentials for administrators, one's own for everybody else; never their texts."""
    with runtime.transaction(caller.tenant) as session:
        return service.page(session, runtime, caller, page)


@router.post("/{digest}/rotation", status_code=201)
def rotate_credential(
    digest: Digest, rotation: access.Rotation, runtime: RuntimeDep, caller: CallerDep, response: Response
) -> access.IssuedCredential:
    """Let a new credential follow an old one, which works on until the overlap is over."""
    with runtime.transaction(caller.tenant) as session:
        return _shown_once(service.rotate(session, runtime, caller, digest, rotation), response)


@router.post("/{digest}/revocation", status_code=201)
def revoke_credential(digest: Digest, runtime: RuntimeDep, caller: CallerDep) -> access.CredentialView:
    """End a credential now."""
    with runtime.transaction(caller.tenant) as session:
        return service.revoke(session, runtime, caller, digest)


def _shown_once(credential: NewCredential, response: Response) -> access.IssuedCredential:
    response.headers["Cache-Control"] = _NOT_STORED
    return access.IssuedCredential(text=credential.text, credential=service.view_of(credential.row))
