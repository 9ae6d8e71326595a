"""What verification gives: a version with its proofs, and what is said of it on the way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sdk.errors import VerificationError
from sdk.spec.bundle import VersionBundle
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.manifest import ConceptManifest
from sdk.spec.statements import Predicate, parse_predicate, parse_statement, terms_digest
from sdk.spec.status_list import StatusList


@dataclass(frozen=True, kw_only=True)
class VerifiedBreakGlass:
    """Two people's leave to use a version before its approval, with its proofs."""

    signers: tuple[PrincipalId, ...]
    reason: str
    expires_at: datetime
    log_index: int


@dataclass(frozen=True, kw_only=True)
class VerifiedRenewal:
    """Other terms than those of the manifest, as the log has them."""

    requester: PrincipalId
    requested_index: int
    approvals_required: int
    renewed_index: int | None  # none: it waits for reviewers


@dataclass(frozen=True, kw_only=True)
class VerifiedVersion:
    """A version whose proofs hold. `approvers` is empty, and there is no status list, unless `verify_version` made it.

    One that `sdk.break_glass` made has a `break_glass`, and not all the approvals that it needs.
    """

    bundle: VersionBundle
    manifest: ConceptManifest
    digest: Digest
    checkpoint: LogCheckpoint
    notes: tuple[bytes, ...]  # every checkpoint note that was verified
    requester: PrincipalId | None = None  # who asked for its review; none: a draft
    renewal: VerifiedRenewal | None = None  # none: its terms are those of the manifest
    approvers: tuple[PrincipalId, ...] = ()
    approval_indices: tuple[int, ...] = ()
    status_list: StatusList | None = None
    break_glass: VerifiedBreakGlass | None = None

    @property
    def live_until(self) -> datetime | None:
        """Until when it was found to be live; none unless it was."""
        if self.status_list is None:
            return None
        until = self.status_list.valid_until
        return min(until, self.break_glass.expires_at) if self.break_glass else until

    @property
    def name(self) -> str:
        """`tenant/name@number`."""
        return version_name(self.bundle)


def version_name(bundle: VersionBundle) -> str:
    """`tenant/name@number`, as the log names a version."""
    return f"{bundle.concept}@{bundle.number}"


def terms_of(bundle: VersionBundle) -> Digest:
    """The digest of the terms that an approval of this bundle signs."""
    records = (*(consent.digest for consent in bundle.consents), *(licence.digest for licence in bundle.licences))
    return terms_digest(records)


_Predicate = TypeVar("_Predicate", bound=Predicate)


def predicate_about(envelope: Envelope, cls: type[_Predicate], version: VerifiedVersion) -> _Predicate:
    """The predicate of a statement, which must be about the version's manifest; signatures are checked elsewhere."""
    statement = parse_statement(envelope.payload, envelope.payload_type)
    if [subject.content for subject in statement.subject] != [version.digest]:
        raise VerificationError(f"a statement that came with {version.name} is about something else")
    return parse_predicate(statement, cls)
