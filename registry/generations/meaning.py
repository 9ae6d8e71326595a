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
from sdk.spec.opening import OpeningQuery


def require_meant(session: Session, query: OpeningQuery, held: Sequence[Version], terms: Sequence[Terms]) -> None:
    """Return if each reference means its version now, and that one may be used and stands under the terms it was found under.

    What is not given is not asked about.

    Raises:
        Conflict: one of them does not.
        InputError: they are not as many as the versions.
    """
    for given, what in ((query.meant, "references"), (query.terms, "terms")):
        if given and len(given) != len(held):
            raise InputError(f"{len(given)} {what} are given for {len(held)} versions; give one for each, in order")
    for reference, version, of in zip(query.meant, held, terms, strict=False):
        if not _means(session, parse_version_ref(reference), version):
            raise Conflict(f"{reference} does not mean {version.name} any more; resolve it again")
        if (status := version.status(of)) not in USABLE:
            raise Conflict(f"{version.name} became {status.value}; resolve it again")
    for found, version, of in zip(query.terms, held, terms, strict=False):
        if found != of.digest:
            raise Conflict(f"{version.name} stands under other terms than it was found under; resolve it again")


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
