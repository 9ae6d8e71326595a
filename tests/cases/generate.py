"""Makes the case directories of receipts, logs, TUF repositories and acts from fixed keys: one property broken each, one named error.

    python tests/cases/generate.py

A case is a folder: `README` says why, `error` names the error's class (cases that must fail end in `_fail`), the rest is
what a verifier is given. Adding a case needs no code: the tests take every folder there is.

receipts/NAME/   receipt.tlog-proof, policy.txt (tlog-policy), about.json (event, subject), evidence (if it must fit)
logs/NAME/       checkpoint, tile/..., as tlog-tiles serves them; remembered.txt (a note seen earlier, if any)
tuf/NAME/        see `tuf_repositories`
acts/NAME/       see `act_cases`
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

from cases.act_cases import ACTS  # noqa: E402
from cases.tuf_repositories import TUF  # noqa: E402
from support.governed import NOW, ORIGIN, World, fixed_signer  # noqa: E402
from support.memory_log import MemoryLog  # noqa: E402

from sdk.signing.cosign import cosigner_key, sign_cosignature  # noqa: E402
from sdk.spec.envelope import encode_envelope  # noqa: E402
from sdk.spec.log_checkpoint import encode_note_signatures, log_key  # noqa: E402
from sdk.spec.log_entry import AuditEventType  # noqa: E402
from sdk.spec.log_proof import LogProof, encode_log_proof, proof_of_receipt  # noqa: E402
from sdk.spec.log_tiles import TILE_HEIGHT, TILE_WIDTH, entries_path, tile_path  # noqa: E402

Files = Mapping[str, bytes]
APPROVAL = 2  # its entry in the world's log
JAPANESE = "demo/狐と薔薇"


def world() -> World:
    made = World()
    made.approve()
    return made


def policy(*witnesses: str, log: str = "log") -> bytes:
    lines = [f"log {log_key(ORIGIN, fixed_signer(log).public_key)}"]
    lines += [f"witness {name} {cosigner_key(f'{name}.test', fixed_signer(name).public_key)}" for name in witnesses]
    lines += [f"group all all {' '.join(witnesses)}", "quorum all"] if witnesses else ["quorum none"]
    return ("\n".join(lines) + "\n").encode()


def receipt(log: MemoryLog, index: int, *cosigners: str, size: int | None = None) -> bytes:
    proof = proof_of_receipt(log.receipt(index, size))
    lines = [
        sign_cosignature(log.checkpoint(size), name=f"{name}.test", signer=fixed_signer(name), at=NOW)
        for name in cosigners
    ]
    return encode_log_proof(
        LogProof(
            entry=proof.entry,
            index=proof.index,
            inclusion=proof.inclusion,
            checkpoint=proof.checkpoint + encode_note_signatures(lines),
        )
    )


def about(event: str = "approval:signed", subject: str = "demo/fox@1") -> bytes:
    return json.dumps({"event": event, "subject": subject}, ensure_ascii=False).encode() + b"\n"


def approval(**changes: bytes) -> dict[str, bytes]:
    """A receipt of the approval that verifies, with these files in the place of others."""
    made = world()
    files = {
        "receipt.tlog-proof": receipt(made.log, APPROVAL, "狐"),
        "policy.txt": policy("狐"),
        "about.json": about(),
        "evidence": encode_envelope(made.approvals[0][0]),
    }
    return files | {name.replace("_", "."): content for name, content in changes.items()}


def with_receipt(content: bytes) -> dict[str, bytes]:
    return approval() | {"receipt.tlog-proof": content}


def edited(old: str, new: str) -> dict[str, bytes]:
    text = approval()["receipt.tlog-proof"].decode()
    assert old in text
    return with_receipt(text.replace(old, new, 1).encode())


def foreign() -> MemoryLog:
    """Another log, signed by the same key."""
    log = MemoryLog("other.test/log", fixed_signer("log"), NOW)
    log.contents = list(world().log.contents)
    return log


def non_ascii() -> dict[str, bytes]:
    log = world().log
    index = log.append(AuditEventType.CONCEPT_CREATED, JAPANESE, facts={"title": "Ünïcode ☃ 😀"})
    return {
        "receipt.tlog-proof": receipt(log, index, "狐"),
        "policy.txt": policy("狐"),
        "about.json": about("concept:created", JAPANESE),
    }


RECEIPTS: dict[str, tuple[str, str | None, Callable[[], Files]]] = {
    "approval": ("everything holds", None, approval),
    "non_ascii": ("lengths are of bytes, whatever the alphabet", None, non_ascii),
    "first_entry": (
        "the only entry of a log: a proof without hashes",
        None,
        lambda: {
            "receipt.tlog-proof": receipt(world().log, 0, size=1),
            "policy.txt": policy(),
            "about.json": about("log:opened", ORIGIN),
        },
    ),
    "wrong_log_fail": (
        "the same entries in another log, signed by the same key",
        "ProofInvalid",
        lambda: with_receipt(receipt(foreign(), APPROVAL, "狐")),
    ),
    "wrong_key_fail": (
        "a key that the policy does not name",
        "SignatureInvalid",
        lambda: approval(policy_txt=policy("狐", log="app")),
    ),
    "wrong_index_fail": (
        "the entry of another place",
        "ProofInvalid",
        lambda: edited(f"index {APPROVAL}\n", "index 1\n"),
    ),
    "index_outside_fail": (
        "a place beyond the tree",
        "ProofInvalid",
        lambda: edited(f"index {APPROVAL}\n", "index 77\n"),
    ),
    "wrong_size_fail": (
        "the size in the checkpoint was changed",
        "SignatureInvalid",
        lambda: edited(f"{ORIGIN}\n3\n", f"{ORIGIN}\n4\n"),
    ),
    "replayed_fail": (
        "a receipt of another act, shown for this one",
        "ProofInvalid",
        lambda: with_receipt(receipt(world().log, 1, "狐")),
    ),
    "other_document_fail": ("the entry names another document", "ProofInvalid", lambda: approval(evidence=b"{}")),
    "truncated_fail": (
        "the file ends before its checkpoint",
        "FormatError",
        lambda: with_receipt(approval()["receipt.tlog-proof"].split(b"\n\n")[0]),
    ),
    "no_witness_fail": ("nobody cosigned", "ThresholdNotMet", lambda: with_receipt(receipt(world().log, APPROVAL))),
    "stranger_fail": (
        "a witness cosigned that the policy does not name",
        "ThresholdNotMet",
        lambda: with_receipt(receipt(world().log, APPROVAL, "stranger")),
    ),
    "cosigned_other_size_fail": (
        "the witness cosigned an earlier checkpoint, and its line was moved",
        "ThresholdNotMet",
        lambda: with_receipt(
            receipt(world().log, APPROVAL)
            + encode_note_signatures(
                [sign_cosignature(world().log.checkpoint(2), name="狐.test", signer=fixed_signer("狐"), at=NOW)]
            )
        ),
    ),
    "leading_zero_fail": (
        "a number written in two ways",
        "FormatError",
        lambda: edited(f"index {APPROVAL}\n", f"index 0{APPROVAL}\n"),
    ),
}


@cache
def long_log(entries: int = 300, word: str = "狐") -> MemoryLog:
    log = MemoryLog(ORIGIN, fixed_signer("log"), NOW)
    for number in range(entries):
        log.append(AuditEventType.CONCEPT_CREATED, f"demo/{word}-{number}")
    return log


def served(log: MemoryLog, **changes: bytes) -> dict[str, bytes]:
    """A log as static files, with these in the place of others."""
    files = {"checkpoint": log.note()}
    size, level = len(log.contents), 0
    for index in range(0, size, TILE_WIDTH):
        width = min(TILE_WIDTH, size - index)
        files[entries_path(index // TILE_WIDTH, width=width)] = log.log_entry_bundle(index // TILE_WIDTH, width=width)
    while size >> (TILE_HEIGHT * level):
        count = size >> (TILE_HEIGHT * level)
        for index in range(0, count, TILE_WIDTH):
            width = min(TILE_WIDTH, count - index)
            path = tile_path(level, index // TILE_WIDTH, width=width)
            files[path] = log.log_tile(level, index // TILE_WIDTH, width=width)
        level += 1
    return files | changes


def changed(path: str, change: Callable[[bytes], bytes]) -> Callable[[], Files]:
    def make() -> Files:
        files = served(long_log())
        return files | {path: change(files[path])}

    return make


def swapped(content: bytes) -> bytes:
    return content[32:64] + content[:32] + content[64:]


LOGS: dict[str, tuple[str, str | None, Callable[[], Files]]] = {
    "whole": (
        "a log of 300 entries, and a note from when it had 200",
        None,
        lambda: served(long_log(), **{"remembered.txt": long_log().note(200)}),
    ),
    "truncated_tile_fail": (
        "a tile lacks its last hash",
        "ProofInvalid",
        changed("tile/0/000", lambda tile: tile[:-32]),
    ),
    "swapped_hashes_fail": ("two hashes of a tile changed places", "ProofInvalid", changed("tile/0/001.p/44", swapped)),
    "higher_tile_fail": (
        "a tile of the next level",
        "ProofInvalid",
        changed("tile/1/000.p/1", lambda tile: tile[:-1] + b"?"),
    ),
    "truncated_bundle_fail": (
        "entries end inside an entry",
        "FormatError",
        changed("tile/entries/000", lambda b: b[:-3]),
    ),
    "entry_changed_fail": (
        "an entry was rewritten",
        "ProofInvalid",
        changed("tile/entries/000", lambda b: b.replace('狐-7"'.encode(), '狼-7"'.encode(), 1)),
    ),
    "forked_history_fail": (
        "the note from before is of another history",
        "LogForked",
        lambda: served(long_log(), **{"remembered.txt": long_log(word="狼").note(200)}),
    ),
    "rolled_back_fail": (
        "the log had more entries before",
        "LogForked",
        lambda: served(long_log(200), **{"remembered.txt": long_log().note(300)}),
    ),
    "wrong_log_fail": (
        "a checkpoint of another log",
        "ProofInvalid",
        changed("checkpoint", lambda note: foreign().note()),
    ),
    "unsigned_fail": (
        "a checkpoint signed by another key",
        "SignatureInvalid",
        changed("checkpoint", lambda note: note.replace(b"\n300\n", b"\n299\n")),
    ),
}


KINDS = {"receipts": RECEIPTS, "logs": LOGS, "tuf": TUF, "acts": ACTS}


def files_of(kind: str, name: str) -> dict[str, bytes]:
    """What lies in the folder of a case."""
    why, error, make = KINDS[kind][name]
    return dict(make()) | {"README": f"{why}\n".encode()} | ({"error": f"{error}\n".encode()} if error else {})


def main() -> None:
    for kind, cases in KINDS.items():
        shutil.rmtree(HERE / kind, ignore_errors=True)
        for name in cases:
            for path, content in files_of(kind, name).items():
                (HERE / kind / name / path).parent.mkdir(parents=True, exist_ok=True)
                (HERE / kind / name / path).write_bytes(content)


if __name__ == "__main__":
    main()
