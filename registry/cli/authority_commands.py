"""`imprimatur trust add-authority|issue-signer`: who vouches for images. What they do is in `authorities`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.options import Directory, say, server_extra
from registry.cli.trust_commands import Propose, RootKey, tell

authorities = typer.Typer()


@authorities.command("add-authority")
def add_authority(
    directory: Directory,
    certificate: Annotated[Path, typer.Argument(help="The authority's certificate (PEM).", metavar="CERTIFICATE")],
    time_stamps: Annotated[
        bool, typer.Option("--time-stamps", help="It says when images were signed (RFC 3161), not by whom.")
    ] = False,
    root_key: RootKey = None,
    propose: Propose = None,
) -> None:
    """Believe another authority about images: an organisation's own, or one that stamps the time. Restart what is running."""
    with server_extra():
        from registry.cli.authorities import AuthorityUse
        from registry.cli.authorities import add_authority as add
        from registry.cli.workspace import open_workspace
    use = AuthorityUse.TIME_STAMPS if time_stamps else AuthorityUse.CREDENTIALS
    root = add(open_workspace(directory), certificate, use, root_key or (), propose)
    tell(root, propose, f"{certificate} is believed about {use.value}; trust root version {root.version}")


@authorities.command("issue-signer")
def issue_signer(
    directory: Directory,
    holder: Annotated[str, typer.Argument(help="Who will sign images, such as demo/app.")],
    folder: Annotated[Path, typer.Argument(help="Where key.pem and chain.pem go.", metavar="FOLDER")],
    days: Annotated[int, typer.Option(help="How long it counts.", min=1, max=397)] = 7,
) -> None:
    """Issue a signing certificate for an application on another machine, so that the authority's key stays here."""
    with server_extra():
        from registry.cli.authorities import issue_signer as issue
        from registry.cli.workspace import open_workspace
        from sdk.spec.ids import PrincipalId
    issued = issue(open_workspace(directory), PrincipalId(holder), folder, days)
    say(f"{folder} is for the content_credentials of {holder}, until {issued.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
