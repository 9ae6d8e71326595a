"""What goes into an export, as values: names and contents. Nothing is written here.

Rules:
1. A version is exported once its proofs hold; the manifest's bytes are those that were verified.
2. The proofs (`version-bundle.json`) and the trust root are always there: who gets the folder can verify the version.
3. A file of the version is there with the digest and size that the manifest says, or it is not there at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sdk.errors import InputError
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, encode_envelope
from sdk.spec.manifest import ArtefactDescriptor, ArtefactRole
from sdk.verify import VerifiedVersion, verify_artefact

PROOFS: Final = "imprimatur"
"""The folder of an export that holds what is about the version."""
FETCHED: Final = (ArtefactRole.MASK, ArtefactRole.SAMPLE, ArtefactRole.TRAINING_PICTURE, ArtefactRole.REPORT)
"""What a registry shows to those who review; never the embedding."""

Fetch = Callable[[ArtefactDescriptor], bytes]


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """One file of an export; `role` is none for what is about the version."""

    name: str
    content: bytes
    media_type: str
    role: ArtefactRole | None = None


def exported_files(
    version: VerifiedVersion,
    trust_root: Envelope,
    *,
    held: Path | None,
    include: Collection[ArtefactRole],
    fetch: Fetch,
) -> tuple[ExportedFile, ...]:
    """The files of an export, by name: those in the folder `held`, found by digest, and those of `include`, fetched.

    Raises:
        InputError: `include` names the embedding, which is not fetched, or a file of the version has a name that is taken.
        DigestMismatch: what came is something else than the manifest says.
    """
    if unfetched := set(include) - set(FETCHED):
        raise InputError(f"a registry hands out no {min(unfetched)} for an export; name a folder that holds it")
    files = [*_about(version, trust_root)]
    at_hand = {Digest.of(content): content for content in _contents(held, version)}
    for artefact in version.manifest.artefacts:
        content = at_hand.get(artefact.digest)
        if content is None and artefact.role in include:
            content = fetch(artefact)
        if content is not None:
            verify_artefact(artefact, content, about=version.name)
            files.append(
                ExportedFile(name=artefact.name, content=content, media_type=artefact.media_type, role=artefact.role)
            )
    names = [file.name for file in files]
    if taken := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{version.name} has a file called {min(taken)}, which an export uses itself")
    return tuple(sorted(files, key=lambda file: file.name))


def create_folder(folder: Path) -> None:
    """Make a new folder for an export. Raises `InputError` when there is one."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError as exc:
        raise InputError(f"{folder} is there already; an export is written into a new folder") from exc
    except OSError as exc:
        raise InputError(f"{folder} cannot be made: {exc.strerror}") from exc


def _about(version: VerifiedVersion, trust_root: Envelope) -> Iterator[ExportedFile]:
    contents = {
        "manifest.json": version.bundle.manifest,
        "version-bundle.json": encode_canonical(version.bundle),
        "trust-root.json": encode_envelope(trust_root),
    }
    for name, content in contents.items():
        yield ExportedFile(name=f"{PROOFS}/{name}", content=content, media_type="application/json")


def _contents(folder: Path | None, version: VerifiedVersion) -> Iterator[bytes]:
    """The contents in `folder` that may be files of the version, by their size."""
    sizes = {artefact.size for artefact in version.manifest.artefacts}
    try:
        for path in sorted(folder.rglob("*")) if folder else ():
            if path.is_file() and path.stat().st_size in sizes:
                yield path.read_bytes()
    except OSError as exc:
        raise InputError(f"the files in {folder} cannot be read: {exc.strerror}") from exc
