"""One file and public keys: what a receipt proves, and everything that makes it prove nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.governed import NOW, ORIGIN, World, fixed_signer, make_trust_root
from support.memory_log import MemoryLog

from sdk.cli.application import run
from sdk.errors import FormatError, ImprimaturError, ProofInvalid, SignatureInvalid, ThresholdNotMet
from sdk.receipt import require_about, verify_log_proof
from sdk.signing.cosign import cosigner_key, policy_of, sign_cosignature
from sdk.spec.digest import Digest
from sdk.spec.envelope import encode_envelope
from sdk.spec.log_checkpoint import encode_note_signatures, log_key
from sdk.spec.log_entry import AuditEventType
from sdk.spec.log_policy import Group, LogPolicy, Party
from sdk.spec.log_proof import LogProof, encode_log_proof, parse_log_proof, proof_of_receipt

WITNESSES = {name: Party(key=cosigner_key(f"{name}.test/w", fixed_signer(name).public_key)) for name in ("w1", "w2")}


def world() -> World:
    made = World()
    made.approve()
    return made


def proof_of(log: MemoryLog, index: int, *cosigners: str) -> LogProof:
    proof = proof_of_receipt(log.receipt(index))
    lines = [
        sign_cosignature(log.checkpoint(), name=f"{name}.test/w", signer=fixed_signer(name), at=NOW)
        for name in cosigners
    ]
    return LogProof(
        entry=proof.entry,
        index=proof.index,
        inclusion=proof.inclusion,
        checkpoint=proof.checkpoint + encode_note_signatures(lines),
    )


def both() -> LogPolicy:
    return policy_of(
        make_trust_root(),
        LogPolicy(witnesses=WITNESSES, groups={"both": Group(threshold=2, members=("w1", "w2"))}, quorum="both"),
    )


class TestReceipt:
    def test_of_every_entry_convinces_who_holds_the_log_key_alone(self) -> None:
        log = world().log
        policy = LogPolicy(logs=(Party(key=log_key(ORIGIN, fixed_signer("log").public_key)),))
        for index in range(len(log.contents)):
            content = encode_log_proof(proof_of(log, index))
            proven = verify_log_proof(content, policy)
            assert (proven.index, proven.checkpoint) == (index, log.checkpoint())
            assert encode_log_proof(parse_log_proof(content)) == content

    def test_of_the_only_entry_needs_no_hashes(self) -> None:
        log = MemoryLog(ORIGIN, fixed_signer("log"), NOW)
        log.append(AuditEventType.CONCEPT_CREATED, "demo/狐".encode().decode())
        content = encode_log_proof(proof_of(log, 0))
        assert verify_log_proof(content, policy_of(make_trust_root())).entry.subject == "demo/狐"

    def test_counts_witnesses_and_names_when_they_cosigned(self) -> None:
        content = encode_log_proof(proof_of(world().log, 1, "w1", "w2"))
        assert verify_log_proof(content, both()).cosigned == {"w1": NOW, "w2": NOW}

    @pytest.mark.parametrize("cosigners", [(), ("w1",), ("w1", "w1"), ("w2", "stranger")])
    def test_is_refused_without_a_quorum(self, cosigners: tuple[str, ...]) -> None:
        with pytest.raises(ThresholdNotMet, match="no quorum"):
            verify_log_proof(encode_log_proof(proof_of(world().log, 1, *cosigners)), both())

    def test_is_about_one_act_and_cannot_be_replayed_for_another(self) -> None:
        made = world()
        proven = verify_log_proof(encode_log_proof(proof_of(made.log, 2)), policy_of(made.trust))
        envelope = made.approvals[0][0]
        require_about(proven, event=AuditEventType.APPROVAL_SIGNED, subject="demo/fox@1", evidence=envelope.digest)
        for other in (
            {"event": AuditEventType.VERSION_REVOKED},
            {"subject": "demo/fox@2"},
            {"evidence": Digest.of(b"another")},
        ):
            with pytest.raises(ProofInvalid):
                require_about(proven, **other)

    def test_every_flipped_bit_is_told(self) -> None:
        content = encode_log_proof(proof_of(world().log, 1, "w1", "w2"))
        sound = verify_log_proof(content, both())
        for place in range(8 * len(content)):
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            with pytest.raises(ImprimaturError):
                passed = verify_log_proof(bytes(flipped), both())
                raise AssertionError(
                    f"bit {place} does not matter: {passed == sound}, {content[place // 8 - 20 :][:40]!r}"
                )


class TestCommand:
    def keep(self, folder: Path) -> tuple[Path, str, Path]:
        made = world()
        file, document = folder / "approval.tlog-proof", folder / "approval.json"
        file.write_bytes(encode_log_proof(proof_of(made.log, 2)))
        document.write_bytes(encode_envelope(made.approvals[0][0]))
        return file, str(log_key(ORIGIN, fixed_signer("log").public_key)), document

    def test_verifies_with_a_key_and_no_profile(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file, key, document = self.keep(tmp_path)
        about = ("--event", "approval:signed", "--subject", "demo/fox@1", "--evidence", str(document))
        assert run(["receipt", "verify", str(file), "--key", key, *about]) == 0
        assert "approval:signed of demo/fox@1" in capsys.readouterr().out

    def test_refuses_another_document_and_another_key(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file, key, document = self.keep(tmp_path)
        document.write_bytes(b"{}")
        assert run(["receipt", "verify", str(file), "--key", key, "--evidence", str(document)]) == 1
        assert "another document" in capsys.readouterr().err
        stranger = str(log_key(ORIGIN, fixed_signer("reviewer").public_key))
        assert run(["receipt", "verify", str(file), "--key", stranger]) == 1
        assert "no trusted log key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda text: text.replace("@v1", "@v2"), FormatError),
        (lambda text: text[: text.index("\n\n")], FormatError),
        (lambda text: text.replace("index 1", "index 01"), FormatError),
        (lambda text: text.replace("index 1", "index 0"), ProofInvalid),
        (lambda text: text.replace("index 1", "index 99"), ProofInvalid),
        (lambda text: text.replace(ORIGIN, "log.test/狐"), ProofInvalid),
        (lambda text: text.split("\n— ")[0] + "\n— 狐 AAAAAAAA\n", SignatureInvalid),
        (lambda text: "", FormatError),
    ],
)
def test_one_broken_property_is_one_error(change: object, error: type[ImprimaturError]) -> None:
    text = encode_log_proof(proof_of(world().log, 1)).decode()
    with pytest.raises(error):
        verify_log_proof(change(text).encode(), policy_of(make_trust_root()))  # type: ignore[operator]
