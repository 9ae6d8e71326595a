"""Images of a result, put where they are found again: by digest, watermark and perceptual fingerprint."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from registry.generations.tables import GeneratedImageRow, GenerationRow
from sdk.spec.api import GenerationResult

_KEEP: Final = text("""
    INSERT INTO image_fingerprints (generation_id, position, bits, tenant)
    SELECT :generation, position, CAST(bits AS bit(256)), :tenant
      FROM unnest(CAST(:positions AS integer[]), CAST(:bits AS text[])) AS held (position, bits)
""")


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
    held = [
        (position, fingerprint.bits)
        for position, image in enumerate(result.images)
        for fingerprint in dict.fromkeys(image.fingerprints or ())
    ]
    positions, bits = [position for position, _ in held], [each for _, each in held]
    session.execute(_KEEP, {"generation": row.id, "positions": positions, "bits": bits, "tenant": row.tenant})
