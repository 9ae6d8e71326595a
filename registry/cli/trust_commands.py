"""`imprimatur trust`: the keys of a workspace. What the commands do is in `trust`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.options import Directory, say, server_extra
from sdk.signing.public_keys import encode_public_key, load_public_key
from sdk.signing.remote import import_key as import_remote_key
from sdk.signing.signer import generate_key_file
from sdk.signing.trust import TrustRole, TrustRoot, known_root
from sdk.spec.ids import PrincipalId

trust = typer.Typer(no_args_is_help=True, help="The keys of a workspace: who is trusted with what.")

RootKey = Annotated[
    list[Path] | None,
    typer.Option(
        "--root-key",
        help="Where a root key is; once for each that must sign. \\[default: DIR/keys/root.pem]",
        show_default=False,
    ),
]
Propose = Annotated[
    Path | None,
    typer.Option(
        "--propose",
        metavar="FILE",
        help="Write to FILE what the holders of the root keys are to sign ('sign'), and change nothing yet.",
        show_default=False,
    ),
]


def tell(root: TrustRoot, proposed: Path | None, done: str) -> None:
    """Say what was done, or that it waits for signatures."""
    say(f"trust root version {root.version} is proposed in {proposed}; nothing is published yet" if proposed else done)


@trust.command()
def show(directory: Directory) -> None:
    """List the keys of the trust root: id, role, holder; and who vouches for images."""
    with server_extra():
        from registry.cli.authorities import named_authorities
        from registry.cli.trust import current_root
        from registry.cli.trust_text import describe
        from registry.cli.workspace import open_workspace
    root = current_root(open_workspace(directory))
    say(f"trust root version {root.version} of {root.log_origin}, until {root.expires_at:%Y-%m-%d}")
    for keyid, key in sorted(root.keys.items(), key=lambda item: (item[1].role, item[1].holder)):
        say(f"  {describe(keyid, key)}")
    for use, certificate in named_authorities(root):
        say(f"  {use.value}: {certificate.subject.rfc4514_string()}, until {certificate.not_valid_after_utc:%Y-%m-%d}")


@trust.command()
def renew(directory: Directory, root_key: RootKey = None, propose: Propose = None) -> None:
    """Sign the next trust root: a new term, and a key for each role that has none yet. A running registry takes it up within seconds."""
    with server_extra():
        from registry.cli.trust import renew as sign_next
        from registry.cli.workspace import open_workspace
    done = sign_next(open_workspace(directory), root_key or (), propose)
    made = f"; new keys: {', '.join(done.new_keys)}" if done.new_keys else ""
    tell(done.root, propose, f"trust root version {done.root.version}, until {done.root.expires_at:%Y-%m-%d}{made}")


@trust.command("revoke-key")
def revoke_key(
    directory: Directory,
    key: Annotated[str, typer.Argument(help="The key's id, or its first digits, as 'show' lists it.", metavar="KEY")],
    last_entry: Annotated[
        int | None,
        typer.Option(
            help="The last entry of the log that the key counts for; -1: it never counted. \\[default: the newest]",
            min=-1,
            show_default=False,
        ),
    ] = None,
    root_key: RootKey = None,
    propose: Propose = None,
) -> None:
    """Let a key count for nothing that the log holds after an entry. A running registry takes it up within seconds."""
    with server_extra():
        from registry.cli.trust import revoke_key as revoke
        from registry.cli.workspace import open_workspace
    done = revoke(open_workspace(directory), key, last_entry, root_key or (), propose)
    revoked = f"the {done.role.value} key {done.keyid[:16]} of {done.holder} counts up to entry {done.last_entry}, and no further"
    tell(done.root, propose, f"{revoked}\ntrust root version {done.root.version}")


@trust.command("make-key")
def make_key(
    path: Annotated[Path, typer.Argument(help="Where the private key goes; PATH.pub is for 'add-key'.")],
) -> None:
    """Make a signing key, on the machine of who will hold it."""
    signer = generate_key_file(path)
    public = path.with_name(path.name + ".pub")
    public.write_bytes(encode_public_key(signer.public_key))
    say(f"key {signer.keyid[:16]}: {path} stays with its holder, {public} goes to who keeps the trust root")


@trust.command("import-key")
def import_key(
    uri: Annotated[
        str, typer.Argument(help="Where the key is kept: hv:, awskms:, gcpkms:, azurekms: or hsm:.", metavar="URI")
    ],
    path: Annotated[Path, typer.Argument(help="Where its key file goes; it is for 'add-key' as well.")],
) -> None:
    """Use a signing key that a key service or hardware module keeps: write a key file that names it."""
    signer = import_remote_key(uri, path)
    say(f"key {signer.keyid[:16]}: {path} names {signer.uri} and holds its public key, which is for 'add-key'")


@trust.command("add-key")
def add_key(
    directory: Directory,
    public: Annotated[
        Path, typer.Argument(help="The public key, as 'make-key' or 'import-key' wrote it.", metavar="PATH.pub")
    ],
    role: Annotated[TrustRole, typer.Option(help="What it signs.")],
    holder: Annotated[str, typer.Option(help="Whose it is, such as demo/aiko.")],
    root_key: RootKey = None,
    propose: Propose = None,
) -> None:
    """Trust somebody with a key for a role. A running registry takes it up within seconds."""
    with server_extra():
        from registry.cli.trust import add_key as add
        from registry.cli.workspace import open_workspace

    public_key = load_public_key(public)
    root = add(open_workspace(directory), public_key, role, PrincipalId(holder), root_key or (), propose)
    tell(root, propose, f"{holder} is trusted with {role.value}; trust root version {root.version}")


@trust.command("rotate-root")
def rotate_root(
    directory: Directory,
    new: Annotated[
        list[Path],
        typer.Option("--new", help="A new root key, or its .pub with --propose; once for each.", show_default=False),
    ],
    threshold: Annotated[int, typer.Option(help="How many of them must sign.", min=1)] = 1,
    root_key: RootKey = None,
    propose: Propose = None,
) -> None:
    """Let other keys be the root keys: the old ones sign it once more. A running registry takes it up within seconds."""
    with server_extra():
        from registry.cli.trust import rotate_root as rotate
        from registry.cli.workspace import open_workspace
    root = rotate(open_workspace(directory), new, threshold, root_key or (), propose)
    done = f"{threshold} of {len(new)} root keys must sign from now on; trust root version {root.version}"
    tell(root, propose, done)


@trust.command()
def sign(
    proposal: Annotated[Path, typer.Argument(help="What '--propose' wrote.", metavar="FILE")],
    root_key: Annotated[Path, typer.Option("--root-key", help="Your root key.", show_default=False)],
    trust_root: Annotated[
        Path,
        typer.Option(
            "--trust-root", help="The trust root that you know, from a place of your own.", show_default=False
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
) -> None:
    """Sign a proposed trust root as one of several holders, where your key is; no workspace is needed."""
    from registry.cli.trust_file import read_proposal, read_trust_root, write_proposal
    from registry.cli.trust_text import changes
    from registry.distribution.proposal import lacking, require_successor, sign_proposal
    from sdk.signing.signer import load_key_file

    asked = read_proposal(proposal)
    known = known_root(read_trust_root(trust_root))
    require_successor(asked, known)
    for line in changes(known, asked):
        say(line)
    if not yes and not typer.confirm("Sign this?"):
        raise typer.Exit(1)
    signed = sign_proposal(asked, load_key_file(root_key), known)
    write_proposal(proposal, signed, over=True)
    missing = lacking(signed, known)
    for line in missing:
        say(f"still to come: {line}")
    if not missing:
        say("complete: 'imprimatur trust publish DIR --signed FILE' publishes it")


@trust.command()
def publish(
    directory: Directory,
    root_key: RootKey = None,
    propose: Propose = None,
    signed: Annotated[
        Path | None,
        typer.Option("--signed", metavar="FILE", help="A proposal that enough holders signed.", show_default=False),
    ] = None,
) -> None:
    """Distribute trust root and policies as they are now over TUF, or a signed proposal. Needed after a change of policies, or once before TUF."""
    with server_extra():
        from registry.cli.trust import publish_now, publish_signed
        from registry.cli.workspace import open_workspace
    workspace = open_workspace(directory)
    root = publish_signed(workspace, signed) if signed else publish_now(workspace, root_key or (), propose)
    done = f"trust root version {root.version} and the policies are distributed; clients start from {directory}/tuf/root.json"
    tell(root, propose, done)
