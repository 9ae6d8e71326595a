"""The certificate of an erasure: what was destroyed, and what is kept and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from registry.auth import Caller
from registry.consent.erasing import Erasable
from registry.erasure.finding import Found
from registry.runtime import Runtime
from registry.versions.version import Version
from sdk.signing.signer import sign_envelope
from sdk.spec.envelope import encode_envelope
from sdk.spec.erasure import ErasurePredicate, Kept
from sdk.spec.ids import RecordId
from sdk.spec.statements import encode_statement, terms_digest

ALWAYS_KEPT: Final = (
    Kept(
        what="the entries of the log about these acts",
        why="nobody could show any more that no act was hidden; they hold ids and digests, and no person",
    ),
    Kept(
        what="digests of the consent records, their dates, who recorded them, and the pseudonym",
        why="they prove that each consent was there and was withdrawn; without the destroyed keys no record is read from them",
    ),
    Kept(
        what="which principals were the person behind the pseudonym, or spoke for them, in which capacity, and when",
        why="it shows by whose word things were done; nobody is bound any more, and the documents are among those destroyed or kept",
    ),
    Kept(
        what="manifests, training attestations, reviews, withdrawals and their reasons, names of concepts",
        why="they are the evidence of who decided what; they name files by digest, and reviewers by their own words",
    ),
    Kept(
        what="pictures, files and captions of training jobs under these consents, on the training service's disk",
        why="it destroys them within a minute, once it reads this certificate, and has that logged (training:erased)",
    ),
    Kept(
        what="files that a training service brought for a version that was not made",
        why="nothing tells whom they show; they are destroyed within the days that the registry keeps such uploads (upload_days)",
    ),
    Kept(
        what="decisions about generations, digests of the generated images and of their scenes, fingerprints",
        why="they tell where an image comes from that is found later; the registry never had the prompts or the images",
    ),
)


def sign_certificate(
    runtime: Runtime,
    caller: Caller,
    identity: RecordId,
    records: Mapping[RecordId, Erasable],
    resting: Sequence[Version],
    found: Found,
    now: datetime,
) -> bytes:
    """What was erased and what is kept, signed: an envelope's bytes."""
    predicate = ErasurePredicate(
        erasure=identity,
        erased_by=caller.principal,
        consents=tuple(records),
        versions=tuple(version.name for version in resting),
        documents=tuple(found.documents),
        keys=len(found.keys),
        kept=(*ALWAYS_KEPT, *found.kept),
        erased_at=now,
    )
    about = terms_digest(tuple(erasable.digest for erasable in records.values()))
    statement = encode_statement(predicate, subjects={str(identity): about})
    return encode_envelope(sign_envelope(statement, runtime.log_signer))
