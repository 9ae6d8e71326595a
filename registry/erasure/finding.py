"""Finding what an erasure destroys, and what it must keep (rules 3 and 4 of `service`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry import blobs
from registry.consent import erasing as consents
from registry.consent.erasing import Erasable
from registry.erasure.tables import ErasedKeyRow
from registry.sealing import WrappedKey
from registry.vault import KeyName, vault_name
from registry.versions import erasing as versions
from registry.versions.version import Version
from sdk.errors import Conflict
from sdk.spec.digest import Digest
from sdk.spec.erasure import Kept
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.texts import Pseudonym


@dataclass
class Found:
    """What is to be destroyed, as it is found."""

    keys: list[KeyName] = field(default_factory=list)
    named_before: list[KeyName] = field(default_factory=list)  # by earlier erasures (rule 4)
    blobs: list[Digest] = field(default_factory=list)
    documents: list[Digest] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)

    def add_key(self, key: WrappedKey, what: str) -> None:
        """Name a key for destruction. Raises `Conflict` for one that lies in the database alone."""
        if (name := vault_name(key.wrapped)) is None:
            raise Conflict(
                f"the key of {what} is from before there was a key vault, so every backup has it; run 'imprimatur registry "
                "seal' first, and destroy the backups from before"
            )
        self.keys.append(name)


def find(
    session: Session,
    tenant: TenantName,
    subject: Pseudonym,
    records: Mapping[RecordId, Erasable],
    resting: Sequence[Version],
) -> Found:
    """The keys, stored files and documents behind `subject`: of `records`, and of the versions `resting` on them.

    Raises:
        Conflict: something is from before everything was sealed.
    """
    found = Found()
    uploads = set(consents.documents_of_bindings(session, tenant, subject))
    uploads |= {artefact.digest for version in resting for artefact in version.manifest.artefacts}
    for consent, erasable in records.items():
        for key in (erasable.key, *erasable.event_keys):
            found.add_key(key, f"consent {consent}")
        uploads |= erasable.documents
    for version in resting:
        found.add_key(versions.key_of(session, version), f"the files of {version.name}")
        found.blobs += versions.stored_of(session, version)
    needed = consents.documents_of_others(session, tenant, subject, records.keys())  # rule 3
    for digest in sorted(uploads):
        upload = blobs.claim_key(session, tenant, digest)
        if upload is None:
            continue
        if digest in needed:
            why = "a licence, or somebody else's consent or binding, names it"
            found.kept.append(Kept(what=f"document {digest}", why=why))
            continue
        key, stored = upload
        found.add_key(key, f"upload {digest}")
        found.blobs.append(stored)
        found.documents.append(digest)
    named = select(ErasedKeyRow.name).where(ErasedKeyRow.name.in_(found.keys))  # rule 4
    found.named_before = list(session.scalars(named))
    found.keys = [key for key in found.keys if key not in found.named_before]
    return found
