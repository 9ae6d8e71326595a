"""Versions: loading, views, what policies may know of them, and moving them through their lifecycle.

Rules:
1. A version of another tenant is not found.
2. Whoever decides on versions holds their consents, then the versions (`hold`): the facts then stay true until the
   decision is committed. Whoever moves a version holds its consents only; `move` sees to the rest.
3. `move` changes a state only from the very state that was loaded; whoever comes second gets a Conflict.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, ColumnElement, Select, String, any_, bindparam, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from registry.concepts.service import Concept
from registry.consent import evidence
from registry.paging import page_of
from registry.runtime import Runtime
from registry.versions import history
from registry.versions.lifecycle import VersionEvent, advance
from registry.versions.renewal_tables import RenewedTermsRow
from registry.versions.tables import BreakGlassRow, ReviewRequestRow, VersionRow, VersionStateRow
from registry.versions.version import BreakGlass, Terms, Version
from sdk.errors import Conflict, NotApproved, NotFound
from sdk.spec.api import ConceptView, VersionView
from sdk.spec.bundle import VersionStatus
from sdk.spec.digest import Digest
from sdk.spec.envelope import parse_envelope
from sdk.spec.ids import ConceptId, PrincipalId, TenantName, VersionRef
from sdk.spec.paging import PageQuery

HELD: Final = "hold_versions(CAST(:manifests AS varchar[]))"
"""SQL that holds the versions with these manifests and their consents, and gives the consents: for `load_held`."""
_HOLD: Final = text(f"SELECT {HELD}")
ONE_APPROVED = "uq_version_states_one_approved"

_Versions = Select[VersionRow, VersionStateRow, PrincipalId | None, BreakGlassRow | None, bool]


def load(session: Session, tenant: TenantName, concept: ConceptId, number: int) -> Version:
    """A version by its number. Raises `NotFound`."""
    found = _one(session, _query(tenant).where(VersionRow.concept_id == concept, VersionRow.number == number))
    if found is None:
        raise NotFound(f"{tenant} has no version {concept}@{number}; see the list of its versions")
    return found


def load_by_digest(session: Session, tenant: TenantName, manifest: Digest) -> Version:
    """A version by the digest of its manifest. Raises `NotFound`."""
    found = find_by_digest(session, tenant, manifest)
    if found is None:
        raise NotFound(f"{tenant} has no version with manifest {manifest}")
    return found


def find_by_digest(session: Session, tenant: TenantName, manifest: Digest) -> Version | None:
    """A version by the digest of its manifest, if there is one."""
    return _one(session, _query(tenant).where(VersionRow.manifest_digest == manifest))


def versions_of(session: Session, tenant: TenantName, concept: ConceptId) -> Sequence[Version]:
    """The versions of a concept, oldest first."""
    statement = _query(tenant).where(VersionRow.concept_id == concept).order_by(VersionRow.number)
    return [_version(session, *found) for found in session.execute(statement).all()]


def approved_version(session: Session, tenant: TenantName, concept: ConceptId) -> Version | None:
    """The approved version of a concept, if there is one; its term may be over."""
    approved = VersionStateRow.status == VersionStatus.APPROVED.value
    return _one(session, _query(tenant).where(VersionRow.concept_id == concept, approved))


def resolve(session: Session, tenant: TenantName, ref: VersionRef) -> Version:
    """The version that `ref` means; without a selector, the approved one.

    Raises:
        NotFound: there is no such version.
        NotApproved: none of the concept's versions is approved.
    """
    if ref.number:
        return load(session, tenant, ref.concept, ref.number)
    if ref.manifest_digest:
        found = load_by_digest(session, tenant, Digest(ref.manifest_digest))
        if found.concept != ref.concept:
            raise NotFound(f"manifest {ref.manifest_digest} is of another concept than {ref.concept}")
        return found
    if ref.alias:
        number = history.named_by(session, tenant, ref.concept, ref.alias)
        if number is None:
            raise NotFound(f"{ref} names no version; set the alias, or give a number, a manifest digest, or nothing")
        return load(session, tenant, ref.concept, number)
    if approved := approved_version(session, tenant, ref.concept):
        return approved
    versions = versions_of(session, tenant, ref.concept)
    if not versions:
        raise NotFound(f"{tenant} has no version of {ref.concept}; train and submit one, or correct the name")
    newest = versions[-1]
    raise NotApproved(
        f"no version of {ref.concept} is approved: its newest, {newest.name}, is {newest.stored_status.value}; "
        "a reviewer must approve a version before it can be used"
    )


def terms_of(session: Session, version: Version, at: datetime) -> Terms:
    """The consents and licences of `version` at the moment `at`; consents that were erased are no more among them."""
    consents, licences = evidence.not_erased(
        session, version.tenant, version.consents_at(at), version.licences_at(at), at
    )
    return Terms(consents=consents, licences=licences, at=at)


def hold(session: Session, versions: Sequence[Version]) -> tuple[Version, ...]:
    """Keep these versions and their consents as they are until the transaction ends; returns them as they are now.

    Raises:
        Conflict: one was renewed at the same moment, so that a consent of it is not held.
    """
    return hold_by_digest(session, versions[0].tenant, [version.digest for version in versions]) if versions else ()


def hold_by_digest(session: Session, tenant: TenantName, manifests: Sequence[Digest]) -> tuple[Version, ...]:
    """`hold` the versions with these manifests, in their order. Raises `NotFound` as well."""
    held = session.scalars(_HOLD, {"manifests": list(manifests)}).one()
    return load_held(session, tenant, manifests, held)


def load_held(
    session: Session, tenant: TenantName, manifests: Sequence[Digest], consents: Collection[str]
) -> tuple[Version, ...]:
    """The versions with these manifests, in their order, which are held with these `consents`. Raises like `hold_by_digest`."""
    rows = session.execute(_BY_DIGESTS, {"of": tenant, "manifests": list(manifests)}).all()
    loaded = [_version(session, *row) for row in rows]
    found = {version.digest: version for version in loaded}
    for manifest in manifests:
        if manifest not in found:
            raise NotFound(f"{tenant} has no version with manifest {manifest}")
        if not found[manifest].every_consent <= set(consents):
            raise Conflict(f"{found[manifest].name} was renewed at the same moment; look again")
    return tuple(found[manifest] for manifest in manifests)


def claim(session: Session, versions: Sequence[Version]) -> tuple[Version, ...]:
    """Let nobody else decide on or move these versions until the transaction ends; returns them as they are now."""
    for concept, number in sorted((version.concept, version.number) for version in versions):
        statement = select(VersionStateRow.status).where(
            VersionStateRow.concept_id == concept, VersionStateRow.number == number
        )
        session.execute(statement.with_for_update(key_share=True)).one()
    return tuple(load(session, version.tenant, version.concept, version.number) for version in versions)


def move(session: Session, runtime: Runtime, version: Version, event: VersionEvent) -> VersionStatus:
    """Advance `version` by `event` in the caller's transaction; the log entry is the caller's to append.

    Raises:
        Conflict: the table has no such transition, or somebody else was first.
    """
    after = advance(version.stored_status, event, version.name)
    counted = 1 if event in (VersionEvent.ENDORSE, VersionEvent.APPROVE) else 0
    statement = (
        update(VersionStateRow)
        .where(
            VersionStateRow.concept_id == version.concept,
            VersionStateRow.number == version.number,
            VersionStateRow.status == version.stored_status.value,
            VersionStateRow.approvals == version.approvals,
        )
        .values(status=after.value, approvals=version.approvals + counted, changed_at=runtime.clock())
        .returning(VersionStateRow.number)
        .execution_options(synchronize_session=False)
    )
    try:
        moved = session.scalar(statement)
    except IntegrityError as exc:
        if ONE_APPROVED not in str(exc.orig):
            raise
        raise Conflict(f"another version of {version.concept} was approved at the same moment; look again") from exc
    if moved is None:
        raise Conflict(f"{version.name} changed at the same moment, so {event.value} did not happen; look again")
    return after


def views_of(
    session: Session, runtime: Runtime, concept: Concept, query: PageQuery | None = None
) -> tuple[tuple[VersionView, ...], str | None]:
    """A page of the versions of a concept as they travel, oldest first."""
    now, tenant = runtime.clock(), concept.id.tenant
    numbers = select(VersionRow.number).where(VersionRow.concept_id == concept.id, VersionRow.tenant == tenant)
    shown, cursor = page_of(session, numbers, query, by=[VersionRow.number], key=lambda number: (number,), kinds=[int])
    wanted = _query(tenant).where(VersionRow.concept_id == concept.id, VersionRow.number.in_(shown))
    found = [_version(session, *held) for held in session.execute(wanted.order_by(VersionRow.number)).all()]
    return tuple(version.view(terms_of(session, version, now)) for version in found), cursor


def concept_view(session: Session, runtime: Runtime, concept: Concept) -> ConceptView:
    """A concept with the number of its approved version."""
    approved = approved_version(session, concept.id.tenant, concept.id)
    if approved and approved.status(terms_of(session, approved, runtime.clock())) is not VersionStatus.APPROVED:
        approved = None
    return concept.view(approved.number if approved else None)


def same_version(
    row: type[VersionStateRow] | type[ReviewRequestRow] | type[BreakGlassRow] | type[RenewedTermsRow],
) -> ColumnElement[bool]:
    """The condition that a row beside a version is of that version."""
    return (row.concept_id == VersionRow.concept_id) & (row.number == VersionRow.number)


_RENEWED: Final = select(RenewedTermsRow.round).where(same_version(RenewedTermsRow)).correlate(VersionRow).exists()


def _query(tenant: TenantName) -> _Versions:
    return _OF_ALL_TENANTS.where(VersionRow.tenant == tenant)


# A state that was loaded before may have moved since: it is read again, never taken from the session.
_OF_ALL_TENANTS: Final[_Versions] = (
    select(VersionRow, VersionStateRow, ReviewRequestRow.requested_by, BreakGlassRow, _RENEWED)
    .join(VersionStateRow, same_version(VersionStateRow))
    .outerjoin(ReviewRequestRow, same_version(ReviewRequestRow))
    .outerjoin(BreakGlassRow, same_version(BreakGlassRow))
    .execution_options(populate_existing=True)
)
_BY_DIGESTS: Final = _OF_ALL_TENANTS.where(
    VersionRow.tenant == bindparam("of"),
    VersionRow.manifest_digest == any_(bindparam("manifests", type_=ARRAY(String))),
)


def _one(session: Session, statement: _Versions) -> Version | None:
    found = session.execute(statement).one_or_none()
    return _version(session, *found) if found else None


def _version(
    session: Session,
    row: VersionRow,
    state: VersionStateRow,
    requested_by: PrincipalId | None,
    glass: BreakGlassRow | None,
    renewed: bool,
) -> Version:
    return Version(
        concept=row.concept_id,
        number=row.number,
        tenant=row.tenant,
        digest=row.manifest_digest,
        content=row.manifest,
        attestation=parse_envelope(row.attestation),
        owner=row.owner,
        trainer_of_record=row.trainer_of_record,
        review_requested_by=requested_by,
        approvals_required=row.approvals_required,
        submitted_by=row.submitted_by,
        submitted_at=row.submitted_at,
        log_index=row.log_index,
        stored_status=VersionStatus(state.status),
        approvals=state.approvals,
        break_glass=_break_glass(glass) if glass else None,
        renewals=history.renewals_of(session, row.concept_id, row.number) if renewed else (),
    )


def _break_glass(row: BreakGlassRow) -> BreakGlass:
    return BreakGlass(terms=row.terms, opened_at=row.opened_at, expires_at=row.expires_at, log_index=row.log_index)
