"""`imprimatur trust`: the keys of a workspace. What the commands do is in `trust`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.options import Directory, say, server_extra

trust = typer.Typer(no_args_is_help=True, help="The keys of a workspace: who is trusted with what.")

RootKey = Annotated[
    Path | None,
    typer.Option("--root-key", help="Where the root key is. [default: DIR/keys/root.pem]", show_default=False),
]


@trust.command()
def show(directory: Directory) -> None:
    """List the keys of the trust root: id, role, holder."""
    with server_extra():
        from registry.cli.trust import current_root
        from registry.cli.workspace import open_workspace
    root = current_root(open_workspace(directory))
    say(f"trust root version {root.version} of {root.log_origin}, until {root.expires_at:%Y-%m-%d}")
    for keyid, key in sorted(root.keys.items(), key=lambda item: (item[1].role, item[1].holder)):
        say(f"  {keyid[:16]}  {key.role.value:<10}  {key.holder}")


@trust.command()
def renew(directory: Directory, root_key: RootKey = None) -> None:
    """Sign the next trust root: a new term, and a key for each role that has none yet. Restart what is running."""
    with server_extra():
        from registry.cli.trust import renew as sign_next
        from registry.cli.workspace import open_workspace
    done = sign_next(open_workspace(directory), root_key)
    made = f"; new keys: {', '.join(done.new_keys)}" if done.new_keys else ""
    say(f"trust root version {done.root.version}, until {done.root.expires_at:%Y-%m-%d}{made}")
