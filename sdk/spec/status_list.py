"""Status lists: which versions have ended, as W3C Bitstring Status List v1.0 says it. https://www.w3.org/TR/vc-bitstring-status-list/

A log proves that something is in it, never that something is not; so what has not ended is told by a short-lived list.
Rules, which make it unnecessary to hand out any index:
1. A list is of one tenant and of the versions that stand in the log's entries from `number * ENTRIES_PER_LIST` on: where they
   were submitted, or renewed (`VersionBundle.standing_entry`).
2. A version has four bits, in the order of `StatusPurpose`, from `4 * (that entry % ENTRIES_PER_LIST)` on. The inclusion proof of
   the entry proves the place. When a renewal begins, REFRESH is 1 in the entry before: what stood there stands elsewhere.
3. All four are 0 exactly for an approved version. Where no approved version is, MESSAGE is 1: what a list does not know
   is not approved.
4. SUSPENSION and MESSAGE are 1 together for a version that was never approved and is in use under a break-glass. Whoever does
   not know of this reads that it must not be used.
The credential is JSON; signing it is `sdk.signing.status`.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

from pydantic import AwareDatetime, Field

from sdk.errors import FormatError
from sdk.spec.bundle import VersionBundle, VersionStatus
from sdk.spec.canonical import WireModel
from sdk.spec.ids import TenantName

LIST_BITS: Final = 131_072  # the least that the specification allows: a list tells nobody which version is asked about
MEDIA_TYPE: Final = "application/vc+jwt"
_CONTEXT: Final = "https://www.w3.org/ns/credentials/v2"


class StatusPurpose(StrEnum):
    """What a bit that is 1 says; the words are the specification's."""

    REVOCATION = "revocation"  # revoked, for ever
    SUSPENSION = "suspension"  # a consent it rests on was withdrawn
    REFRESH = "refresh"  # superseded: a later version is approved, or this one under other terms
    MESSAGE = "message"  # never approved: waits for reviewers, was rejected, or is not there


PURPOSES: Final = tuple(StatusPurpose)
ENTRIES_PER_LIST: Final = LIST_BITS // len(PURPOSES)
_PURPOSE_OF: Final[Mapping[VersionStatus, StatusPurpose]] = {
    VersionStatus.REVOKED: StatusPurpose.REVOCATION,
    VersionStatus.SUSPENDED: StatusPurpose.SUSPENSION,
    VersionStatus.SUPERSEDED: StatusPurpose.REFRESH,
}
IN_BREAK_GLASS: Final = (StatusPurpose.SUSPENSION, StatusPurpose.MESSAGE)
"""What a list says of a version that is in use under a break-glass."""
_NOTHING_APPROVED: Final = b"\x11"  # two versions that are not there: 0001 0001


@dataclass(frozen=True, kw_only=True)
class StatusListName:
    """Which list: of which log, of which tenant, over which part of the log."""

    log_origin: str
    tenant: TenantName
    number: int

    @classmethod
    def of(cls, bundle: VersionBundle, *, log_origin: str) -> StatusListName:
        """The list that the version of a bundle stands in."""
        number = list_number(bundle.standing_entry)
        return cls(log_origin=log_origin, tenant=bundle.concept.tenant, number=number)

    @property
    def urn(self) -> str:
        """The credential's id."""
        return f"urn:imprimatur:status-list:{self.log_origin}:{self.tenant}:{self.number}"

    @property
    def issuer(self) -> str:
        """Who says so: the registry that keeps the log."""
        return f"urn:imprimatur:registry:{self.log_origin}"


class StatusListSubject(WireModel):
    """The list itself."""

    id: str
    type: Literal["BitstringStatusList"] = "BitstringStatusList"
    status_purpose: tuple[StatusPurpose, ...] = Field(alias="statusPurpose", min_length=1)
    encoded_list: str = Field(alias="encodedList", pattern=r"^u[A-Za-z0-9_-]+$", max_length=65_536)
    ttl: int = Field(ge=1)  # milliseconds


class StatusListCredential(WireModel):
    """A BitstringStatusListCredential. Proves nothing until its signature is verified."""

    context_: tuple[Literal["https://www.w3.org/ns/credentials/v2"]] = Field(default=(_CONTEXT,), alias="@context")
    id: str = Field(max_length=400)
    type: tuple[Literal["VerifiableCredential"], Literal["BitstringStatusListCredential"]] = (
        "VerifiableCredential",
        "BitstringStatusListCredential",
    )
    issuer: str = Field(max_length=400)
    valid_from: AwareDatetime = Field(alias="validFrom")
    valid_until: AwareDatetime = Field(alias="validUntil")
    subject: StatusListSubject = Field(alias="credentialSubject")


@dataclass(frozen=True, kw_only=True)
class StatusList:
    """A status list whose signature was verified."""

    id: str
    valid_from: datetime
    valid_until: datetime
    bits: bytes

    def raised(self, entry: int) -> tuple[StatusPurpose, ...]:
        """What it says against the version that stands in entry `entry` of the log; nothing for an approved one."""
        first = len(PURPOSES) * (entry % ENTRIES_PER_LIST)
        return tuple(purpose for place, purpose in enumerate(PURPOSES, first) if self._is_set(place))

    def _is_set(self, place: int) -> bool:
        return bool(self.bits[place // 8] >> (7 - place % 8) & 1)  # the first bit is the highest of the first byte


def list_number(entry: int) -> int:
    """The number of the list of entry `entry` of the log."""
    return entry // ENTRIES_PER_LIST


def make_bits(statuses: Mapping[int, VersionStatus]) -> bytes:
    """The bits of one list from the statuses in it, by the log entry in which a version stands."""
    bits = bytearray(_NOTHING_APPROVED * (LIST_BITS // 8))
    for entry, status in statuses.items():
        place = entry % ENTRIES_PER_LIST
        shift = 4 * (1 - place % 2)  # of two versions in a byte, the earlier has the upper half
        bits[place // 2] = bits[place // 2] & ~(0b1111 << shift) | _nibble(status) << shift
    return bytes(bits)


def make_credential(name: StatusListName, bits: bytes, *, at: datetime, ttl: timedelta) -> StatusListCredential:
    """The credential that says `bits` from `at` on, for `ttl`."""
    subject = StatusListSubject(
        id=f"{name.urn}#list",
        status_purpose=PURPOSES,
        encoded_list=_encode_bits(bits),
        ttl=int(ttl.total_seconds() * 1000),
    )
    return StatusListCredential(id=name.urn, issuer=name.issuer, valid_from=at, valid_until=at + ttl, subject=subject)


def read_credential(credential: StatusListCredential) -> StatusList:
    """The list in a credential. Raises `FormatError`; the signature is checked before (`sdk.signing.status`)."""
    if credential.subject.status_purpose != PURPOSES:
        raise FormatError(f"status list {credential.id} is not for {', '.join(PURPOSES)}, in this order")
    return StatusList(
        id=credential.id,
        valid_from=credential.valid_from,
        valid_until=credential.valid_until,
        bits=_decode_bits(credential.subject.encoded_list, credential.id),
    )


def _nibble(status: VersionStatus) -> int:
    if status is VersionStatus.APPROVED:
        return 0
    raised = (
        IN_BREAK_GLASS if status is VersionStatus.BREAK_GLASS else (_PURPOSE_OF.get(status, StatusPurpose.MESSAGE),)
    )
    return sum(0b1000 >> PURPOSES.index(purpose) for purpose in raised)


def _encode_bits(bits: bytes) -> str:
    packed = gzip.compress(bits, mtime=0)
    return "u" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _decode_bits(text: str, name: str) -> bytes:
    try:
        packed = base64.urlsafe_b64decode(text[1:] + "=" * (-len(text[1:]) % 4))
        unpacker = zlib.decompressobj(wbits=31)  # gzip, and never more than a list
        bits = unpacker.decompress(packed, LIST_BITS // 8 + 1)
    except (binascii.Error, zlib.error) as exc:
        raise FormatError(f"status list {name} is no gzip in base64url") from exc
    if len(bits) != LIST_BITS // 8 or not unpacker.eof or unpacker.unused_data:
        raise FormatError(f"status list {name} should have exactly {LIST_BITS} bits")
    return bits
