"""Credentials as people manage them: the bodies of /v1/credentials.

    POST  /v1/credentials                                    NewCredential -> IssuedCredential (admin)
    GET   /v1/credentials?cursor=&limit=                     CredentialPage (admin: the tenant's; others: their own)
    POST  /v1/credentials/{digest}/rotation                  Rotation -> IssuedCredential (admin, or its holder)
    POST  /v1/credentials/{digest}/revocation                CredentialView (admin, or its holder)

A credential is named by the digest of its text, which proves nothing. Its text is in one answer, and nowhere after.
"""

from __future__ import annotations

from pydantic import AwareDatetime, Field, field_validator

from sdk.spec.api import PlainText
from sdk.spec.canonical import WireModel
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId
from sdk.spec.paging import Page
from sdk.spec.policy import Role
from sdk.spec.scopes import Scope


class NewCredential(WireModel):
    """A credential to be issued to a principal of the caller's tenant."""

    principal: PrincipalId
    roles: tuple[Role, ...] = Field(min_length=1, max_length=len(Role))
    scopes: tuple[Scope, ...] | None = Field(default=None, min_length=1, max_length=len(Scope))  # none: all
    expires_at: AwareDatetime | None = None  # none: as late as the registry allows
    label: PlainText = Field(default="", max_length=100)  # what it is for, for people; goes into no log

    @field_validator("roles", "scopes")
    @classmethod
    def _named_once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is not None and len(set(names)) != len(names):
            raise ValueError("one is named twice")
        return names


class Rotation(WireModel):
    """A credential is to be followed by another of the same principal, roles and scopes."""

    overlap_seconds: int = Field(default=86_400, ge=0, le=30 * 86_400)  # the old one still works for so long
    expires_at: AwareDatetime | None = None  # of the new one; none: it lives as long as the old one was to live


class CredentialView(WireModel):
    """A credential without its text."""

    digest: Digest
    principal: PrincipalId
    roles: tuple[Role, ...]
    scopes: tuple[Scope, ...] | None = None
    label: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    revoked_at: AwareDatetime | None = None  # in the future while a rotation's overlap lasts
    last_used_at: AwareDatetime | None = None
    replaced_by: Digest | None = None


class IssuedCredential(WireModel):
    """A new credential. `text` is shown this once."""

    text: str = Field(repr=False)
    credential: CredentialView


class CredentialPage(Page):
    credentials: tuple[CredentialView, ...]
