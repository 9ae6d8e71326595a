"""`imprimatur whoami`: which principal the profile is, at which registry. `imprimatur status`: whether the services serve."""

from __future__ import annotations

import typer

from sdk.cli.connection import ProfileOption, connected, say
from sdk.errors import ServiceUnavailable

commands = typer.Typer()


@commands.command()
def whoami(profile: ProfileOption = None) -> None:
    """Show who the registry takes you for."""
    with connected(profile) as (chosen, client):
        who = client.whoami()
        say(f"{who.principal} at {chosen.registry}: {', '.join(role.value for role in who.roles) or 'no role'}")


@commands.command()
def status(profile: ProfileOption = None) -> None:
    """Say whether registry and trainer can serve; ends with status 1 when one cannot, and names what is wrong."""
    with connected(profile) as (chosen, client):
        asked = {"registry": client.ready} | ({"trainer": client.trainer_health} if chosen.trainer else {})
        faults = 0
        for name, ask in asked.items():
            try:
                found = ask()
                say(f"{name}: {found.status}, version {found.version}")
            except ServiceUnavailable as exc:
                faults += 1
                say(f"{name}: {exc.message}")
    if faults:
        raise typer.Exit(1)
