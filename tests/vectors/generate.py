"""Test vectors of our formats, made from fixed keys, and the official ones beside them.

    python tests/vectors/generate.py            # write them
    python tests/vectors/generate.py --check    # compare; exit 1 and name the file that differs

A vector that changes means that what was signed yesterday may not verify tomorrow: change the format's version instead.
`official/` is copied from the specifications and never written here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

from support.governed import NOW, ORIGIN, World, fixed_signer, make_trust_root, record_id  # noqa: E402
from support.merkle_oracle import consistency_proof, inclusion_proof  # noqa: E402

from sdk.signing.cosign import cosigner_key, sign_cosignature  # noqa: E402
from sdk.signing.grants import sign_grant  # noqa: E402
from sdk.signing.signer import sign_envelope  # noqa: E402
from sdk.signing.trust import TrustRole, sign_trust_root  # noqa: E402
from sdk.spec.bundle import VersionStatus  # noqa: E402
from sdk.spec.canonical import encode_canonical  # noqa: E402
from sdk.spec.consent_events import ConsentEvent  # noqa: E402
from sdk.spec.digest import Digest  # noqa: E402
from sdk.spec.envelope import encode_envelope, pae  # noqa: E402
from sdk.spec.erasure import ErasurePredicate, Kept  # noqa: E402
from sdk.spec.grant import GrantedVersion, GrantPredicate  # noqa: E402
from sdk.spec.ids import ConceptId, PrincipalId  # noqa: E402
from sdk.spec.log_checkpoint import encode_note_signatures, log_key  # noqa: E402
from sdk.spec.log_entry import AuditEventType, LogEntry, encode_log_entry  # noqa: E402
from sdk.spec.log_proof import encode_log_proof, proof_of_receipt  # noqa: E402
from sdk.spec.log_tiles import encode_entry_bundle  # noqa: E402
from sdk.spec.manifest import encode_manifest  # noqa: E402
from sdk.spec.merkle import leaf_hash, root_of  # noqa: E402
from sdk.spec.policy import Use  # noqa: E402
from sdk.spec.recorded import ConsentPredicate  # noqa: E402
from sdk.spec.statements import encode_statement  # noqa: E402
from sdk.witness import AddCheckpoint, encode_add_checkpoint  # noqa: E402


def approved_world() -> World:
    world = World()
    world.approve()
    return world


def envelope() -> bytes:
    """A DSSE envelope over a payload that is not ASCII, under a type that is not either."""
    return encode_envelope(sign_envelope("狐 \x00".encode(), fixed_signer("app"), payload_type="text/é"))


def merkle() -> bytes:
    """Roots and proofs of trees of every size up to nine."""
    leaves = [leaf_hash(f"entry {i}".encode()) for i in range(9)]
    sizes = range(1, len(leaves) + 1)
    return pretty(
        {
            "leaves": [leaf.hex() for leaf in leaves],
            "roots": {str(size): root_of(leaves[:size]).hex() for size in range(len(leaves) + 1)},
            "inclusion": {
                f"{index}/{size}": [h.hex() for h in inclusion_proof(index, leaves[:size])]
                for size in sizes
                for index in range(size)
            },
            "consistency": {
                f"{old}/{size}": [h.hex() for h in consistency_proof(old, leaves[:size])]
                for size in sizes
                for old in range(1, size + 1)
            },
        }
    )


def log_entry() -> bytes:
    entry = LogEntry(
        event=AuditEventType.VERSION_SUBMITTED,
        at=NOW,
        actor=PrincipalId("demo/training-service"),
        subject="demo/fox@1",
        evidence={"manifest": Digest.of(b"manifest")},
        facts={"kind": "subject"},
    )
    return encode_log_entry(entry)


def public_keys() -> bytes:
    """What a third party needs to check the other vectors."""
    names = ("root", "log", "training-service", "reviewer", "app", "status", "decision")
    keys = {name: fixed_signer(name).public_key.hex() for name in names}
    vkey = str(log_key(ORIGIN, fixed_signer("log").public_key))
    return pretty({"ed25519": keys, "log_vkey": vkey, "envelope_pae": pae("text/é", "狐 \x00".encode()).hex()})


def trust_root(version: int, *later: TrustRole) -> bytes:
    """A trust root from before the roles `later`."""
    root = make_trust_root(version=version)
    keys = {keyid: key for keyid, key in root.keys.items() if key.role not in later}
    return encode_envelope(sign_trust_root(root.model_copy(update={"keys": keys}), fixed_signer("root")))


def compose_grant() -> bytes:
    """Leave to make four images of the version, by a rendering service."""
    world = approved_world()
    granted = GrantedVersion(
        concept=world.manifest.concept, number=world.number, manifest=world.manifest.digest, terms=world.terms
    )
    grant = GrantPredicate(
        generation=record_id("gen"),
        application=PrincipalId("demo/app"),
        executor=PrincipalId("demo/renderer"),
        intent=Digest.of(b"intent"),
        versions=(granted,),
        use=Use(purpose="advertising", territory="JP", channel="web"),
        count=4,
        scene=Digest.of("狐の写真".encode()),
        sampling=Digest.of(b"sampling"),
        base_model=world.manifest.base_model,
        decision=Digest.of(b"decision"),
        policy_bundle=Digest.of(b"bundle"),
        issued_at=NOW,
        expires_at=NOW + timedelta(minutes=10),
        nonce="0123456789abcdef" * 2,
    )
    return encode_envelope(sign_grant(grant, fixed_signer("decision")))


def cosigned() -> bytes:
    """The checkpoint with the cosignature of a witness whose name is not ASCII."""
    log = approved_world().log
    line = sign_cosignature(log.checkpoint(), name="証人.test", signer=fixed_signer("witness"), at=NOW)
    return log.note() + encode_note_signatures([line])


def log_proof() -> bytes:
    """A receipt of the approval in a file, under the cosigned checkpoint."""
    receipt = approved_world().log.receipt(2)
    return encode_log_proof(proof_of_receipt(receipt.model_copy(update={"checkpoint": cosigned().decode()})))


def log_policy() -> bytes:
    witness = cosigner_key("証人.test", fixed_signer("witness").public_key)
    return f"log {log_key(ORIGIN, fixed_signer('log').public_key)}\nwitness w {witness}\nquorum w\n".encode()


def add_checkpoint() -> bytes:
    """What the log sends a witness that saw two entries."""
    log = approved_world().log
    return encode_add_checkpoint(AddCheckpoint(old_size=2, proof=tuple(log.consistency(2, 3)), note=log.note()))


def erasure() -> bytes:
    """A certificate of erasure, signed by the log's key."""
    predicate = ErasurePredicate(
        erasure=record_id("era"),
        erased_by=PrincipalId("demo/owner"),
        consents=(record_id("con"),),
        versions=("demo/fox@1",),
        documents=(Digest.of(b"document"),),
        keys=3,
        kept=(Kept(what="entries of the log", why="evidence"),),
        erased_at=NOW,
    )
    statement = encode_statement(predicate, subjects={str(predicate.erasure): Digest.of(b"records")})
    return encode_envelope(sign_envelope(statement, fixed_signer("log")))


def consent_statement() -> bytes:
    """What the registry states about a consent that was given."""
    predicate = ConsentPredicate(
        consent=record_id("con"),
        event=ConsentEvent.GIVE,
        covers=(ConceptId("demo/fox"),),
        recorded_by=PrincipalId("demo/owner"),
        recorded_at=NOW,
    )
    statement = encode_statement(predicate, subjects={str(predicate.consent): Digest.of(b"record")})
    return encode_envelope(sign_envelope(statement, fixed_signer("decision")))


def pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


VECTORS: dict[str, Callable[[], bytes]] = {
    "public-keys.json": public_keys,
    "envelope.json": envelope,
    "manifest.json": lambda: encode_manifest(approved_world().manifest),
    "training-attestation.json": lambda: encode_envelope(approved_world().attestation),
    "approval.json": lambda: encode_envelope(approved_world().approvals[0][0]),
    "log-entry.json": log_entry,
    "log-receipt.json": lambda: encode_canonical(approved_world().log.receipt(1)),
    "log-checkpoint.txt": lambda: approved_world().log.note(),
    "log-checkpoint-cosigned.txt": cosigned,
    "log-policy.txt": log_policy,
    "approval.tlog-proof": log_proof,
    "add-checkpoint.txt": add_checkpoint,
    "erasure-certificate.json": erasure,
    "consent-statement.json": consent_statement,
    "submission-statement.json": lambda: encode_envelope(World().state()),
    "log-entry-bundle.bin": lambda: encode_entry_bundle(approved_world().log.contents),
    "merkle.json": merkle,
    "trust-root.json": lambda: trust_root(1, TrustRole.STATUS, TrustRole.DECISION),
    "trust-root-2.json": lambda: trust_root(2, TrustRole.DECISION),
    "trust-root-3.json": lambda: trust_root(3),
    "compose-grant.json": compose_grant,
    "status-list.jwt": lambda: approved_world().status_list(),
    "version-bundle.json": lambda: encode_canonical(approved_world().bundle(status=VersionStatus.APPROVED)),
}


def differing() -> list[str]:
    """The vectors that are missing or are not what the code makes today."""
    return [name for name, make in VECTORS.items() if not _same(HERE / name, make())]


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def main() -> None:
    if "--check" in sys.argv[1:]:
        if names := differing():
            sys.exit(f"these vectors are not what the code makes: {', '.join(names)}; formats may not change silently")
        return
    for name, make in VECTORS.items():
        (HERE / name).write_bytes(make())


if __name__ == "__main__":
    main()
