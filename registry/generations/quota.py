"""How many images were granted under a licence. Counted once for each permit, when it is given; never given back.

Rules:
1. What is counted is the grant, not the result: whoever was handed the artefacts may have used them.
2. Licences that limit are claimed before they are counted, until the transaction ends: permits under one licence come
   one after the other. They are claimed in the order of their ids, after consents and versions, before the log.
3. A picture that rests twice on a licence, by two of its concepts, counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import evidence
from registry.consent import service as consent
from registry.generations.tables import LicenceUseRow
from registry.versions.version import Terms
from sdk.spec.api import LicenceCount
from sdk.spec.ids import RecordId


def granted_so_far(session: Session, terms: Iterable[Terms]) -> Mapping[RecordId, int]:
    """Claim every licence in `terms` that limits (rule 2), and return the images granted under each."""
    limited = sorted({held.id for each in terms for held in each.licences if held.grant.max_images})
    if not limited:
        return {}
    consent.claim_licences(session, limited)
    counted = select(LicenceUseRow.licence_id, func.sum(LicenceUseRow.images)).group_by(LicenceUseRow.licence_id)
    rows = session.execute(counted.where(LicenceUseRow.licence_id.in_(limited))).all()
    return dict.fromkeys(limited, 0) | {licence: int(images) for licence, images in rows}


def images_under(session: Session, caller: Caller, licence: RecordId) -> LicenceCount:
    """The images granted under a licence of the caller's tenant so far. Raises `NotFound`."""
    (held,) = evidence.licences_of(session, caller.tenant, [licence])
    counted = select(func.coalesce(func.sum(LicenceUseRow.images), 0)).where(LicenceUseRow.licence_id == licence)
    return LicenceCount(licence=licence, granted=session.scalar(counted) or 0, limit=held.grant.max_images)


def count(session: Session, generation: RecordId, licences: Iterable[RecordId], images: int) -> None:
    """Count a permit of `images` under each of `licences`; all of them are claimed."""
    session.add_all(LicenceUseRow(generation_id=generation, licence_id=licence, images=images) for licence in licences)
    session.flush()
