"""Submissions and lists of versions, concepts with their approved version, aliases, what stood at a moment, and the
withdrawal of a consent.

Concepts and withdrawals are here, not in their own slices, because these answers and acts need to know versions.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from registry.auth import AnyCallerDep, CallerDep
from registry.concepts import service as concepts
from registry.log.proofs import receipt, receipts
from registry.paging import PageDep
from registry.runtime import RuntimeDep, require_past
from registry.versions import history, service
from registry.versions.aliases import set_aliases
from registry.versions.moment import approved_numbers, version_at
from registry.versions.path import VERSION, VersionPathDep
from registry.versions.preview import preview
from registry.versions.submission import submit
from registry.versions.withdrawal import answer_consent, report_life_event, withdraw_consent
from sdk.errors import NotFound
from sdk.spec.api import (
    AliasChanges,
    AliasesSet,
    AliasList,
    ConceptList,
    ConceptView,
    Moment,
    RecordAccepted,
    VersionAt,
    VersionList,
    VersionSubmission,
    VersionView,
    Withdrawal,
)
from sdk.spec.canonical import encode_canonical
from sdk.spec.consent_events import ConsentAnswer, LifeEventRecorded, LifeEventReport
from sdk.spec.digest import Digest
from sdk.spec.ids import AliasName, ConceptId, RecordId, parse_version_ref

router = APIRouter(prefix="/v1", tags=["versions"])


@router.get("/concepts")
def list_concepts(runtime: RuntimeDep, caller: CallerDep, page: PageDep, as_of: Moment | None = None) -> ConceptList:
    """The concepts of the caller's tenant, now or as they stood at a moment."""
    with runtime.transaction(caller.tenant) as session:
        if as_of:
            require_past(runtime, as_of)
        found, cursor = concepts.page(session, caller.tenant, page, created_by=as_of)
        if as_of:
            approved = approved_numbers(session, caller.tenant, as_of)
            views = tuple(concept.view(approved.get(concept.id)) for concept in found)
        else:
            views = tuple(service.concept_view(session, runtime, concept) for concept in found)
        return ConceptList(concepts=views, next_cursor=cursor)


@router.get("/concepts/{tenant}/{name}")
def get_concept(
    tenant: str, name: str, runtime: RuntimeDep, caller: CallerDep, as_of: Moment | None = None
) -> ConceptView:
    """One concept, now or as it stood at a moment."""
    with runtime.transaction(caller.tenant) as session:
        concept = concepts.load(session, caller.tenant, ConceptId(f"{tenant}/{name}"))
        if as_of:
            require_past(runtime, as_of)
            if concept.created_at > as_of:
                raise NotFound(f"there was no concept {concept.id} yet at {as_of.isoformat()}")
            return concept.view(approved_numbers(session, caller.tenant, as_of, concept.id).get(concept.id))
        return service.concept_view(session, runtime, concept)


@router.post("/concepts/{tenant}/{name}/versions", status_code=201)
def submit_version(
    tenant: str, name: str, submission: VersionSubmission, runtime: RuntimeDep, caller: CallerDep
) -> VersionView:
    """Submit a version; the same manifest again gives the same version."""
    with runtime.transaction(caller.tenant) as session:
        version = submit(session, runtime, caller, ConceptId(f"{tenant}/{name}"), submission)
        return version.view(service.terms_of(session, version, runtime.clock()))


@router.get("/concepts/{tenant}/{name}/versions")
def list_versions(tenant: str, name: str, runtime: RuntimeDep, caller: CallerDep, page: PageDep) -> VersionList:
    """The versions of a concept, oldest first."""
    with runtime.transaction(caller.tenant) as session:
        concept = concepts.load(session, caller.tenant, ConceptId(f"{tenant}/{name}"))
        views, cursor = service.views_of(session, runtime, concept, page)
        return VersionList(versions=views, next_cursor=cursor)


@router.get(f"{VERSION}/files/{{digest}}", response_class=Response)
def get_file(named: VersionPathDep, digest: Digest, runtime: RuntimeDep, caller: CallerDep) -> Response:
    """A mask, sample, training picture or report of a version, for whoever reviews it; an embedding is none of these."""
    with runtime.transaction(caller.tenant) as session:
        version = service.load(session, caller.tenant, named.concept, named.number)
        _, found = preview(session, runtime, caller, version, digest)
    # A file may be anything: a browser must neither guess its type nor show it as a page of ours.
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
        "Cache-Control": "no-store",
    }
    return Response(found.open(runtime.blobs), media_type="application/octet-stream", headers=headers)


@router.get("/history")
def get_history(
    ref: Annotated[str, Query(max_length=300)], at: Moment, runtime: RuntimeDep, caller: CallerDep
) -> VersionAt:
    """What a reference meant at a moment, and where that version stood then."""
    with runtime.transaction(caller.tenant) as session:
        return version_at(session, runtime, caller.tenant, parse_version_ref(ref), at)


@router.post("/aliases", status_code=201)
def post_aliases(changes: AliasChanges, runtime: RuntimeDep, caller: CallerDep) -> AliasesSet:
    """Set aliases: all of the changes, or none."""
    with runtime.transaction(caller.tenant) as session:
        aliases = set_aliases(session, runtime, caller, changes)
    with runtime.transaction(caller.tenant) as session:
        proofs = receipts(session, runtime, [view.log_index for view in aliases])
    return AliasesSet(aliases=aliases, receipts=proofs)


@router.get("/aliases")
def list_aliases(
    runtime: RuntimeDep,
    caller: CallerDep,
    page: PageDep,
    concept: ConceptId | None = None,
    as_of: Moment | None = None,
) -> AliasList:
    """What aliases name now, or named at a moment."""
    at = as_of or runtime.clock()
    require_past(runtime, at)
    with runtime.transaction(caller.tenant) as session:
        aliases, cursor = history.aliases_at(session, caller.tenant, at, concept, page)
        return AliasList(aliases=tuple(aliases), next_cursor=cursor)


@router.get("/concepts/{tenant}/{name}/aliases/{alias}")
def get_alias(
    tenant: str, name: str, alias: AliasName, runtime: RuntimeDep, caller: CallerDep, page: PageDep
) -> AliasList:
    """Everything that an alias ever named, oldest first."""
    with runtime.transaction(caller.tenant) as session:
        concept = concepts.load(session, caller.tenant, ConceptId(f"{tenant}/{name}"))
        meanings, cursor = history.meanings_of(session, concept.id, alias, page)
    if not meanings and not page.cursor:
        raise NotFound(f"{concept.id} never had an alias {alias}")
    return AliasList(aliases=tuple(meanings), next_cursor=cursor)


@router.post("/consents/{consent}/withdrawal", status_code=201)
def withdraw(consent: RecordId, withdrawal: Withdrawal, runtime: RuntimeDep, caller: AnyCallerDep) -> RecordAccepted:
    """Withdraw a consent for good; every approved version that rests on it is suspended."""
    with runtime.transaction(caller.tenant) as session:
        withdrawn = withdraw_consent(session, runtime, caller, consent, withdrawal.reason)
    return RecordAccepted(id=withdrawn.id, digest=withdrawn.digest, receipt=receipt(runtime, withdrawn.log_index))


@router.post("/consents/{consent}/answers", status_code=201)
def answer(consent: RecordId, given: ConsentAnswer, runtime: RuntimeDep, caller: AnyCallerDep) -> RecordAccepted:
    """Confirm a consent anew, or refuse to; what was suspended is reinstated by review alone."""
    with runtime.transaction(caller.tenant) as session:
        answered = answer_consent(session, runtime, caller, consent, given)
    return RecordAccepted(id=answered.id, digest=answered.digest, receipt=receipt(runtime, answered.log_index))


@router.post("/subjects/life-events", status_code=201)
def post_life_event(report: LifeEventReport, runtime: RuntimeDep, caller: CallerDep) -> LifeEventRecorded:
    """Something happened to a person: every consent about them falls due, and what rests on it is suspended."""
    with runtime.transaction(caller.tenant) as session:
        consents, suspended, released = report_life_event(session, runtime, caller, report)
    with runtime.transaction(caller.tenant) as session:
        proofs = receipts(session, runtime, [held.log_index for held in consents])
    return LifeEventRecorded(
        digest=Digest.of(encode_canonical(report)),
        consents=tuple(held.id for held in consents),
        suspended=suspended,
        released=released,
        receipts=proofs,
    )
