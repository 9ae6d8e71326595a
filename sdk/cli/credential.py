"""`imprimatur credential`: issuing, listing, rotating and revoking credentials.

A rotation of the profile's own credential puts the new one into the profile, so that nobody has to copy a secret.
"""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, named, now, say, show_table
from sdk.errors import ConfigurationError
from sdk.profile import Profile
from sdk.spec.access import CredentialView, NewCredential, Rotation
from sdk.spec.canonical import validate_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId
from sdk.spec.policy import Role
from sdk.spec.scopes import Scope

commands = typer.Typer()
_credential = typer.Typer(no_args_is_help=True, help="Issue, list, rotate and revoke credentials.")
commands.add_typer(_credential, name="credential")

Days = Annotated[
    int | None, typer.Option(min=1, help="Days until it expires. \\[default: what the registry allows]", metavar="N")
]
Named = Annotated[str, typer.Argument(help="The credential's digest, from the list.", metavar="DIGEST")]


@_credential.command("issue")
def issue(
    principal: Annotated[str, typer.Argument(help="Whom it is for, such as demo/web-shop.", metavar="TENANT/NAME")],
    role: Annotated[list[Role], typer.Option(help="What the holder may be; give it several times for several.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may be used for, narrower than its roles. \\[default: all]")
    ] = None,
    days: Days = None,
    label: Annotated[str, typer.Option(help="What it is for, in your words.")] = "",
    profile: ProfileOption = None,
) -> None:
    """Issue a credential (administrators). Its text is printed this once and kept nowhere."""
    wanted = {
        "principal": named(PrincipalId, principal),
        "roles": tuple(role),
        "scopes": tuple(scope) if scope else None,
        "expires_at": _after(days),
        "label": label,
    }
    with connected(profile) as (_, client):
        issued = client.issue_credential(validate_wire(NewCredential, wanted, "credential"))
    say(issued.text)
    say(f"for {issued.credential.principal} until {issued.credential.expires_at:%Y-%m-%d}; {issued.credential.digest}")


@_credential.command("list")
def list_all(profile: ProfileOption = None) -> None:
    """List the tenant's credentials (administrators) or your own, with their last use."""
    with connected(profile) as (_, client):
        rows = [_row(view, now()) for view in client.list_credentials().credentials]
    show_table("Credentials", ("digest", "principal", "roles", "scopes", "label", "stands", "last used"), rows)


@_credential.command("rotate")
def rotate(
    digest: Annotated[
        str | None, typer.Argument(help="The credential's digest. \\[default: the profile's own]", metavar="[DIGEST]")
    ] = None,
    overlap_hours: Annotated[int, typer.Option(min=0, max=720, help="How long the old one still works.")] = 24,
    days: Days = None,
    profile: ProfileOption = None,
) -> None:
    """Replace a credential by a new one; the profile's own is put into the profile."""
    with connected(profile) as (chosen, client):
        own = Digest.of(chosen.credential.encode())
        old = named(Digest, digest) if digest else own
        rotation = Rotation(overlap_seconds=overlap_hours * 3600, expires_at=_after(days))
        issued = client.rotate_credential(old, rotation)
    if old == own:
        _put_into(chosen, issued.text)
        say(f"{chosen.path} has a new credential until {issued.credential.expires_at:%Y-%m-%d}")
    else:
        say(issued.text)
    say(f"the old one works for {overlap_hours} h more; it is {old}")


@_credential.command("revoke")
def revoke(digest: Named, profile: ProfileOption = None) -> None:
    """End a credential at once."""
    with connected(profile) as (_, client):
        ended = client.revoke_credential(named(Digest, digest))
    say(f"{ended.digest} of {ended.principal} is revoked")


def _row(view: CredentialView, at: datetime) -> tuple[str, ...]:
    end = min(view.expires_at, view.revoked_at or view.expires_at)
    stands = f"until {end:%Y-%m-%d %H:%M}" if end > at else "ended"
    return (
        str(view.digest),
        str(view.principal),
        ", ".join(view.roles),
        "all" if view.scopes is None else ", ".join(view.scopes),
        view.label or "-",
        stands,
        f"{view.last_used_at:%Y-%m-%d %H:%M}" if view.last_used_at else "never",
    )


def _after(days: int | None) -> datetime | None:
    return now() + timedelta(days=days) if days else None


def _put_into(profile: Profile, credential: str) -> None:
    """Put `credential` in place of the profile's own: the whole file at once, readable by its owner only."""
    text = profile.path.read_text("utf-8")
    if text.count(profile.credential) != 1:
        raise ConfigurationError(f"profile {profile.path} changed meanwhile; put the new credential in: {credential}")
    handle, name = tempfile.mkstemp(dir=profile.path.parent, prefix=f".{profile.path.name}-")  # 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text.replace(profile.credential, credential))
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(profile.path)
