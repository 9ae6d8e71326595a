"""Keys, signatures, trust roots and signed checkpoints: what verifies, and each way in which it must not."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from pydantic import ValidationError
from support.governed import NOW, ORIGIN, P256Signer, fixed_signer, make_trust_root

from sdk.errors import (
    ConfigurationError,
    FormatError,
    ProofInvalid,
    SignatureInvalid,
    ThresholdNotMet,
    TrustRootInvalid,
)
from sdk.signing.public_keys import decode_public_key, encode_public_key, key_id, verify_signature
from sdk.signing.signer import (
    generate_key_file,
    load_key_file,
    sign_envelope,
    verified_keyids,
)
from sdk.signing.trust import (
    TrustedKey,
    TrustRole,
    TrustRoot,
    sign_checkpoint,
    sign_trust_root,
    verify_checkpoint,
    verify_role,
    verify_trust_root,
)
from sdk.spec.envelope import Envelope, Signature
from sdk.spec.log_checkpoint import LogCheckpoint, encode_signed_checkpoint, parse_signed_checkpoint

APP, LOG, REVIEWER = fixed_signer("app"), fixed_signer("log"), fixed_signer("reviewer")
CHECKPOINT = LogCheckpoint(origin=ORIGIN, tree_size=3, root_hash=bytes(32))


class TestKeyFiles:
    def test_new_key_is_read_back_and_private(self, tmp_path: Path) -> None:
        made = generate_key_file(tmp_path / "key.pem")
        assert load_key_file(tmp_path / "key.pem").keyid == made.keyid == key_id(made.public_key)
        assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600

    def test_never_overwrites(self, tmp_path: Path) -> None:
        generate_key_file(tmp_path / "key.pem")
        before = (tmp_path / "key.pem").read_bytes()
        with pytest.raises(ConfigurationError, match="never overwritten"):
            generate_key_file(tmp_path / "key.pem")
        assert (tmp_path / "key.pem").read_bytes() == before

    def test_says_what_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no signing key can be read"):
            load_key_file(tmp_path / "none.pem")

    def test_refuses_what_is_no_key(self, tmp_path: Path) -> None:
        (tmp_path / "key.pem").write_text("hello")
        with pytest.raises(ConfigurationError, match="not an unencrypted PEM"):
            load_key_file(tmp_path / "key.pem")

    def test_refuses_an_encrypted_key(self, tmp_path: Path) -> None:
        pem = APP._private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        (tmp_path / "key.pem").write_bytes(pem)
        with pytest.raises(ConfigurationError):
            load_key_file(tmp_path / "key.pem")

    def test_refuses_a_key_of_another_kind(self, tmp_path: Path) -> None:
        pem = generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "key.pem").write_bytes(pem)
        with pytest.raises(ConfigurationError, match="no Ed25519 key"):
            load_key_file(tmp_path / "key.pem")


class TestEnvelopes:
    def test_signature_of_a_p256_key_holds_and_of_another_does_not(self) -> None:
        signer, other = P256Signer(), P256Signer()
        envelope = sign_envelope(b"payload", signer)
        assert verified_keyids(envelope, {signer.keyid: signer.public_key}) == {signer.keyid}
        assert verified_keyids(envelope, {other.keyid: other.public_key}) == frozenset()
        assert decode_public_key(encode_public_key(signer.public_key), "key.pub") == signer.public_key

    def test_signature_holds(self) -> None:
        envelope = sign_envelope(b"payload", APP)
        assert verified_keyids(envelope, {APP.keyid: APP.public_key}) == {APP.keyid}

    @pytest.mark.parametrize("change", [{"payload": b"other"}, {"payload_type": "text/plain"}])
    def test_changed_content_does_not_verify(self, change: dict[str, Any]) -> None:
        envelope = sign_envelope(b"payload", APP).model_copy(update=change)
        assert verified_keyids(envelope, {APP.keyid: APP.public_key}) == frozenset()

    def test_the_key_hint_is_not_believed(self) -> None:
        signature = sign_envelope(b"payload", APP).signatures[0]
        envelope = Envelope(
            payload=b"payload",
            payload_type=sign_envelope(b"payload", APP).payload_type,
            signatures=(Signature(keyid=LOG.keyid, sig=signature.sig),),
        )
        keys = {APP.keyid: APP.public_key, LOG.keyid: LOG.public_key}
        assert verified_keyids(envelope, keys) == {APP.keyid}

    @pytest.mark.parametrize("key", [b"", bytes(31), b"\xff" * 32])
    def test_a_broken_key_verifies_nothing(self, key: bytes) -> None:
        assert verify_signature(key, APP.sign(b"x"), b"x") is False


class TestTrustRootDocument:
    def test_finds_keys_by_role_and_holder(self) -> None:
        root = make_trust_root()
        assert root.keys_for(TrustRole.LOG) == {LOG.keyid: LOG.public_key}
        assert len(root.keys_for(TrustRole.APPROVAL)) == 4
        assert root.keys_for(TrustRole.APPROVAL, REVIEWER_ID) == {REVIEWER.keyid: REVIEWER.public_key}

    def test_holds_nobody_whose_key_was_revoked(self) -> None:
        root = make_trust_root()
        keys = root.keys | {REVIEWER.keyid: root.keys[REVIEWER.keyid].model_copy(update={"last_entry": 3})}
        before, after = root, root.model_copy(update={"keys": keys})
        assert before.holders_of(TrustRole.APPROVAL) - after.holders_of(TrustRole.APPROVAL) == {REVIEWER_ID}

    def test_refuses_a_key_under_another_id(self) -> None:
        key = TrustedKey(public_key=APP.public_key, role=TrustRole.ROOT, holder="demo/x")
        with pytest.raises(ValidationError, match="not the digest"):
            make_trust_root(keys={LOG.keyid: key})

    def test_refuses_a_threshold_that_no_one_can_meet(self) -> None:
        with pytest.raises(ValidationError, match="fewer root keys"):
            make_trust_root(root_threshold=2)

    @pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\n"])
    def test_refuses_an_origin_that_no_note_can_carry(self, origin: str) -> None:
        with pytest.raises(ValidationError):
            make_trust_root(log_origin=origin)


REVIEWER_ID = make_trust_root().keys[REVIEWER.keyid].holder


class TestVerifyTrustRoot:
    ROOT = fixed_signer("root")

    def signed(self, root: TrustRoot, *signers: Any) -> Envelope:
        first, *others = [sign_trust_root(root, signer) for signer in signers or (self.ROOT,)]
        signatures = [*first.signatures, *(s for other in others for s in other.signatures)]
        return first.model_copy(update={"signatures": tuple(signatures)})

    def test_first_root_is_trusted_by_its_own_keys(self) -> None:
        root = make_trust_root()
        assert verify_trust_root(self.signed(root), now=NOW) == root

    def test_next_root_is_trusted_by_the_previous_keys(self) -> None:
        assert (
            verify_trust_root(self.signed(make_trust_root(version=2)), now=NOW, previous=make_trust_root()).version == 2
        )

    def test_refuses_a_root_that_another_key_signed(self) -> None:
        with pytest.raises(TrustRootInvalid, match="0 of 1 root signatures"):
            verify_trust_root(self.signed(make_trust_root(), APP), now=NOW)

    def test_refuses_a_root_that_the_previous_keys_did_not_sign(self) -> None:
        mallory = fixed_signer("mallory")
        key = TrustedKey(public_key=mallory.public_key, role=TrustRole.ROOT, holder="demo/mallory")
        taken_over = make_trust_root(version=2, keys={mallory.keyid: key})
        assert verify_trust_root(self.signed(taken_over, mallory), now=NOW)
        with pytest.raises(TrustRootInvalid, match="root signatures"):
            verify_trust_root(self.signed(taken_over, mallory), now=NOW, previous=make_trust_root())

    def test_keys_change_when_old_and_new_both_sign(self) -> None:
        successor = fixed_signer("successor")
        key = TrustedKey(public_key=successor.public_key, role=TrustRole.ROOT, holder="demo/successor")
        rotated = make_trust_root(version=2, keys={successor.keyid: key})
        with pytest.raises(TrustRootInvalid):
            verify_trust_root(self.signed(rotated, self.ROOT), now=NOW, previous=make_trust_root())
        envelope = self.signed(rotated, self.ROOT, successor)
        assert verify_trust_root(envelope, now=NOW, previous=make_trust_root()) == rotated

    def test_a_threshold_counts_keys_not_signatures(self) -> None:
        second = fixed_signer("second-root")
        key = TrustedKey(public_key=second.public_key, role=TrustRole.ROOT, holder="demo/second")
        root = make_trust_root(keys=make_trust_root().keys | {second.keyid: key}, root_threshold=2)
        with pytest.raises(TrustRootInvalid, match="1 of 2"):
            verify_trust_root(self.signed(root, self.ROOT, self.ROOT), now=NOW)
        assert verify_trust_root(self.signed(root, self.ROOT, second), now=NOW) == root

    def test_refuses_to_go_back(self) -> None:
        with pytest.raises(TrustRootInvalid, match="went back from version 2 to 1"):
            verify_trust_root(self.signed(make_trust_root()), now=NOW, previous=make_trust_root(version=2))

    def test_refuses_an_expired_root(self) -> None:
        root = make_trust_root(expires_at=NOW)
        with pytest.raises(TrustRootInvalid, match="expired"):
            verify_trust_root(self.signed(root), now=NOW)
        assert verify_trust_root(self.signed(root), now=NOW - timedelta(seconds=1)) == root

    def test_refuses_another_payload_type(self) -> None:
        envelope = sign_envelope(self.signed(make_trust_root()).payload, self.ROOT)
        with pytest.raises(FormatError, match="trust-root"):
            verify_trust_root(envelope, now=NOW)

    def test_refuses_what_is_no_root(self) -> None:
        envelope = self.signed(make_trust_root()).model_copy(update={"payload": b"{}"})
        with pytest.raises(FormatError, match="trust root"):
            verify_trust_root(envelope, now=NOW)


class TestVerifyRole:
    def test_returns_the_holders(self) -> None:
        assert verify_role(sign_envelope(b"x", REVIEWER), make_trust_root(), TrustRole.APPROVAL) == {REVIEWER_ID}

    def test_refuses_a_key_of_another_role(self) -> None:
        with pytest.raises(SignatureInvalid, match="generation"):
            verify_role(sign_envelope(b"x", REVIEWER), make_trust_root(), TrustRole.GENERATION)

    def test_refuses_fewer_than_the_threshold(self) -> None:
        with pytest.raises(ThresholdNotMet, match="1 of 2"):
            verify_role(sign_envelope(b"x", REVIEWER), make_trust_root(), TrustRole.APPROVAL, threshold=2)


class TestCheckpoints:
    def test_signed_checkpoint_verifies(self) -> None:
        assert verify_checkpoint(sign_checkpoint(CHECKPOINT, LOG), make_trust_root()) == CHECKPOINT

    def test_refuses_another_log(self) -> None:
        other = LogCheckpoint(origin="other.test/log", tree_size=3, root_hash=bytes(32))
        with pytest.raises(ProofInvalid, match=r"other\.test/log"):
            verify_checkpoint(sign_checkpoint(other, LOG), make_trust_root())

    def test_refuses_another_key(self) -> None:
        with pytest.raises(SignatureInvalid, match="no trusted log key"):
            verify_checkpoint(sign_checkpoint(CHECKPOINT, APP), make_trust_root())

    def test_refuses_a_key_that_merely_claims_the_logs_name_and_hash(self) -> None:
        honest = parse_signed_checkpoint(sign_checkpoint(CHECKPOINT, LOG))
        forged = parse_signed_checkpoint(sign_checkpoint(CHECKPOINT, APP)).signatures[0].signature
        line = type(honest.signatures[0])(key_name=ORIGIN, key_hash=honest.signatures[0].key_hash, signature=forged)
        note = encode_signed_checkpoint(type(honest)(checkpoint=CHECKPOINT, signatures=(line,)))
        with pytest.raises(SignatureInvalid):
            verify_checkpoint(note, make_trust_root())

    def test_refuses_a_changed_size(self) -> None:
        note = sign_checkpoint(CHECKPOINT, LOG).replace(b"\n3\n", b"\n4\n")
        with pytest.raises(SignatureInvalid):
            verify_checkpoint(note, make_trust_root())

    def test_a_cosignature_of_somebody_unknown_does_no_harm(self) -> None:
        honest = parse_signed_checkpoint(sign_checkpoint(CHECKPOINT, LOG))
        other = parse_signed_checkpoint(sign_checkpoint(CHECKPOINT, APP)).signatures
        note = encode_signed_checkpoint(type(honest)(checkpoint=CHECKPOINT, signatures=(*other, *honest.signatures)))
        assert verify_checkpoint(note, make_trust_root()) == CHECKPOINT
