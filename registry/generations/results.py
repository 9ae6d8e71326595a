"""What was generated: the application's signed statement, verified against its intent, and put on record. A result is final."""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.generations.images import note_images
from registry.generations.records import hold, intent_of
from registry.generations.tables import GenerationResultRow, GenerationRow
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions.statements import read_statement
from sdk.errors import Conflict, InputError, VerificationError
from sdk.signing.trust import TrustRole
from sdk.spec.api import GenerationResult
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import AuditEventType
from sdk.spec.statements import GenerationPredicate


def record_result(
    session: Session, runtime: Runtime, caller: Caller, generation: RecordId, result: GenerationResult
) -> int:
    """Record what was generated and return the entry's place in the log; the same result again changes nothing.

    Raises:
        NotFound: the caller was not permitted such a generation.
        Conflict: another result is recorded.
        SignatureInvalid, VerificationError, InputError: the statement or the images are not as they must be.
    """
    row = hold(session, caller, generation)
    content = encode_canonical(result)
    if earlier := session.get(GenerationResultRow, generation):
        if earlier.digest != Digest.of(content):
            raise Conflict(f"{generation} has a result already, and it is another one; a result is final")
        return earlier.log_index
    _verify_result(runtime, caller, row, result)
    index = log.append(
        session,
        runtime,
        event=AuditEventType.GENERATION_RECORDED,
        actor=caller.principal,
        subject=generation,
        evidence={"statement": result.statement.digest, "result": Digest.of(content)},
        facts={"images": str(len(result.images))},
    )
    session.add(
        GenerationResultRow(
            generation_id=generation,
            content=content,
            digest=Digest.of(content),
            recorded_at=log.time_of(session, index),  # the very moment of the entry: accounts are kept by it
            log_index=index,
        )
    )
    session.flush()
    note_images(session, row, result)
    return index


def _verify_result(runtime: Runtime, caller: Caller, row: GenerationRow, result: GenerationResult) -> None:
    intent = intent_of(row)
    statement, predicate = read_statement(
        result.statement,
        GenerationPredicate,
        trust=runtime.trust_root,
        role=TrustRole.GENERATION,
        signer=caller.principal,
    )
    if (predicate.generation, predicate.application) != (row.id, caller.principal):
        raise VerificationError(
            f"the statement is about {predicate.generation} by {predicate.application}, "
            f"but was sent about {row.id} by {caller.principal}"
        )
    if predicate.manifests != intent.manifests:
        raise VerificationError(f"the statement about {row.id} names other versions than its intent")
    images = [image.digest for image in result.images]
    if sorted(subject.content for subject in statement.subject) != sorted(images):
        raise VerificationError(f"the statement about {row.id} is not about exactly the images listed with it")
    if len(images) > intent.count:
        raise InputError(f"{row.id} was permitted {intent.count} images, but {len(images)} are listed")
