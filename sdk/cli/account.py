"""`imprimatur whoami`: which principal the profile is, with which roles, at which registry."""

from __future__ import annotations

import typer

from sdk.cli.connection import ProfileOption, connected, say

commands = typer.Typer()


@commands.command()
def whoami(profile: ProfileOption = None) -> None:
    """Show who the registry takes you for."""
    with connected(profile) as (chosen, client):
        who = client.whoami()
        say(f"{who.principal} at {chosen.registry}: {', '.join(role.value for role in who.roles) or 'no role'}")
