"""Content Credentials: written, read back, and refused when anything about them is not as it must be."""

from __future__ import annotations

import io
import json
import stat
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from PIL import Image
from support.governed import ORIGIN, fixed_signer, record_id

from sdk.credentials import mark
from sdk.credentials.authority import CHAIN_FILE, CredentialSigner, create_authority, load_credential_signer
from sdk.credentials.concept_use import ConceptUse, CountedApproval, UsedVersion
from sdk.credentials.mark import DIGITAL_SOURCE_TYPE, encode_png, mark_image
from sdk.credentials.read import CredentialState, read_credentials, verify_credentials
from sdk.errors import ConfigurationError, VerificationError
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId

PICTURE = Image.linear_gradient("L").convert("RGB").resize((64, 64))


def concept_use() -> ConceptUse:
    versions = tuple(
        UsedVersion(
            concept=ConceptId(f"demo/{name}"),
            number=2,
            manifest=Digest.of(name.encode()),
            consents=(Digest.of(b"consent"),),
            approvals=(CountedApproval(log_index=3), CountedApproval(log_index=4)),
        )
        for name in ("fox", "pier")
    )
    return ConceptUse(
        generation=record_id("gen"),
        versions=versions,
        policy_bundle=Digest.of(b"bundle"),
        base_model=Digest.of(b"base"),
        log_origin=ORIGIN,
        intent_index=17,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "content-credentials"
    create_authority(folder, organization="Demo Studio", signer_name="demo/app", now=datetime.now(UTC))
    return folder


@pytest.fixture(scope="module")
def authority(folder: Path) -> str:
    return (folder / "ca.pem").read_text()


@pytest.fixture(scope="module")
def marked(folder: Path) -> bytes:
    return mark_image(encode_png(PICTURE), concept_use(), load_credential_signer(folder))


class TestManifest:
    def test_reserves_training_and_mining(self, marked: bytes, authority: str) -> None:
        report = json.loads(c2pa.Reader("image/png", io.BytesIO(marked)).json())
        assertions = report["manifests"][report["active_manifest"]]["assertions"]
        (mining,) = [each["data"] for each in assertions if each["label"] == "cawg.training-mining"]
        assert len(mining["entries"]) == 4
        assert {entry["use"] for entry in mining["entries"].values()} == {"notAllowed"}
        assert read_credentials(marked, [authority]).state is CredentialState.TRUSTED


class TestAuthority:
    def test_writes_private_keys_for_the_owner_alone(self, folder: Path) -> None:
        assert {path.name for path in folder.iterdir()} == {"ca.pem", "ca-key.pem", "chain.pem", "key.pem"}
        for path in folder.glob("*key.pem"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_never_overwrites(self, folder: Path) -> None:
        before = {path: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(ConfigurationError, match="never overwritten"):
            create_authority(folder, organization="x", signer_name="y", now=datetime.now(UTC))
        assert {path: path.read_bytes() for path in folder.iterdir()} == before

    def test_leaf_comes_first_and_may_sign_nothing_but_content(self, folder: Path) -> None:
        leaf, root = x509.load_pem_x509_certificates((folder / CHAIN_FILE).read_bytes())
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        leaf.verify_directly_issued_by(root)

    def test_says_what_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"chain\.pem"):
            load_credential_signer(tmp_path)

    def test_refuses_a_chain_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / CHAIN_FILE).write_text("not a chain")
        with pytest.raises(ConfigurationError, match="no PEM certificate chain"):
            load_credential_signer(tmp_path)


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
        wrong = CredentialSigner(chain=load_credential_signer(folder).chain, signer=fixed_signer("app"))
        with pytest.raises((ConfigurationError, VerificationError)):
            verify_credentials(mark_image(encode_png(PICTURE), concept_use(), wrong), [authority])

    def test_an_authority_may_not_sign_images(self, folder: Path, authority: str) -> None:
        from sdk.signing.signer import load_key_file

        wrong = CredentialSigner(chain=authority, signer=load_key_file(folder / "ca-key.pem"))
        with pytest.raises(ConfigurationError, match="cannot be signed"):
            mark_image(encode_png(PICTURE), concept_use(), wrong)


class TestOrganisationsKey:
    """A leaf under the organisation's own authority, its ECDSA key in a KMS that signs what it is sent."""

    def test_signs_through_a_callback_and_is_trusted(self, tmp_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        chain, authority = organisations_chain(key.public_key())
        asked = []

        class Kms:
            def sign(self, content: bytes) -> bytes:
                asked.append(content)
                return key.sign(content, ec.ECDSA(hashes.SHA256()))

        signer = CredentialSigner(chain=chain, signer=Kms())
        image = mark_image(encode_png(PICTURE), concept_use(), signer)
        assert verify_credentials(image, [authority]).use == concept_use()
        assert len(asked) >= 1

    def test_a_key_of_another_kind_is_refused(self) -> None:
        chain, _ = organisations_chain(ec.generate_private_key(ec.SECP384R1()).public_key())
        with pytest.raises(ConfigurationError, match="neither Ed25519 nor ECDSA P-256"):
            mark_image(encode_png(PICTURE), concept_use(), CredentialSigner(chain=chain, signer=fixed_signer("app")))


def organisations_chain(key: ec.EllipticCurvePublicKey) -> tuple[str, str]:
    """A certificate for `key` under a fresh authority, as PEM: the chain, and the authority alone."""
    from sdk.credentials import authority

    root, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    name = authority._name("Organisation", "Organisation root")
    root_certificate = authority._authority_certificate(root, name, now)
    leaf = authority._signer_certificate(key, authority._name("Organisation", "app"), root_certificate, root, now)
    texts = [each.public_bytes(Encoding.PEM).decode() for each in (leaf, root_certificate)]
    return "".join(texts), texts[1]


class TestReading:
    def test_unknown_authority_is_valid_but_not_trusted(self, marked: bytes) -> None:
        assert read_credentials(marked, []).state is CredentialState.VALID
        with pytest.raises(VerificationError, match="Valid, not Trusted"):
            verify_credentials(marked, [])

    def test_another_authority_is_not_trusted(self, marked: bytes, tmp_path: Path) -> None:
        other = create_authority(tmp_path / "other", organization="x", signer_name="y", now=datetime.now(UTC))
        with pytest.raises(VerificationError, match=r"signingCredential\.untrusted"):
            verify_credentials(marked, [other])

    def test_changed_pixels_are_invalid(self, marked: bytes, authority: str) -> None:
        with pytest.raises(VerificationError, match=r"dataHash\.mismatch"):
            verify_credentials(changed_pixels(marked), [authority])

    def test_an_image_without_credentials_is_refused(self, authority: str) -> None:
        with pytest.raises(VerificationError, match="carries no Content Credentials"):
            read_credentials(encode_png(PICTURE), [authority])

    def test_expired_certificate_is_not_trusted(self, tmp_path: Path) -> None:
        past = datetime.now(UTC) - timedelta(days=800)
        old = create_authority(tmp_path / "old", organization="x", signer_name="y", now=past)
        signer = load_credential_signer(tmp_path / "old")
        with pytest.raises((ConfigurationError, VerificationError)):
            verify_credentials(mark_image(encode_png(PICTURE), concept_use(), signer), [old])

    def test_credentials_that_do_not_name_their_concepts_are_refused(
        self, folder: Path, authority: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mark, "ASSERTION_LABEL", "org.example.something-else")
        image = mark_image(encode_png(PICTURE), concept_use(), load_credential_signer(folder))
        with pytest.raises(VerificationError, match="do not say which concept versions"):
            verify_credentials(image, [authority])


def changed_pixels(png: bytes) -> bytes:
    """The PNG with one byte of its compressed pixels replaced, its chunk checksum mended."""
    place = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[place - 4 : place])
    data = bytearray(png[place + 4 : place + 4 + length])
    data[length // 2] ^= 1
    check = struct.pack(">I", zlib.crc32(b"IDAT" + data))
    return png[: place + 4] + bytes(data) + check + png[place + 8 + length :]
