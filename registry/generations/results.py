"""What was generated: the application's signed statement, verified against its intent, and put on record. A result is final."""

from __future__ import annotations

from typing import Final

from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations.records import hold
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions.statements import read_statement
from sdk.errors import Conflict, InputError, VerificationError
from sdk.signing.trust import TrustRole
from sdk.spec.api import GenerationIntent, GenerationResult
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import AuditEventType, LogEntry
from sdk.spec.statements import GenerationPredicate

# The result, and its images where they are found again: by digest, watermark and perceptual fingerprint.
_KEEP: Final = log.appending(
    """result AS (
        INSERT INTO generation_results (generation_id, content, digest, recorded_at, log_index)
        SELECT :generation, :content, :digest, :recorded_at, log_index FROM appended
    )""",
    """images AS (
        INSERT INTO generated_images (generation_id, position, tenant, digest, watermark)
        SELECT :generation, place - 1, :tenant, digest, watermark
          FROM unnest(CAST(:digests AS varchar[]), CAST(:watermarks AS varchar[]))
               WITH ORDINALITY AS image (digest, watermark, place)
    )""",
    """fingerprints AS (
        INSERT INTO image_fingerprints (generation_id, position, bits, tenant)
        SELECT :generation, position, CAST(bits AS bit(256)), :tenant
          FROM unnest(CAST(:positions AS integer[]), CAST(:bits AS text[])) AS held (position, bits)
    )""",
)


def record_result(
    session: Session, runtime: Runtime, caller: Caller, generation: RecordId, result: GenerationResult
) -> int:
    """Record what was generated and return the entry's place in the log; the same result again changes nothing.

    Raises:
        NotFound: the caller was not permitted such a generation.
        Conflict: another result is recorded.
        SignatureInvalid, VerificationError, InputError: the statement or the images are not as they must be.
    """
    permitted = hold(session, caller, generation)
    content = encode_canonical(result)
    if permitted.result:
        digest, index = permitted.result
        if digest != Digest.of(content):
            raise Conflict(f"{generation} has a result already, and it is another one; a result is final")
        return index
    _verify_result(runtime, caller, generation, permitted.intent, result)
    entry = LogEntry(
        event=AuditEventType.GENERATION_RECORDED,
        at=runtime.clock(),
        actor=caller.principal,
        subject=generation,
        evidence={"statement": result.statement.digest, "result": Digest.of(content)},
        facts={"images": str(len(result.images))},
    )
    fingerprints = [
        (position, each.bits)
        for position, image in enumerate(result.images)
        for each in dict.fromkeys(image.fingerprints or ())
    ]
    kept = {
        "generation": generation,
        "content": content,
        "digest": Digest.of(content),
        "recorded_at": entry.at,  # the very moment: accounts are kept by it
        "tenant": caller.tenant,
        "digests": [image.digest for image in result.images],
        "watermarks": [image.watermark for image in result.images],
        "positions": [position for position, _ in fingerprints],
        "bits": [bits for _, bits in fingerprints],
    }
    (index,) = log.append_entries(session, [entry], _KEEP, kept)
    return index


def _verify_result(
    runtime: Runtime, caller: Caller, generation: RecordId, intent: GenerationIntent, result: GenerationResult
) -> None:
    statement, predicate = read_statement(
        result.statement,
        GenerationPredicate,
        trust=runtime.trust_root,
        role=TrustRole.GENERATION,
        signer=caller.principal,
    )
    if (predicate.generation, predicate.application) != (generation, caller.principal):
        raise VerificationError(
            f"the statement is about {predicate.generation} by {predicate.application}, "
            f"but was sent about {generation} by {caller.principal}"
        )
    if predicate.manifests != intent.manifests:
        raise VerificationError(f"the statement about {generation} names other versions than its intent")
    images = [image.digest for image in result.images]
    if sorted(subject.content for subject in statement.subject) != sorted(images):
        raise VerificationError(f"the statement about {generation} is not about exactly the images listed with it")
    if len(images) > intent.count:
        raise InputError(f"{generation} was permitted {intent.count} images, but {len(images)} are listed")
