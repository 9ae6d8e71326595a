"""Versions that must not verify at steps 1 to 6: trust root, checkpoints, manifest, attestation, submission, terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.governed import (
    EMBEDDING,
    NOW,
    World,
    consent_record,
    fixed_signer,
    make_manifest,
    use_terms,
)
from support.memory_log import MemoryLog
from vectors.cases.case import Case, approved, key_revoked_before

from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId
from sdk.spec.manifest import EmbeddingFacts, encode_manifest


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


def stated(why: str, error: str, words: str, **options: Any) -> Case:
    return Case(why=why, world=approved(stated=options), error=error, words=words)


def statement_missing() -> Case:
    return Case(
        why="The entry of the submission names the registry's statement, which does not come with the version.",
        world=approved(stated={}),
        error="verification.log_proof",
        words="it is not shown",
        changes={"submission_statement": None},
    )


def statement_of_another_submission() -> Case:
    world = approved(stated={})
    return Case(
        why="The registry signed another statement about the submission than the log's entry names.",
        world=world,
        error="verification.log_proof",
        words="is not the one that entry 1 of the log names",
        changes={"submission_statement": world.state(risk_class="another")},
    )


def erased_consent() -> Case:
    world = approved()
    gone = tuple(consent.id for consent in world.consents)
    return Case(
        why="The person was erased: the registry can show the consent no more, and says which it was.",
        world=world,
        error="resource.erased",
        words="was erased with the person it was of",
        changes={"consents": (), "erased": gone},
    )


CASES: dict[str, Callable[[], Case]] = {
    "00-genuine": lambda: Case(why="Nothing is wrong with it.", world=approved(), artefact=EMBEDDING),
    "00-not-ascii": non_ascii,
    "00-submission-stated": lambda: stated("The registry stated the submission, and all else holds.", "", ""),
    "05-statement-missing_fail": statement_missing,
    "05-statement-of-another-submission_fail": statement_of_another_submission,
    "05-statement-signed-by-the-log_fail": lambda: stated(
        "The log's key signed the statement of the submission; it is trusted for other things.",
        "verification.signature",
        "decision",
        signer="log",
    ),
    "05-statement-about-another-manifest_fail": lambda: stated(
        "The statement of the submission is about another manifest.",
        "verification.log_proof",
        "is not about that entry's act",
        about=Digest.of(b"another manifest"),
    ),
    "05-statement-of-another-owner_fail": lambda: stated(
        "The statement of the submission names another owner than the log's entry.",
        "verification.log_proof",
        "says something else than its log entry",
        owner=PrincipalId("demo/trainer"),
    ),
    "01-trust-root-expired_fail": expired_trust_root,
    "01-trust-root-rolled-back_fail": rolled_back_trust_root,
    "02-checkpoint-forged_fail": forged_checkpoint,
    "02-checkpoint-of-another-log_fail": another_log,
    "02-log-key-revoked-before_fail": lambda: key_revoked_before(
        "log", 1, "log key", "The log's key was revoked before the log came to the checkpoint's size."
    ),
    "02-two-roots-of-one-size_fail": two_roots,
    "03-another-concept_fail": another_concept,
    "03-another-digest_fail": another_digest,
    "03-manifest-not-canonical_fail": spaced_manifest,
    "04-attestation-changed_fail": changed_attestation,
    "04-attested-another-training_fail": attested_other_training,
    "04-attested-by-a-reviewer_fail": attested_by_reviewer,
    "04-signature-changed_fail": flipped_signature,
    "04-training-key-revoked-before_fail": lambda: key_revoked_before(
        "training-service", 0, "not for entry 1", "The trainer's key was revoked before the submission."
    ),
    "05-owner-is-not-the-logs_fail": lied_about_owner,
    "05-receipt-at-another-index_fail": lambda: submission_receipt(
        "The receipt of the submission names another index.", "does not lead", index=0
    ),
    "05-receipt-cut-short_fail": cut_inclusion,
    "05-submission-not-in-the-log_fail": broken_inclusion,
    "06-consent-widened_fail": widened_consent,
    "06-consent-erased_fail": erased_consent,
    "06-licence-missing_fail": missing_licence,
}
