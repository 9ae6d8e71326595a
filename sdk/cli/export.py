"""`imprimatur export`: an approved version as a signed folder or an OCI image layout, for tools that are not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cache import StatusWatch
from sdk.cli.connection import ProfileOption, connected, named, now, say
from sdk.cli.review import Reference, verified
from sdk.client import Client
from sdk.export.files import ExportedFile, exported_files
from sdk.export.model_signing import generate_export_key, load_export_key, public_path, write_signed_folder
from sdk.export.oci import write_oci_layout
from sdk.profile import Profile
from sdk.resolve import StatusLists, current_trust_root, log_memory, on_status_lists
from sdk.spec.ids import parse_version_ref
from sdk.spec.manifest import ArtefactDescriptor, ArtefactRole
from sdk.verify import VerifiedVersion, verify_version

_export = typer.Typer(no_args_is_help=True, help="Write an approved version as a folder that other tools read.")
commands = typer.Typer()
commands.add_typer(_export, name="export")

Out = Annotated[Path, typer.Argument(help="A new folder.", metavar="FOLDER")]
Held = Annotated[
    Path | None,
    typer.Option(help="A folder with files of the version that you hold, such as its embedding.", show_default=False),
]
Include = Annotated[
    list[ArtefactRole] | None,
    typer.Option(help="Fetch these too, if you may see them; may be repeated.", show_default=False),
]


@_export.command("key")
def make_key(path: Annotated[Path, typer.Argument(help="Where the new key goes.", metavar="FILE")]) -> None:
    """Make a P-256 key to sign folders with, and its public key beside it."""
    generate_export_key(path)
    say(f"{path} is yours alone; give {public_path(path)} to whoever verifies")


@_export.command("model-signing")
def export_signed_folder(
    reference: Reference,
    out: Out,
    key: Annotated[Path, typer.Option(help="Your P-256 key; 'imprimatur export key' makes one.")],
    held: Held = None,
    include: Include = None,
    profile: ProfileOption = None,
) -> None:
    """Write a version with an OpenSSF model signature, which 'model_signing verify key' accepts."""
    signer = load_export_key(key)
    version, files = _collect(reference, held, include, profile)
    signature = write_signed_folder(out, version.name, files, signer)
    _say_exported(version, files, out)
    say(f"verify with: model_signing verify key {out} --signature {signature} --public_key {public_path(key)}")


@_export.command("oci")
def export_oci_layout(
    reference: Reference, out: Out, held: Held = None, include: Include = None, profile: ProfileOption = None
) -> None:
    """Write a version as an OCI image layout after the CNCF ModelPack model-spec."""
    version, files = _collect(reference, held, include, profile)
    digest = write_oci_layout(out, version, files)
    _say_exported(version, files, out)
    say(f"image manifest {digest}; copy it with: skopeo copy oci:{out}:{version.bundle.number} docker://...")


def _collect(
    reference: str, held: Path | None, include: list[ArtefactRole] | None, profile: Path | None
) -> tuple[VerifiedVersion, tuple[ExportedFile, ...]]:
    with connected(profile) as (chosen, client):
        version = _approved(chosen, client, reference)

        def fetch(artefact: ArtefactDescriptor) -> bytes:
            return client.get_file(version.bundle.concept, version.bundle.number, artefact.digest)

        return version, exported_files(
            version, client.trust_root(), held=held, include=frozenset(include or ()), fetch=fetch
        )


def _approved(profile: Profile, client: Client, reference: str) -> VerifiedVersion:
    """The version with everything verified, its approvals and that it is live included."""
    bundle = verified(profile, client, reference).bundle
    trust = current_trust_root(client, profile, now=now())
    ref = named(parse_version_ref, reference)

    def verify(lists: StatusLists) -> VerifiedVersion:
        version = verify_version(bundle, ref=ref, trust=trust, now=now(), status_list=lists.of(bundle))
        if version.status_list:
            StatusWatch(log_memory(profile)).see(version.status_list)
        return version

    return on_status_lists(client, trust, verify)


def _say_exported(version: VerifiedVersion, files: tuple[ExportedFile, ...], out: Path) -> None:
    say(f"{version.name}, {version.digest}, in {out}: {len(files)} files")
    missing = len(version.manifest.artefacts) - sum(file.role is not None for file in files)
    if missing:
        say(f"{missing} of its {len(version.manifest.artefacts)} own files are not in it; see --held and --include")
