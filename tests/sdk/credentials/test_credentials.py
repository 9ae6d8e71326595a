"""Content Credentials: written, read back, and refused when anything about them is not as it must be."""

from __future__ import annotations

import io
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import c2pa
import pytest
from PIL import Image
from support.credentials import PICTURE, changed_pixels, concept_use, credentials_at, signer_of
from support.governed import fixed_signer

from sdk.credentials import mark
from sdk.credentials.authority import create_authority
from sdk.credentials.mark import DIGITAL_SOURCE_TYPE, encode_png, mark_image
from sdk.credentials.read import (
    CredentialState,
    FileCredentials,
    look_for_credentials,
    read_credentials,
    verify_credentials,
)
from sdk.credentials.signer import CredentialSigner, load_credential_signer
from sdk.errors import ConfigurationError, CredentialsElsewhere, VerificationError
from sdk.software import software_version


@pytest.fixture(scope="module")
def marked(folder: Path) -> bytes:
    return mark_image(encode_png(PICTURE), concept_use(), signer_of(folder))


class TestManifest:
    def test_reserves_training_and_mining(self, marked: bytes, authority: str) -> None:
        report = json.loads(c2pa.Reader("image/png", io.BytesIO(marked)).json())
        assertions = report["manifests"][report["active_manifest"]]["assertions"]
        (mining,) = [each["data"] for each in assertions if each["label"] == "cawg.training-mining"]
        assert len(mining["entries"]) == 4
        assert {entry["use"] for entry in mining["entries"].values()} == {"notAllowed"}
        assert read_credentials(marked, [authority]).state is CredentialState.TRUSTED

    def test_names_the_software_with_its_version(self, marked: bytes) -> None:
        report = json.loads(c2pa.Reader("image/png", io.BytesIO(marked)).json())
        manifest = report["manifests"][report["active_manifest"]]
        (created,) = next(each for each in manifest["assertions"] if "c2pa.actions" in each["label"])["data"]["actions"]
        generated = manifest["claim_generator_info"][0]
        for told in (created["softwareAgent"], generated):
            assert (told["name"], told["version"]) == ("imprimatur", software_version())


class TestMarking:
    def test_what_was_said_is_read_back_and_trusted(self, marked: bytes, authority: str) -> None:
        credentials = verify_credentials(marked, [authority])
        assert credentials.state is CredentialState.TRUSTED
        assert credentials.use == concept_use()
        assert credentials.ingredients == ("demo/fox@2", "demo/pier@2")
        assert credentials.actions == ("c2pa.created",)
        assert credentials.source_type == DIGITAL_SOURCE_TYPE
        assert (credentials.issuer, credentials.signer) == ("Demo Studio", "demo/app")
        assert credentials.failures == ()

    def test_pixels_stay(self, marked: bytes) -> None:
        assert Image.open(io.BytesIO(marked)).tobytes() == PICTURE.tobytes()

    def test_carries_the_iptc_source_type_in_its_xmp(self, marked: bytes) -> None:
        assert DIGITAL_SOURCE_TYPE in Image.open(io.BytesIO(marked)).info["XML:com.adobe.xmp"]

    def test_says_nothing_that_it_was_not_told(self, marked: bytes) -> None:
        assert b"a photo of" not in marked

    def test_adds_no_thumbnail(self, marked: bytes) -> None:
        assert len(marked) < len(encode_png(PICTURE)) + 20_000

    def test_same_picture_encodes_to_the_same_bytes(self) -> None:
        assert encode_png(PICTURE) == encode_png(PICTURE.copy())

    def test_a_key_that_does_not_fit_the_chain_signs_nothing(self, folder: Path, authority: str) -> None:
        wrong = CredentialSigner(chain=signer_of(folder).chain, signer=fixed_signer("app"))
        with pytest.raises((ConfigurationError, VerificationError)):
            verify_credentials(mark_image(encode_png(PICTURE), concept_use(), wrong), [authority])

    def test_an_authority_may_not_sign_images(self, folder: Path, authority: str) -> None:
        from sdk.signing.signer import load_key_file

        wrong = CredentialSigner(chain=authority, signer=load_key_file(folder / "ca-key.pem"))
        with pytest.raises(ConfigurationError, match="cannot be signed"):
            mark_image(encode_png(PICTURE), concept_use(), wrong)


class TestReading:
    def test_unknown_authority_is_valid_but_not_trusted(self, marked: bytes) -> None:
        assert read_credentials(marked, []).state is CredentialState.VALID
        with pytest.raises(VerificationError, match="Valid, not Trusted"):
            verify_credentials(marked, [])

    def test_another_authority_is_not_trusted(self, marked: bytes, tmp_path: Path) -> None:
        other = create_authority(tmp_path / "other", organization="x", now=datetime.now(UTC))
        with pytest.raises(VerificationError, match=r"signingCredential\.untrusted"):
            verify_credentials(marked, [other])

    def test_changed_pixels_are_invalid(self, marked: bytes, authority: str) -> None:
        with pytest.raises(VerificationError, match=r"dataHash\.mismatch"):
            verify_credentials(changed_pixels(marked), [authority])

    @pytest.mark.parametrize("kind", ["PNG", "JPEG"])
    def test_credentials_at_an_address_are_told_and_not_fetched(self, kind: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            address = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
            image = credentials_at(address, PICTURE, kind)
            assert look_for_credentials(image, []) == FileCredentials(elsewhere=address)
            with pytest.raises(CredentialsElsewhere, match="which is not asked"):
                read_credentials(image, [])
            with pytest.raises(BlockingIOError):
                server.accept()

    def test_what_a_stranger_calls_itself_does_nothing_to_a_terminal(self, tmp_path: Path) -> None:
        create_authority(tmp_path, organization="\x1b]0;owned\x07Studio", now=datetime.now(UTC))
        found = read_credentials(mark_image(encode_png(PICTURE), concept_use(), signer_of(tmp_path)), [])
        assert found.issuer == "\ufffd]0;owned\ufffdStudio"

    def test_an_image_without_credentials_is_refused(self, authority: str) -> None:
        with pytest.raises(VerificationError, match="carries no Content Credentials"):
            read_credentials(encode_png(PICTURE), [authority])

    def test_expired_certificate_is_not_trusted(self, tmp_path: Path) -> None:
        past = datetime.now(UTC) - timedelta(days=800)
        old = create_authority(tmp_path / "old", organization="x", now=past)
        signer = load_credential_signer(tmp_path / "old", holder="demo/app", now=past)
        with pytest.raises((ConfigurationError, VerificationError)):
            verify_credentials(mark_image(encode_png(PICTURE), concept_use(), signer), [old])

    def test_credentials_that_do_not_name_their_concepts_are_refused(
        self, folder: Path, authority: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mark, "ASSERTION_LABEL", "org.example.something-else")
        image = mark_image(encode_png(PICTURE), concept_use(), signer_of(folder))
        with pytest.raises(VerificationError, match="do not say which concept versions"):
            verify_credentials(image, [authority])
