"""Status lists: what their bits say, and that only one form with one signature is read."""

from __future__ import annotations

import base64
import gzip
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from support.governed import NOW, ORIGIN, World, fixed_signer, make_trust_root

from sdk.errors import FormatError, SignatureInvalid
from sdk.signing.signer import Signer
from sdk.signing.status import sign_status_list, verify_status_list
from sdk.spec.bundle import VersionStatus
from sdk.spec.ids import TenantName
from sdk.spec.status_list import (
    ENTRIES_PER_LIST,
    LIST_BITS,
    StatusListCredential,
    StatusListName,
    StatusPurpose,
    list_number,
    make_bits,
    make_credential,
    read_credential,
)

TRUST = make_trust_root()
NAME = StatusListName(log_origin=ORIGIN, tenant=TenantName("demo"), number=0)


def credential(statuses: dict[int, VersionStatus] | None = None, **changes: Any) -> StatusListCredential:
    made = make_credential(NAME, make_bits(statuses or {}), at=NOW, ttl=timedelta(minutes=1))
    return made.model_copy(update=changes)


def forged(header: dict[str, Any], payload: dict[str, Any], signer: Signer) -> bytes:
    """A JWT of any header and payload."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, payload)]
    content = b".".join(parts)
    return content + b"." + base64.urlsafe_b64encode(signer.sign(content)).rstrip(b"=")


class TestBits:
    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (VersionStatus.APPROVED, ()),
            (VersionStatus.REVOKED, (StatusPurpose.REVOCATION,)),
            (VersionStatus.SUSPENDED, (StatusPurpose.SUSPENSION,)),
            (VersionStatus.SUPERSEDED, (StatusPurpose.REFRESH,)),
            (VersionStatus.SUBMITTED, (StatusPurpose.MESSAGE,)),
            (VersionStatus.IN_REVIEW, (StatusPurpose.MESSAGE,)),
            (VersionStatus.REJECTED, (StatusPurpose.MESSAGE,)),
            (VersionStatus.EXPIRED, (StatusPurpose.MESSAGE,)),
        ],
    )
    @pytest.mark.parametrize("entry", [0, 1, 7, ENTRIES_PER_LIST - 1, ENTRIES_PER_LIST + 5])
    def test_say_of_each_status_just_that(
        self, status: VersionStatus, said: tuple[StatusPurpose, ...], entry: int
    ) -> None:
        listed = read_credential(credential({entry: status}))
        assert listed.raised(entry) == said
        assert listed.raised(entry ^ 1) == (StatusPurpose.MESSAGE,), "a neighbour is as it was"

    def test_hold_every_version_apart(self) -> None:
        statuses = {
            entry: list(VersionStatus)[entry * 7 % len(VersionStatus)] for entry in range(0, ENTRIES_PER_LIST, 3)
        }
        listed = read_credential(credential(statuses))
        live = {entry for entry in range(ENTRIES_PER_LIST) if not listed.raised(entry)}
        assert live == {entry for entry, status in statuses.items() if status is VersionStatus.APPROVED}

    def test_are_as_many_as_the_specification_asks_at_least(self) -> None:
        assert len(make_bits({})) * 8 == LIST_BITS == 131_072
        assert (list_number(ENTRIES_PER_LIST - 1), list_number(ENTRIES_PER_LIST)) == (0, 1)


class TestIndependentReader:
    """What the specifications say, by PyJWT and the standard library alone."""

    def test_verifies_and_reads_a_bit(self) -> None:
        world = World()
        signed = world.status_list(VersionStatus.SUSPENDED)
        key = Ed25519PublicKey.from_public_bytes(fixed_signer("status").public_key)
        assert jwt.get_unverified_header(signed)["typ"] == "vc+jwt"
        listed = jwt.decode(signed, key, algorithms=["EdDSA"])
        assert listed["type"] == ["VerifiableCredential", "BitstringStatusListCredential"]
        subject = listed["credentialSubject"]
        packed = base64.urlsafe_b64decode(subject["encodedList"].removeprefix("u") + "==")
        bits = gzip.decompress(packed)
        place = 4 * world.submission_index + subject["statusPurpose"].index("suspension")
        assert bits[place // 8] & (0x80 >> place % 8)
        assert subject["ttl"] == 60_000


class TestSignature:
    def test_is_accepted_of_the_status_key(self) -> None:
        listed = verify_status_list(sign_status_list(credential(), fixed_signer("status")), TRUST)
        assert (listed.id, listed.valid_from) == (NAME.urn, NOW)

    @pytest.mark.parametrize("name", ["log", "root", "reviewer", "nobody"])
    def test_is_refused_of_any_other_key(self, name: str) -> None:
        with pytest.raises(SignatureInvalid, match="trusted for status"):
            verify_status_list(sign_status_list(credential(), fixed_signer(name)), TRUST)

    def test_covers_the_payload(self) -> None:
        header, _, proof = sign_status_list(credential(), fixed_signer("status")).split(b".")
        other = sign_status_list(credential({1: VersionStatus.APPROVED}), fixed_signer("status")).split(b".")[1]
        with pytest.raises(SignatureInvalid):
            verify_status_list(b".".join((header, other, proof)), TRUST)

    @pytest.mark.parametrize(
        "header",
        [{"alg": "none"}, {"alg": "HS256"}, {"typ": "JWT"}, {"crit": ["b64"]}, {"jwk": {}}],
        ids=lambda header: next(iter(header)),
    )
    def test_is_refused_under_any_other_header(self, header: dict[str, Any]) -> None:
        signer = fixed_signer("status")
        payload = credential().model_dump(mode="json", by_alias=True)
        sound = {"alg": "EdDSA", "typ": "vc+jwt", "kid": signer.keyid}
        assert verify_status_list(forged(sound, payload, signer), TRUST)
        with pytest.raises(FormatError, match="header"):
            verify_status_list(forged(sound | header, payload, signer), TRUST)


class TestForm:
    @pytest.mark.parametrize("signed", [b"", b"a.b", b"a.b.c.d", b"!.b.c", b"x" * 200_000, "é.é.é".encode()])
    def test_is_refused_when_it_is_no_jwt(self, signed: bytes) -> None:
        with pytest.raises(FormatError):
            verify_status_list(signed, TRUST)

    def test_is_refused_with_loose_base64(self) -> None:
        signed = sign_status_list(credential(), fixed_signer("status"))
        with pytest.raises(FormatError, match="base64url"):
            verify_status_list(signed + b"=", TRUST)

    @pytest.mark.parametrize("bits", [b"", bytes(LIST_BITS // 8 - 1), bytes(LIST_BITS // 8 + 1), bytes(40_000_000)])
    def test_is_refused_with_another_number_of_bits_and_never_unpacks_a_bomb(self, bits: bytes) -> None:
        packed = "u" + base64.urlsafe_b64encode(gzip.compress(bits)).decode().rstrip("=")
        subject = credential().subject.model_copy(update={"encoded_list": packed})
        with pytest.raises(FormatError, match="exactly 131072 bits"):
            verify_status_list(sign_status_list(credential(subject=subject), fixed_signer("status")), TRUST)

    def test_is_refused_with_what_is_no_gzip(self) -> None:
        subject = credential().subject.model_copy(update={"encoded_list": "uAAAA"})
        with pytest.raises(FormatError, match="gzip"):
            verify_status_list(sign_status_list(credential(subject=subject), fixed_signer("status")), TRUST)

    def test_is_refused_for_other_purposes(self) -> None:
        subject = credential().subject.model_copy(update={"status_purpose": (StatusPurpose.REVOCATION,)})
        with pytest.raises(FormatError, match="in this order"):
            verify_status_list(sign_status_list(credential(subject=subject), fixed_signer("status")), TRUST)
