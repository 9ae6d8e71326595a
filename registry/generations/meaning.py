"""Whether a reference still means the version that an application found by it, at the moment its intent is decided on.

So an application need not ask anew what a reference means: the registry says so where it is the last word, and before
anything is recorded. What a reference means is `registry.versions.service.resolve`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from registry.versions import history
from registry.versions.lifecycle import USABLE
from registry.versions.version import Terms, Version
from sdk.errors import Conflict, InputError
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import VersionRef, parse_version_ref


def require_meant(session: Session, meant: Sequence[str], held: Sequence[Version], terms: Sequence[Terms]) -> None:
    """Return if each reference means its version now, and that one may be used; none is asked about if none is given.

    Raises:
        Conflict: one of them does not.
        InputError: they are not as many as the versions.
    """
    if not meant:
        return
    if len(meant) != len(held):
        raise InputError(f"{len(meant)} references are given for {len(held)} versions; give one for each, in order")
    for reference, version, of in zip(meant, held, terms, strict=True):
        if not _means(session, parse_version_ref(reference), version):
            raise Conflict(f"{reference} does not mean {version.name} any more; resolve it again")
        if (status := version.status(of)) not in USABLE:
            raise Conflict(f"{version.name} became {status.value}; resolve it again")


def _means(session: Session, ref: VersionRef, version: Version) -> bool:
    if ref.concept != version.concept:
        return False
    if ref.number:
        return ref.number == version.number
    if ref.manifest_digest:
        return ref.manifest_digest == version.digest
    if ref.alias:
        return history.named_by(session, version.tenant, ref.concept, ref.alias) == version.number
    return version.stored_status is VersionStatus.APPROVED  # of which a concept has one at most
