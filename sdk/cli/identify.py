"""`imprimatur identify`: from a picture found in the world back to its generation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, now, say
from sdk.errors import InputError, NotFound
from sdk.resolve import current_trust_root

commands = typer.Typer()


@commands.command("identify")
def identify_picture(
    image: Annotated[Path, typer.Argument(help="The picture: the file itself, or any copy of it.")],
    profile: ProfileOption = None,
) -> None:
    """Say where a picture comes from: by its Content Credentials, its file, or what it looks like."""
    from sdk.credentials.read import FileCredentials
    from sdk.identify import describe, identify

    try:
        content = image.read_bytes()
    except OSError as exc:
        raise InputError(f"{image} cannot be read: {exc.strerror}") from exc
    with connected(profile) as (chosen, client):
        trust = current_trust_root(client, chosen, now=now())
        found = identify(content, client, trust)
    say(f"{image}: {found.digest}")
    for line in describe(found):
        say(line)
    if not found.matches and found.said == FileCredentials():
        raise NotFound(f"nothing is known of {image}")
