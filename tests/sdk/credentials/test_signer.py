"""Whose key signs Content Credentials: a certificate issued on the spot, or an organisation's own, its key wherever it is."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.credentials import PICTURE, concept_use, signer_of
from support.governed import fixed_signer
from support.softhsm import softhsm_token

from sdk.credentials.authority import STAMPED_LIFE, UNSTAMPED_LIFE, create_authority, load_authority
from sdk.credentials.mark import encode_png, mark_image
from sdk.credentials.read import verify_credentials
from sdk.credentials.signer import CHAIN_FILE, CredentialSigner, load_credential_signer
from sdk.errors import ConfigurationError, ServiceUnavailable
from sdk.signing import remote
from sdk.signing.public_keys import raw_public_key
from sdk.signing.remote import RemoteSigner, encode_key_reference
from sdk.signing.signer import load_key_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_authority(tmp_path / "keys", organization="Demo Studio", now=datetime.now(UTC))
    return tmp_path / "keys"


def leaf_of(signer: CredentialSigner) -> x509.Certificate:
    return x509.load_pem_x509_certificate(signer.chain.encode())


def issued(folder: Path, at: str, holder: str = "demo/app") -> x509.Certificate:
    now = datetime.fromisoformat(f"2026-05-04T{at}:00+00:00")
    return leaf_of(load_credential_signer(folder, holder=holder, now=now))


class TestAuthority:
    def test_writes_its_key_for_the_owner_alone_and_no_other(self, folder: Path) -> None:
        assert {path.name for path in folder.iterdir()} == {"ca.pem", "ca-key.pem"}
        assert stat.S_IMODE((folder / "ca-key.pem").stat().st_mode) == 0o600

    def test_never_overwrites(self, folder: Path) -> None:
        before = {path: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(ConfigurationError, match="never overwritten"):
            create_authority(folder, organization="x", now=datetime.now(UTC))
        assert {path: path.read_bytes() for path in folder.iterdir()} == before

    def test_a_key_of_another_authority_issues_nothing(self, folder: Path, tmp_path: Path) -> None:
        create_authority(tmp_path / "other", organization="x", now=datetime.now(UTC))
        (folder / "ca-key.pem").write_bytes((tmp_path / "other" / "ca-key.pem").read_bytes())
        with pytest.raises(ConfigurationError, match="is not the key of"):
            load_authority(folder)

    def test_may_not_sign_images_itself(self, folder: Path) -> None:
        wrong = CredentialSigner(chain=(folder / "ca.pem").read_text(), signer=load_key_file(folder / "ca-key.pem"))
        with pytest.raises(ConfigurationError, match="cannot be signed"):
            mark_image(encode_png(PICTURE), concept_use(), wrong)


class TestIssuedOnTheSpot:
    def test_leaf_comes_first_names_its_holder_and_may_sign_nothing_but_content(self, folder: Path) -> None:
        leaf, root = x509.load_pem_x509_certificates(signer_of(folder).chain.encode())
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert leaf.subject.rfc4514_string() == "CN=demo/app,O=Demo Studio"
        leaf.verify_directly_issued_by(root)

    def test_each_hour_there_is_another_key_and_none_is_written(self, folder: Path) -> None:
        early, late, next_hour = (issued(folder, at) for at in ("10:00", "10:59", "11:00"))
        assert early.public_key() == late.public_key() != next_hour.public_key()
        assert {path.name for path in folder.iterdir()} == {"ca.pem", "ca-key.pem"}

    def test_each_holder_has_a_key_of_its_own(self, folder: Path) -> None:
        one, other = (issued(folder, "10:00", holder) for holder in ("demo/app", "demo/shop"))
        assert one.public_key() != other.public_key()

    def test_another_authority_in_the_folder_issues_at_once(self, folder: Path) -> None:
        before = issued(folder, "10:00")
        for path in folder.iterdir():
            path.unlink()
        create_authority(folder, organization="Other", now=datetime.now(UTC))
        assert issued(folder, "10:00").issuer != before.issuer

    @pytest.mark.parametrize(("url", "life"), [(None, UNSTAMPED_LIFE), ("http://tsa.test/", STAMPED_LIFE)])
    def test_lives_a_day_only_where_its_time_is_stamped(self, folder: Path, url: str | None, life: timedelta) -> None:
        left = leaf_of(signer_of(folder, time_stamp_url=url)).not_valid_after_utc - datetime.now(UTC)
        assert life - timedelta(minutes=61) < left <= life

    def test_never_outlives_its_authority(self, folder: Path) -> None:
        authority = load_authority(folder)
        late = authority.certificate.not_valid_after_utc - timedelta(hours=1)
        chain = authority.issue("demo/app", Ed25519PrivateKey.generate().public_key(), now=late, life=UNSTAMPED_LIFE)
        leaf = x509.load_pem_x509_certificate(chain.encode())
        assert leaf.not_valid_after_utc == authority.certificate.not_valid_after_utc

    def test_takes_the_place_of_a_chain_that_the_same_authority_issued_before(self, folder: Path) -> None:
        key = Ed25519PrivateKey.generate().public_key()
        chain = load_authority(folder).issue("demo/app", key, now=datetime.now(UTC), life=UNSTAMPED_LIFE)
        (folder / CHAIN_FILE).write_text(chain)
        assert signer_of(folder).chain != chain


class TestStored:
    """A leaf under the organisation's own authority."""

    def test_a_chain_of_another_authority_wins(self, folder: Path, tmp_path: Path) -> None:
        key = Ed25519PrivateKey.generate()
        chain, authority = organisations_chain(key.public_key(), tmp_path)
        (folder / CHAIN_FILE).write_text(chain)
        (folder / "key.pem").write_bytes(private_pem(key))
        image = mark_image(encode_png(PICTURE), concept_use(), signer_of(folder))
        assert verify_credentials(image, [authority]).issuer == "Organisation"

    def test_says_what_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"chain\.pem"):
            signer_of(tmp_path)

    def test_refuses_a_chain_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / CHAIN_FILE).write_text("not a chain")
        with pytest.raises(ConfigurationError, match="no PEM certificate chain"):
            signer_of(tmp_path)


class TestKeyElsewhere:
    """Its ECDSA key in a KMS that signs what it is sent."""

    def test_signs_through_a_callback_and_is_trusted(self, tmp_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        chain, authority = organisations_chain(key.public_key(), tmp_path)
        asked = []

        class Kms:
            def sign(self, content: bytes) -> bytes:
                asked.append(content)
                return key.sign(content, ec.ECDSA(hashes.SHA256()))

        image = mark_image(encode_png(PICTURE), concept_use(), CredentialSigner(chain=chain, signer=Kms()))
        assert verify_credentials(image, [authority]).use == concept_use()
        assert len(asked) >= 1

    def test_is_found_where_the_key_file_says(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        chain, authority = organisations_chain(key.public_key(), tmp_path)
        public_key = raw_public_key(key.public_key())
        assert public_key

        def service(uri: str, pinned: bytes) -> RemoteSigner:
            assert (uri, pinned) == ("awskms:images", public_key)
            return RemoteSigner(uri, pinned, lambda content: signed(key.sign(content, ec.ECDSA(hashes.SHA256()))))

        monkeypatch.setattr(remote, "open_remote_key", service)
        folder = tmp_path / "app"
        folder.mkdir()
        (folder / CHAIN_FILE).write_text(chain)
        (folder / "key.pem").write_bytes(encode_key_reference("awskms:images", public_key))
        image = mark_image(encode_png(PICTURE), concept_use(), signer_of(folder))
        assert verify_credentials(image, [authority]).use == concept_use()

    def test_in_a_pkcs11_module_it_signs_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A real one, SoftHSM, from the commands' key file to an image that is trusted."""
        folder = tmp_path / "app"
        folder.mkdir()
        imported = remote.import_key(softhsm_token(tmp_path, monkeypatch), folder / "key.pem")
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), imported.public_key)
        chain, authority = organisations_chain(key, tmp_path)
        (folder / CHAIN_FILE).write_text(chain)
        image = mark_image(encode_png(PICTURE), concept_use(), signer_of(folder))
        assert verify_credentials(image, [authority]).issuer == "Organisation"

    def test_a_service_that_is_away_says_so_and_nothing_is_signed(self, tmp_path: Path) -> None:
        chain, _ = organisations_chain(ec.generate_private_key(ec.SECP256R1()).public_key(), tmp_path)

        class Away:
            def sign(self, content: bytes) -> bytes:
                raise ServiceUnavailable("the key service gives no answer")

        with pytest.raises(ServiceUnavailable, match="gives no answer"):
            mark_image(encode_png(PICTURE), concept_use(), CredentialSigner(chain=chain, signer=Away()))

    def test_a_key_of_another_kind_is_refused(self, tmp_path: Path) -> None:
        chain, _ = organisations_chain(ec.generate_private_key(ec.SECP384R1()).public_key(), tmp_path)
        with pytest.raises(ConfigurationError, match="neither Ed25519 nor ECDSA P-256"):
            mark_image(encode_png(PICTURE), concept_use(), CredentialSigner(chain=chain, signer=fixed_signer("app")))


def signed(signature: bytes) -> SimpleNamespace:
    """A signature as securesystemslib's signers give it."""
    return SimpleNamespace(signature=signature.hex())


def organisations_chain(key: ec.EllipticCurvePublicKey, folder: Path) -> tuple[str, str]:
    """A certificate for `key` under a fresh authority, as PEM: the chain, and the authority alone."""
    now = datetime.now(UTC)
    authority = create_authority(folder / "organisation", organization="Organisation", now=now)
    chain = load_authority(folder / "organisation").issue("Organisation app", key, now=now, life=UNSTAMPED_LIFE)
    return chain, authority


def private_pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
