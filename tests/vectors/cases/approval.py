"""Versions that must not verify at steps 7 to 11: status, approvals, their entries, the status list, the artefact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from support.governed import (
    EMBEDDING,
    NOW,
    World,
    make_manifest,
)
from vectors.cases.case import Case, approved, key_revoked_before, revoke

from sdk.spec.bundle import ApprovalEvidence, VersionStatus
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType
from sdk.spec.manifest import ConceptKind


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
    "07-revoked_fail": revoked,
    "08-approval-backdated_fail": backdated_approval,
    "08-approved-by-its-owner_fail": approved_by_owner,
    "08-approved-under-other-terms_fail": approved_other_terms,
    "08-nobody-approved_fail": nobody_approved,
    "08-person-with-one-reviewer_fail": person_with_one_reviewer,
    "08-reviewer-key-revoked-after": lambda: Case(
        why="The reviewer's key was revoked after the entry of the approval, which goes on counting.",
        world=revoke(approved(), "reviewer", 2),
    ),
    "08-reviewer-key-revoked-before_fail": lambda: key_revoked_before(
        "reviewer", 1, "not for entry 2", "The reviewer's key was revoked before the entry of the approval."
    ),
    "09-approval-not-in-the-log_fail": unlogged_approval,
    "10-list-from-the-future_fail": lambda: status_list(
        "The status list begins later than clocks may differ.", "set this clock", at=NOW + timedelta(seconds=11)
    ),
    "10-list-is-stale_fail": stale_list,
    "10-list-of-another-registry_fail": lambda: status_list(
        "The status list is another registry's, signed by the same key.", "needs the status list", origin="log.test/x"
    ),
    "10-list-of-another-tenant_fail": list_of_another_tenant,
    "10-list-older-than-seen_fail": older_list_than_seen,
    "10-list-signed-by-the-log_fail": list_signed_by_log,
    "10-listed-as-revoked_fail": listed_as_revoked,
    "11-embedding-cut-short_fail": cut_embedding,
    "11-embedding-of-other-bytes_fail": another_embedding,
}
