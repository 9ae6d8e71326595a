"""Writes `tests/vectors/verify/`: for each step of the verification procedure, versions that must not verify there.

    python tests/vectors/verify_cases.py            # write them
    python tests/vectors/verify_cases.py --check    # compare; exit 1 and name the case that differs

A case is a folder `NN-name` or `NN-name_fail`, NN being the step of `sdk.verify` that it is about:

    bundle.json        the VersionBundle, as a registry sends it
    status-list.jwt    the signed status list
    trust-root.json    the signed trust root
    known-root.json    the trust root that the client knew before, where it knew one
    artefact.bin       the embedding, where step 11 is asked
    case.json          the reference asked for, the moment, the newest status list seen before, and, of a `_fail`, the code of the error and words in it
    README.md          one line: what is wrong with it

A case that somebody adds by hand needs no code: `tests/sdk/test_verify_cases.py` runs whatever folder is there. This
script makes those of the list below from fixed keys.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent)]

from support.governed import (  # noqa: E402
    EMBEDDING,
    NOW,
    World,
    consent_record,
    fixed_signer,
    make_manifest,
    use_terms,
)
from support.memory_log import MemoryLog  # noqa: E402

from sdk.signing.trust import TrustRoot, sign_trust_root  # noqa: E402
from sdk.spec.bundle import ApprovalEvidence, VersionStatus  # noqa: E402
from sdk.spec.canonical import encode_canonical  # noqa: E402
from sdk.spec.digest import Digest  # noqa: E402
from sdk.spec.envelope import encode_envelope  # noqa: E402
from sdk.spec.ids import PrincipalId  # noqa: E402
from sdk.spec.log_entry import AuditEventType  # noqa: E402
from sdk.spec.manifest import ConceptKind, EmbeddingFacts, encode_manifest  # noqa: E402

FOLDER = HERE / "verify"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case; `error` and `words` are empty where it must verify."""

    why: str
    world: World
    error: str = ""
    words: str = ""
    ref: str = "demo/fox"
    now: datetime = NOW
    changes: dict[str, Any] = field(default_factory=dict)  # of the bundle
    listed: bytes = b""  # none: the version's own list
    seen: datetime | None = None  # when the newest status list that was seen before is from
    known: TrustRoot | None = None
    artefact: bytes = b""

    def files(self) -> dict[str, bytes]:
        seen = self.seen.isoformat() if self.seen else ""
        expected = {
            "ref": self.ref,
            "now": self.now.isoformat(),
            "seen": seen,
            "error": self.error,
            "words": self.words,
        }
        files = {
            "bundle.json": encode_canonical(self.world.bundle(**self.changes)) + b"\n",
            "status-list.jwt": self.listed or self.world.status_list(),
            "trust-root.json": encode_envelope(sign_trust_root(self.world.trust, fixed_signer("root"))) + b"\n",
            "case.json": json.dumps({k: v for k, v in expected.items() if v}, indent=1).encode() + b"\n",
            "README.md": self.why.encode() + b"\n",
        }
        if self.known:
            files["known-root.json"] = encode_envelope(sign_trust_root(self.known, fixed_signer("root"))) + b"\n"
        return files | ({"artefact.bin": self.artefact} if self.artefact else {})


def approved(**options: Any) -> World:
    world = World(**options)
    world.approve()
    return world


def expired_trust_root() -> Case:
    world = approved()
    return Case(
        why="The trust root's term is over.",
        world=world,
        error="verification.trust_root",
        words="expired",
        now=world.trust.expires_at,
    )


def forged_checkpoint() -> Case:
    world = approved()
    world.log.signer = fixed_signer("app")
    note = world.log.note().decode()
    world.log.signer = fixed_signer("log")
    return Case(
        why="The newest checkpoint is signed by an application.",
        world=world,
        error="verification.signature",
        words="log key",
        changes={"checkpoint": note},
    )


def another_log() -> Case:
    world = approved()
    other = MemoryLog("log.other/x", fixed_signer("log"), NOW)
    other.contents = world.log.contents
    return Case(
        why="The newest checkpoint is of another log, signed by the same key.",
        world=world,
        error="verification.log_proof",
        words="log.other/x",
        changes={"checkpoint": other.note().decode()},
    )


def two_roots() -> Case:
    world, other = approved(), World()
    other.approve("second-reviewer")
    return Case(
        why="Two checkpoints of one size have two roots: the log shows two histories.",
        world=world,
        error="verification.log_forked",
        words="two roots",
        changes={"checkpoint": other.log.note().decode()},
    )


def another_concept() -> Case:
    return Case(
        why="Asked for the owl, the registry answers with the fox.",
        world=approved(),
        error="verification.failed",
        words="asked for demo/owl",
        ref="demo/owl",
    )


def another_digest() -> Case:
    return Case(
        why="The reference names a manifest by its digest; this is not it.",
        world=approved(),
        error="verification.digest",
        words="manifest of demo/fox",
        ref=f"demo/fox@{Digest.of(b'other')}",
    )


def spaced_manifest() -> Case:
    world = approved()
    spaced = encode_manifest(world.manifest).replace(b'{"', b'{ "', 1)
    return Case(
        why="The manifest has a space that RFC 8785 does not allow, so its digest could be anything.",
        world=world,
        error="format.invalid",
        words="RFC 8785",
        changes={"manifest": spaced},
    )


def attested_by_reviewer() -> Case:
    world = approved()
    return Case(
        why="A reviewer attests to the training.",
        world=world,
        error="verification.signature",
        words="training",
        changes={"training_attestation": world.attest("reviewer")},
    )


def attested_other_training() -> Case:
    world = approved()
    record = world.manifest.training.model_copy(update={"seed": 8})
    return Case(
        why="The attestation describes a training with another seed.",
        world=world,
        error="verification.failed",
        words="another training",
        changes={"training_attestation": world.attest(record=record)},
    )


def broken_inclusion() -> Case:
    world = approved()
    receipt = world.log.receipt(world.submission_index)
    broken = receipt.model_copy(update={"inclusion": (bytes(32), *receipt.inclusion[1:])})
    return Case(
        why="The proof that the submission is in the log does not lead to its root.",
        world=world,
        error="verification.log_proof",
        words="does not lead",
        changes={"submission_receipt": broken},
    )


def lied_about_owner() -> Case:
    return Case(
        why="The registry names another owner than the log does, so that the owner may approve.",
        world=approved(),
        error="verification.log_proof",
        words="owner of demo/fox@1",
        changes={"owner": PrincipalId("demo/trainer")},
    )


def widened_consent() -> Case:
    world = approved()
    wider = world.consents[0].model_copy(update={"record": consent_record(terms=use_terms(territories=("WORLD",)))})
    return Case(
        why="The consent that comes with the version grants the whole world; the one that was recorded did not.",
        world=world,
        error="verification.digest",
        words="consent con_",
        changes={"consents": (wider,)},
    )


def missing_licence() -> Case:
    return Case(
        why="The licence that the manifest names is left out.",
        world=approved(),
        error="verification.failed",
        words="not those that its manifest names",
        changes={"licences": ()},
    )


def revoked() -> Case:
    return Case(
        why="The registry itself says that the version was revoked.",
        world=approved(),
        error="verification.not_approved",
        words="is revoked",
        changes={"status": VersionStatus.REVOKED},
    )


def nobody_approved() -> Case:
    return Case(
        why="The registry says approved, and nobody signed.",
        world=World(),
        error="verification.threshold",
        words="0 of 1",
    )


def person_with_one_reviewer() -> Case:
    return Case(
        why="A person needs two reviewers, whatever the registry says.",
        world=approved(manifest=make_manifest(kind=ConceptKind.PERSON)),
        error="verification.threshold",
        words="1 of 2",
    )


def approved_by_owner() -> Case:
    world = World()
    world.approve("owner")
    return Case(
        why="The one who approved owns the concept.",
        world=world,
        error="verification.not_approved",
        words="trained or owns",
    )


def approved_other_terms() -> Case:
    world = World()
    world.approve(terms=Digest.of(b"other terms"))
    return Case(
        why="The reviewer approved under other terms than those that come with the version.",
        world=world,
        error="verification.failed",
        words="other terms",
    )


def unlogged_approval() -> Case:
    world = approved()
    evidence = ApprovalEvidence(envelope=world.approvals[0][0], receipt=world.log.receipt(1))
    return Case(
        why="The approval comes with the receipt of another entry: it is not in the log.",
        world=world,
        error="verification.log_proof",
        words="not approval:signed",
        changes={"approvals": (evidence,)},
    )


def listed_as_revoked() -> Case:
    world = approved()
    return Case(
        why="The registry says approved, its signed status list says revoked.",
        world=world,
        error="verification.not_approved",
        words="is revoked",
        listed=world.status_list(VersionStatus.REVOKED),
    )


def stale_list() -> Case:
    world = approved()
    return Case(
        why="The status list ended a minute ago: what was revoked since is not in it.",
        world=world,
        error="verification.status_list",
        words="fetch it again",
        listed=world.status_list(at=NOW - timedelta(minutes=2)),
    )


def list_of_another_tenant() -> Case:
    world = approved()
    return Case(
        why="The status list is another tenant's.",
        world=world,
        error="verification.status_list",
        words="needs the status list",
        listed=world.status_list(tenant="other"),
    )


def list_signed_by_log() -> Case:
    world = approved()
    return Case(
        why="The status list is signed by the log's key, which is trusted for other things.",
        world=world,
        error="verification.signature",
        words="status",
        listed=world.status_list(signer="log"),
    )


def another_embedding() -> Case:
    return Case(
        why="The embedding has the right size and other bytes.",
        world=approved(),
        error="verification.digest",
        words="should have digest",
        artefact=EMBEDDING[::-1],
    )


def cut_embedding() -> Case:
    return Case(
        why="The embedding is cut short.",
        world=approved(),
        error="verification.digest",
        words="bytes, but has",
        artefact=EMBEDDING[:-1],
    )


def non_ascii() -> Case:
    facts = EmbeddingFacts(placeholder_token="<demo-fox>", vectors=2, dimensions=(16,), class_word="狐")
    world = World(manifest=make_manifest().model_copy(update={"embedding": facts}))
    world.approve(comment="マスクは正しい — ça va")
    return Case(why="Words outside ASCII in what is signed and in what is hashed.", world=world)


def rolled_back_trust_root() -> Case:
    world = approved()
    return Case(
        why="The client knew version 2 of the trust root and is shown version 1.",
        world=world,
        error="verification.trust_root",
        words="went back",
        known=world.trust.model_copy(update={"version": 2}),
    )


def changed_attestation() -> Case:
    world = approved()
    attestation = world.attestation
    changed = attestation.model_copy(update={"payload": attestation.payload.replace(b'"steps":400', b'"steps":401')})
    return Case(
        why="A number in the training attestation was changed after it was signed.",
        world=world,
        error="verification.signature",
        words="training",
        changes={"training_attestation": changed},
    )


def flipped_signature() -> Case:
    world = approved()
    (signature,) = world.attestation.signatures
    flipped = signature.model_copy(update={"sig": bytes([signature.sig[0] ^ 1]) + signature.sig[1:]})
    return Case(
        why="One bit of the attestation's signature is another.",
        world=world,
        error="verification.signature",
        words="training",
        changes={"training_attestation": world.attestation.model_copy(update={"signatures": (flipped,)})},
    )


def submission_receipt(why: str, words: str, **changes: Any) -> Case:
    world = approved()
    receipt = world.log.receipt(world.submission_index).model_copy(update=changes)
    return Case(
        why=why, world=world, error="verification.log_proof", words=words, changes={"submission_receipt": receipt}
    )


def cut_inclusion() -> Case:
    proof = approved().log.receipt(1).inclusion[:-1]
    return submission_receipt("The inclusion proof of the submission lacks its last hash.", "proof", inclusion=proof)


def revoke(world: World, name: str, last_entry: int) -> World:
    """The world in which the key of `name` counts up to `last_entry` of the log."""
    keyid = fixed_signer(name).keyid
    key = world.trust.keys[keyid].model_copy(update={"last_entry": last_entry})
    world.trust = world.trust.model_copy(update={"keys": world.trust.keys | {keyid: key}})
    return world


def key_revoked_before(name: str, last_entry: int, words: str, why: str) -> Case:
    world = revoke(approved(), name, last_entry)
    return Case(why=why, world=world, error="verification.signature", words=words)


def backdated_approval() -> Case:
    world = World()
    world.log.append(AuditEventType.CONCEPT_CREATED, "demo/owl")
    world.approve(signed_at=NOW - timedelta(days=300))
    return Case(
        why="Whoever stole the reviewer's key wrote a date from before it was revoked; the log's place says otherwise.",
        world=revoke(world, "reviewer", 2),
        error="verification.signature",
        words="counts up to entry 2 of the log, not for entry 3",
    )


def status_list(why: str, words: str, **options: Any) -> Case:
    world = approved()
    listed = world.status_list(**options)
    return Case(why=why, world=world, error="verification.status_list", words=words, listed=listed)


def older_list_than_seen() -> Case:
    return Case(
        why="A status list from a second later was seen before.",
        world=approved(),
        error="verification.status_list",
        words="shows an old one",
        seen=NOW + timedelta(seconds=1),
    )


CASES: dict[str, Callable[[], Case]] = {
    "00-genuine": lambda: Case(why="Nothing is wrong with it.", world=approved(), artefact=EMBEDDING),
    "00-not-ascii": non_ascii,
    "01-trust-root-expired_fail": expired_trust_root,
    "01-trust-root-rolled-back_fail": rolled_back_trust_root,
    "02-log-key-revoked-before_fail": lambda: key_revoked_before(
        "log", 1, "log key", "The log's key was revoked before the log came to the checkpoint's size."
    ),
    "04-attestation-changed_fail": changed_attestation,
    "04-signature-changed_fail": flipped_signature,
    "04-training-key-revoked-before_fail": lambda: key_revoked_before(
        "training-service", 0, "not for entry 1", "The trainer's key was revoked before the submission."
    ),
    "05-receipt-at-another-index_fail": lambda: submission_receipt(
        "The receipt of the submission names another index.", "does not lead", index=0
    ),
    "05-receipt-cut-short_fail": cut_inclusion,
    "08-reviewer-key-revoked-after": lambda: Case(
        why="The reviewer's key was revoked after the entry of the approval, which goes on counting.",
        world=revoke(approved(), "reviewer", 2),
    ),
    "08-reviewer-key-revoked-before_fail": lambda: key_revoked_before(
        "reviewer", 1, "not for entry 2", "The reviewer's key was revoked before the entry of the approval."
    ),
    "08-approval-backdated_fail": backdated_approval,
    "10-list-of-another-registry_fail": lambda: status_list(
        "The status list is another registry's, signed by the same key.", "needs the status list", origin="log.test/x"
    ),
    "10-list-from-the-future_fail": lambda: status_list(
        "The status list begins later than clocks may differ.", "set this clock", at=NOW + timedelta(seconds=11)
    ),
    "10-list-older-than-seen_fail": older_list_than_seen,
    "02-checkpoint-forged_fail": forged_checkpoint,
    "02-checkpoint-of-another-log_fail": another_log,
    "02-two-roots-of-one-size_fail": two_roots,
    "03-another-concept_fail": another_concept,
    "03-another-digest_fail": another_digest,
    "03-manifest-not-canonical_fail": spaced_manifest,
    "04-attested-by-a-reviewer_fail": attested_by_reviewer,
    "04-attested-another-training_fail": attested_other_training,
    "05-submission-not-in-the-log_fail": broken_inclusion,
    "05-owner-is-not-the-logs_fail": lied_about_owner,
    "06-consent-widened_fail": widened_consent,
    "06-licence-missing_fail": missing_licence,
    "07-revoked_fail": revoked,
    "08-nobody-approved_fail": nobody_approved,
    "08-person-with-one-reviewer_fail": person_with_one_reviewer,
    "08-approved-by-its-owner_fail": approved_by_owner,
    "08-approved-under-other-terms_fail": approved_other_terms,
    "09-approval-not-in-the-log_fail": unlogged_approval,
    "10-listed-as-revoked_fail": listed_as_revoked,
    "10-list-is-stale_fail": stale_list,
    "10-list-of-another-tenant_fail": list_of_another_tenant,
    "10-list-signed-by-the-log_fail": list_signed_by_log,
    "11-embedding-of-other-bytes_fail": another_embedding,
    "11-embedding-cut-short_fail": cut_embedding,
}


def main() -> None:
    differing = []
    for name, make in CASES.items():
        for file, content in make().files().items():
            path = FOLDER / name / file
            if "--check" in sys.argv:
                differing += [f"{name}/{file}"] if not path.exists() or path.read_bytes() != content else []
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    if differing:
        sys.exit(f"these differ: {', '.join(differing)}")


if __name__ == "__main__":
    main()
