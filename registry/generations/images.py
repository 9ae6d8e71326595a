"""Images of a result, put where they are found again: by digest, watermark and perceptual fingerprint."""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.generations.tables import GeneratedImageRow, GenerationRow, ImageFingerprintRow
from sdk.spec.api import GenerationResult


def note_images(session: Session, row: GenerationRow, result: GenerationResult) -> None:
    """Make the images of a result findable."""
    for position, image in enumerate(result.images):
        session.add(
            GeneratedImageRow(
                generation_id=row.id,
                position=position,
                tenant=row.tenant,
                digest=image.digest,
                watermark=image.watermark,
            )
        )
    session.flush()
    for position, image in enumerate(result.images):
        for held in dict.fromkeys(image.fingerprints or ()):
            session.add(ImageFingerprintRow(generation_id=row.id, position=position, bits=held.bits, tenant=row.tenant))
    session.flush()
