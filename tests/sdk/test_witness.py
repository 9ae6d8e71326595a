"""A witness cosigns what extends what it saw, remembers it through a crash, and refuses rollback and forks."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from support.governed import NOW, ORIGIN, fixed_signer
from support.memory_log import MemoryLog

from sdk.errors import ConfigurationError
from sdk.signing.cosign import cosigned_at, cosigner_key
from sdk.spec.log_checkpoint import (
    SignedCheckpoint,
    log_key,
    parse_note_signatures,
)
from sdk.spec.log_entry import AuditEventType
from sdk.spec.log_policy import LogPolicy, Party
from sdk.witness import Witness, WitnessAnswer, locked

POLICY = LogPolicy(logs=(Party(key=log_key(ORIGIN, fixed_signer("log").public_key)),))


def make_log(entries: int = 5, *, word: str = "demo/fox") -> MemoryLog:
    log = MemoryLog(ORIGIN, fixed_signer("log"), NOW)
    for number in range(entries):
        log.append(AuditEventType.CONCEPT_CREATED, f"{word}-{number}")
    return log


def make_witness(folder: Path) -> Witness:
    return Witness(name="w.test/1", signer=fixed_signer("w1"), policy=POLICY, folder=folder, clock=lambda: NOW)


def ask(
    witness: Witness, log: MemoryLog, old: int, size: int | None = None, proof: list[bytes] | None = None
) -> WitnessAnswer:
    size = len(log.contents) if size is None else size
    if proof is None:
        proof = log.consistency(old, size) if old <= size else []
    hashes = "".join(base64.b64encode(each).decode() + "\n" for each in proof)
    return witness.add_checkpoint(f"old {old}\n{hashes}\n".encode() + log.note(size))


class TestWitness:
    def test_cosigns_and_the_line_verifies(self, tmp_path: Path) -> None:
        log, witness = make_log(), make_witness(tmp_path)
        answer = ask(witness, log, 0)
        assert answer.status == 200
        signed = SignedCheckpoint(checkpoint=log.checkpoint(), signatures=parse_note_signatures(answer.body.decode()))
        assert cosigned_at(signed, cosigner_key("w.test/1", fixed_signer("w1").public_key)) == NOW
        assert cosigned_at(signed, cosigner_key("w.test/1", fixed_signer("w2").public_key)) is None

    def test_goes_on_only_from_what_it_saw_also_after_a_restart(self, tmp_path: Path) -> None:
        log = make_log()
        assert ask(make_witness(tmp_path), log, 0, 3).status == 200
        witness = make_witness(tmp_path)
        again = ask(witness, log, 0)
        assert (again.status, again.body, again.media_type) == (409, b"3\n", "text/x.tlog.size")
        assert ask(witness, log, 3).status == 200
        assert ask(witness, log, 5).status == 200  # the same checkpoint again

    def test_refuses_a_rollback(self, tmp_path: Path) -> None:
        log, witness = make_log(), make_witness(tmp_path)
        ask(witness, log, 0)
        for old in (0, 3):
            assert ask(witness, log, old, 3).status == 409
        assert ask(witness, log, 5, 3).status == 400
        assert witness.newest(ORIGIN) == log.checkpoint()

    @pytest.mark.parametrize("entries", [5, 9])
    def test_refuses_a_fork(self, tmp_path: Path, entries: int) -> None:
        log, fork, witness = make_log(), make_log(entries, word="demo/狐"), make_witness(tmp_path)
        ask(witness, log, 0)
        assert ask(witness, fork, 5).status in (409, 422)
        assert witness.newest(ORIGIN) == log.checkpoint()

    def test_refuses_what_the_specification_says_it_refuses(self, tmp_path: Path) -> None:
        log, witness = make_log(), make_witness(tmp_path)
        foreign = MemoryLog("other.test/log", fixed_signer("log"), NOW)
        stolen = MemoryLog(ORIGIN, fixed_signer("app"), NOW)
        for other in (foreign, stolen):
            other.append(AuditEventType.CONCEPT_CREATED, "demo/fox")
        assert ask(witness, foreign, 0).status == 404
        assert ask(witness, stolen, 0).status == 403
        assert ask(witness, log, 0, proof=[bytes(32)]).status == 422
        ask(witness, log, 0, 3)
        assert ask(witness, log, 3, proof=[bytes(32)] * 3).status == 422
        for body in (
            b"",
            b"old 01\n\n",
            b"old 0\n",
            b"old x\n\n" + log.note(),
            b"\xff",
            b"old 0\nAAAA\n\n" + log.note(),
        ):
            assert witness.add_checkpoint(body).status == 400

    def test_does_not_forget_when_its_file_is_damaged(self, tmp_path: Path) -> None:
        log, witness = make_log(), make_witness(tmp_path)
        ask(witness, log, 0)
        (kept,) = tmp_path.glob("*.note")
        kept.write_bytes(kept.read_bytes()[:-9] + b"AAAAAAAA\n")
        with pytest.raises(ConfigurationError, match="no longer holds what was seen"):
            ask(witness, log, 5)

    def test_writes_before_it_gives_the_line_away(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(path: Path, content: bytes, *, wait_for_rename: bool) -> None:
            raise OSError("disk full")

        monkeypatch.setattr("sdk.witness.replace_file", fail)
        with pytest.raises(OSError, match="disk full"):
            ask(make_witness(tmp_path), make_log(), 0)

    def test_is_one_process_a_folder(self, tmp_path: Path) -> None:
        with locked(tmp_path), pytest.raises(ConfigurationError, match="another witness"), locked(tmp_path):
            pass
