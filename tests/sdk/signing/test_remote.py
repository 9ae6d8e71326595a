"""Keys that are kept elsewhere: Vault over HTTP, a PKCS#11 token of SoftHSM, and what is said when one cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.governed import ORIGIN, fixed_signer, make_trust_root
from support.softhsm import softhsm_token
from support.vault_transit import Transit, vault_transit
from typer.testing import CliRunner

from sdk.cli import application
from sdk.errors import ConfigurationError, ServiceUnavailable
from sdk.signing.public_keys import P256_BYTES, load_public_key, verify_signature
from sdk.signing.remote import (
    EXTRAS,
    PIN_VARIABLE,
    KeyScheme,
    encode_key_reference,
    import_key,
    parse_key_reference,
    parse_scheme,
)
from sdk.signing.signer import load_key_file, sign_envelope, verified_keyids
from sdk.signing.trust import TrustedKey, TrustRole, sign_checkpoint, verify_checkpoint
from sdk.spec.ids import PrincipalId
from sdk.spec.log_checkpoint import LogCheckpoint

URIS = {
    KeyScheme.AWS: "awskms:alias/reviewer",
    KeyScheme.AZURE: "azurekms://studio.vault.azure.net/keys/reviewer",
    KeyScheme.GOOGLE: "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
    KeyScheme.PKCS11: "hsm:2?label=reviewer",
    KeyScheme.VAULT: "hv:reviewer",
}


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Transit]:
    with vault_transit(monkeypatch) as made:
        made.rotate("log")
        yield made


class TestVault:
    def test_signs_checkpoints_that_verify_with_the_imported_key(self, vault: Transit, tmp_path: Path) -> None:
        import_key("hv:log", tmp_path / "log.pem")
        signer = load_key_file(tmp_path / "log.pem")
        assert load_public_key(tmp_path / "log.pem") == signer.public_key
        key = TrustedKey(public_key=signer.public_key, role=TrustRole.LOG, holder=PrincipalId("demo/log"))
        trust = make_trust_root(keys=make_trust_root().keys | {signer.keyid: key})
        checkpoint = LogCheckpoint(origin=ORIGIN, tree_size=3, root_hash=bytes(32))
        assert verify_checkpoint(sign_checkpoint(checkpoint, signer), trust) == checkpoint

    def test_rotation_there_changes_nothing_here(self, vault: Transit, tmp_path: Path) -> None:
        signer = import_key("hv:log", tmp_path / "log.pem")
        vault.rotate("log")
        assert (tmp_path / "log.pem").read_bytes().startswith(b"hv:log/1\n")
        assert verify_signature(signer.public_key, load_key_file(tmp_path / "log.pem").sign(b"x"), b"x")
        assert import_key("hv:log", tmp_path / "next.pem").uri == "hv:log/2"

    def test_exchanged_key_signs_nothing(self, vault: Transit, tmp_path: Path) -> None:
        signer = import_key("hv:log", tmp_path / "log.pem")
        vault.signing.clear()
        vault.rotate("log")
        with pytest.raises(ServiceUnavailable, match="was exchanged"):
            signer.sign(b"x")

    def test_unknown_key_and_refused_credential_say_so(
        self, vault: Transit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(ServiceUnavailable, match="hv:none did not answer as it should: InvalidPath"):
            import_key("hv:none", tmp_path / "none.pem")
        monkeypatch.setenv("VAULT_TOKEN", "s.stranger")
        with pytest.raises(ServiceUnavailable, match="Forbidden: permission denied"):
            import_key("hv:log", tmp_path / "log.pem")
        assert not list(tmp_path.iterdir())

    def test_key_file_is_never_overwritten(self, vault: Transit, tmp_path: Path) -> None:
        import_key("hv:log", tmp_path / "log.pem")
        with pytest.raises(ConfigurationError, match="never overwritten"):
            import_key("hv:log", tmp_path / "log.pem")

    def test_command_imports_a_key(self, vault: Transit, tmp_path: Path) -> None:
        done = CliRunner().invoke(application(), ["trust", "import-key", "hv:log", str(tmp_path / "log.pem")])
        assert done.exit_code == 0, done.output
        assert load_key_file(tmp_path / "log.pem").keyid[:16] in done.output


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return softhsm_token(tmp_path, monkeypatch)


class TestToken:
    def test_signs_an_approval_that_verifies(self, token: str, tmp_path: Path) -> None:
        imported = import_key(token, tmp_path / "aiko.pem")
        signer = load_key_file(tmp_path / "aiko.pem")
        assert (len(signer.public_key), signer.keyid) == (P256_BYTES, imported.keyid)
        envelope = sign_envelope(b"approved", signer)
        keys = {signer.keyid: signer.public_key}
        assert verified_keyids(envelope, keys) == {signer.keyid}
        assert verified_keyids(envelope.model_copy(update={"payload": b"more"}), keys) == frozenset()

    def test_without_its_pin_names_the_variable(
        self, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        signer = import_key(token, tmp_path / "aiko.pem")
        monkeypatch.delenv(PIN_VARIABLE)
        with pytest.raises(ConfigurationError, match=PIN_VARIABLE):
            signer.sign(b"x")


class TestWhatCannotBeUsed:
    @pytest.mark.parametrize("scheme", [KeyScheme.AWS, KeyScheme.AZURE, KeyScheme.GOOGLE])
    def test_missing_library_names_the_extra(self, scheme: KeyScheme, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=rf"pip install 'imprimatur\[{EXTRAS[scheme]}\]'"):
            import_key(URIS[scheme], tmp_path / "key.pem")

    @pytest.mark.parametrize("uri", ["", "hv", "hv:", "file:key.pem", "HV:x", "http://127.0.0.1/", "schlüssel:x"])
    def test_other_uris_are_refused(self, uri: str) -> None:
        with pytest.raises(ConfigurationError, match="awskms:, azurekms:, gcpkms:, hsm:, hv:"):
            parse_scheme(uri)

    @pytest.mark.parametrize("uri", URIS.values())
    def test_every_scheme_is_read(self, uri: str) -> None:
        assert uri.startswith(f"{parse_scheme(uri)}:")

    @pytest.mark.parametrize(
        ("content", "fault"),
        [(b"hv:log/1\n", "not a PEM public key"), (b"hv:log/1\nMCow", "not a PEM public key"), (b"\xff\n", "no URI")],
    )
    def test_key_file_without_its_public_key_is_refused(self, content: bytes, fault: str) -> None:
        with pytest.raises(ConfigurationError, match=fault):
            parse_key_reference(content, "log.pem")

    def test_uri_of_another_form_is_refused(self, vault: Transit) -> None:
        content = encode_key_reference("hv:log/1/2", fixed_signer("log").public_key)
        with pytest.raises(ConfigurationError, match="cannot be used"):
            parse_key_reference(content, "log.pem")


def test_formats_that_are_ed25519_trust_no_other_key() -> None:
    point = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )  # the base point of P-256
    for role in TrustRole:
        refused = role in {TrustRole.LOG, TrustRole.STATUS, TrustRole.TRAINING}
        with pytest.raises(ValueError, match="must be Ed25519") if refused else nullcontext():
            TrustedKey(public_key=point, role=role, holder=PrincipalId("demo/aiko"))


@pytest.mark.parametrize("public_key", [b"", bytes(31), bytes(33), b"\x04" + bytes(64), b"\x02" + bytes(64)])
def test_bytes_that_are_no_key_are_not_trusted(public_key: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        TrustedKey(public_key=public_key, role=TrustRole.APPROVAL, holder=PrincipalId("demo/aiko"))
    assert not verify_signature(public_key, bytes(64), b"x")
