"""Calls about credentials: issuing, listing, rotating, revoking."""

from __future__ import annotations

from sdk.client.transport import Service
from sdk.spec.access import (
    CredentialPage,
    CredentialView,
    IssuedCredential,
    NewCredential,
    Rotation,
)
from sdk.spec.digest import Digest


class CredentialCalls:
    """The registry's credentials; mixed into `Client`."""

    _registry: Service

    def issue_credential(self, new: NewCredential) -> IssuedCredential:
        """POST /v1/credentials. The text is in this answer only; when it was lost, revoke and issue another."""
        return self._registry.post("/v1/credentials", new, IssuedCredential)

    def list_credentials(self) -> CredentialPage:
        """GET /v1/credentials: the tenant's for administrators, one's own for everybody else."""
        return self._registry.get_pages("/v1/credentials", CredentialPage)

    def rotate_credential(self, digest: Digest, rotation: Rotation) -> IssuedCredential:
        """POST /v1/credentials/{digest}/rotation."""
        return self._registry.post(f"/v1/credentials/{digest}/rotation", rotation, IssuedCredential)

    def revoke_credential(self, digest: Digest) -> CredentialView:
        """POST /v1/credentials/{digest}/revocation."""
        return self._registry.post(f"/v1/credentials/{digest}/revocation", None, CredentialView)
