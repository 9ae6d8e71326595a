"""A certificate that lives a day, and images that are trusted for ever: an RFC 3161 time stamp says when it signed."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import c2pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.credentials import PICTURE, concept_use, signer_of
from support.time_stamps import TimeStamps, openssl_answers, time_stamp_authority

from sdk.credentials.authority import Authority, load_authority
from sdk.credentials.mark import encode_png, mark_image
from sdk.credentials.read import CredentialState, read_credentials, verify_credentials
from sdk.credentials.signer import CredentialSigner
from sdk.errors import ConfigurationError, ServiceUnavailable, VerificationError
from sdk.signing.signer import Ed25519Signer

PNG = encode_png(PICTURE)


@pytest.fixture(scope="module")
def stamps() -> Iterator[TimeStamps]:
    with time_stamp_authority() as made:
        yield made


@pytest.fixture(scope="module")
def expired(folder: Path, stamps: TimeStamps) -> tuple[bytes, bytes]:
    """Two images whose certificate has expired since they were signed: with a time stamp, and without."""
    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    chain = load_authority(folder).issue("demo/app", key.public_key(), now=now, life=timedelta(seconds=1))
    plain = CredentialSigner(chain=chain, signer=Ed25519Signer(key))
    stamped = CredentialSigner(chain=chain, signer=Ed25519Signer(key), time_stamp_url=stamps.url)
    images = tuple(mark_image(PNG, concept_use(), signer) for signer in (stamped, plain))
    time.sleep(max(0, 2.05 - (datetime.now(UTC) - now).total_seconds()))  # to the second
    return images[0], images[1]


def codes(image: bytes, anchors: list[str]) -> set[str]:
    """What c2pa's own reader notes as good."""
    settings = {"trust": {"user_anchors": "\n".join(anchors)}}
    with (
        c2pa.Context.from_dict(settings) as context,
        c2pa.Reader("image/png", io.BytesIO(image), context=context) as reader,
    ):
        found = json.loads(reader.json())["validation_results"]["activeManifest"]
    return {each["code"] for kind in ("success", "informational") for each in found.get(kind, [])}


class TestStamped:
    def test_an_image_is_trusted_after_its_certificate_expired(
        self, expired: tuple[bytes, bytes], authority: str, stamps: TimeStamps
    ) -> None:
        found = verify_credentials(expired[0], [authority], [stamps.root])
        assert found.state is CredentialState.TRUSTED
        assert datetime.fromisoformat(str(found.signed_at)) <= datetime.now(UTC)

    def test_without_a_stamp_it_is_not(self, expired: tuple[bytes, bytes], authority: str, stamps: TimeStamps) -> None:
        with pytest.raises(VerificationError, match=r"signingCredential\.expired"):
            verify_credentials(expired[1], [authority], [stamps.root])

    def test_a_stamp_of_nobody_who_is_trusted_counts_for_nothing(
        self, expired: tuple[bytes, bytes], authority: str
    ) -> None:
        with pytest.raises(VerificationError, match=r"signingCredential\.expired"):
            verify_credentials(expired[0], [authority])
        with time_stamp_authority() as other, pytest.raises(VerificationError, match=r"signingCredential\.expired"):
            verify_credentials(expired[0], [authority], [other.root])

    def test_a_certificate_of_a_day_signs_with_one(self, folder: Path, authority: str, stamps: TimeStamps) -> None:
        image = mark_image(PNG, concept_use(), signer_of(folder, time_stamp_url=stamps.url))
        assert verify_credentials(image, [authority], [stamps.root]).signed_at
        assert concept_use().generation.encode() not in stamps.asked[-1]

    def test_a_stamp_of_openssl_is_believed(
        self, folder: Path, authority: str, stamps: TimeStamps, tmp_path: Path
    ) -> None:
        """Another implementation of RFC 3161 than the one beside these tests."""
        stamps.answer = openssl_answers(stamps, tmp_path)
        try:
            image = mark_image(PNG, concept_use(), signer_of(folder, time_stamp_url=stamps.url))
        finally:
            stamps.answer = None
        assert verify_credentials(image, [authority], [stamps.root]).signed_at
        assert "timeStamp.trusted" in codes(image, [authority, stamps.root])
        assert "timeStamp.trusted" not in codes(image, [authority])

    def test_who_stamps_the_time_may_not_issue_signers(self, authority: str, stamps: TimeStamps) -> None:
        """C2PA knows one list of authorities; ours are two."""
        key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
        issuer = Authority(certificate=stamps.root_certificate, key=stamps.root_key)
        chain = issuer.issue("demo/app", key.public_key(), now=now, life=timedelta(days=1))
        image = mark_image(PNG, concept_use(), CredentialSigner(chain=chain, signer=Ed25519Signer(key)))
        assert read_credentials(image, [authority, stamps.root]).state is CredentialState.TRUSTED
        assert read_credentials(image, [authority], [stamps.root]).state is not CredentialState.TRUSTED


class TestNoStamp:
    @pytest.mark.parametrize("answer", [b"", b"no", b"0" * 5000], ids=["nothing", "a word", "no DER"])
    def test_nothing_is_handed_out(self, folder: Path, stamps: TimeStamps, answer: bytes) -> None:
        stamps.answer = lambda _: answer
        try:
            with pytest.raises(ServiceUnavailable, match=stamps.url):
                mark_image(PNG, concept_use(), signer_of(folder, time_stamp_url=stamps.url))
        finally:
            stamps.answer = None

    def test_an_old_stamp_is_refused(self, folder: Path, stamps: TimeStamps) -> None:
        """A replayed answer is about another claim."""
        old = stamps.stamp(stamps.asked[-1]) if stamps.asked else b""
        stamps.answer = lambda _: old
        try:
            with pytest.raises(ServiceUnavailable, match=stamps.url):
                mark_image(PNG, concept_use(), signer_of(folder, time_stamp_url=stamps.url))
        finally:
            stamps.answer = None

    def test_an_authority_that_is_not_there_is_named(self, folder: Path) -> None:
        url = "http://127.0.0.1:9/"
        with pytest.raises(ServiceUnavailable, match=url):
            mark_image(PNG, concept_use(), signer_of(folder, time_stamp_url=url))

    @pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "nowhere"])
    def test_what_is_no_address_is_named(self, folder: Path, url: str) -> None:
        with pytest.raises(ConfigurationError, match=url):
            mark_image(PNG, concept_use(), signer_of(folder, time_stamp_url=url))

    def test_a_key_that_signs_nothing_is_not_blamed_on_the_authority(self, folder: Path, stamps: TimeStamps) -> None:
        wrong = replace(signer_of(folder, time_stamp_url=stamps.url), chain=(folder / "ca.pem").read_text())
        with pytest.raises(ConfigurationError, match="certificate chain and key"):
            mark_image(PNG, concept_use(), wrong)
