"""Reviews, revocations, break-glass, versions with their proofs, and /v1/resolve.

A refusal by policy is committed before it is answered: its log entry stays.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from registry.approvals import break_glass, query, service
from registry.auth import CallerDep
from registry.paging import PageDep
from registry.runtime import RuntimeDep, require_past
from registry.versions import service as versions
from registry.versions.path import VERSION, VersionPathDep
from sdk.errors import ServiceError
from sdk.policy.engine import require_permit
from sdk.spec.api import VersionList, VersionView
from sdk.spec.break_glass import BreakGlassPage, BreakGlassView
from sdk.spec.bundle import VersionBundle
from sdk.spec.envelope import Envelope
from sdk.spec.ids import RecordId, parse_version_ref

router = APIRouter(prefix="/v1", tags=["approvals"])


@router.get(VERSION)
def get_version(
    named: VersionPathDep, runtime: RuntimeDep, caller: CallerDep, terms_at: AwareDatetime | None = None
) -> VersionBundle:
    """One version with all its proofs; with the approvals, consents and licences that it stood under at a past moment, if one is given."""
    moment = runtime.clock() if terms_at is None else terms_at
    require_past(runtime, moment)
    with runtime.transaction(caller.tenant) as session:
        version = versions.load(session, caller.tenant, named.concept, named.number)
        return query.bundle(session, runtime, version, moment)


@router.get("/resolve")
def resolve(ref: Annotated[str, Query(max_length=300)], runtime: RuntimeDep, caller: CallerDep) -> VersionBundle:
    """The version that a reference means, with all its proofs."""
    with runtime.transaction(caller.tenant) as session:
        version = versions.resolve(session, caller.tenant, parse_version_ref(ref))
        return query.bundle(session, runtime, version, runtime.clock())


@router.post(f"{VERSION}/reviews", status_code=201)
def review(named: VersionPathDep, envelope: Envelope, runtime: RuntimeDep, caller: CallerDep) -> VersionView:
    """Record a signed approval or rejection."""
    with runtime.transaction(caller.tenant) as session:
        outcome = service.review(session, runtime, caller, named.concept, named.number, envelope)
    return _answer(outcome)


@router.post(f"{VERSION}/revocation", status_code=201)
def revoke(named: VersionPathDep, envelope: Envelope, runtime: RuntimeDep, caller: CallerDep) -> VersionView:
    """Record a signed revocation."""
    with runtime.transaction(caller.tenant) as session:
        outcome = service.revoke(session, runtime, caller, named.concept, named.number, envelope)
    return _answer(outcome)


@router.post(f"{VERSION}/break-glass", status_code=201)
def open_break_glass(
    named: VersionPathDep, envelope: Envelope, runtime: RuntimeDep, caller: CallerDep
) -> BreakGlassView:
    """Open a version for a while before its approval, by a statement that two people signed."""
    with runtime.transaction(caller.tenant) as session:
        opened = break_glass.open_version(session, runtime, caller, named.concept, named.number, envelope)
    if opened.refusal:
        require_permit(opened.refusal)
    if opened.view is None:
        raise ServiceError("a permitted break-glass left nothing to show")
    return opened.view


@router.get("/break-glasses")
def list_break_glasses(runtime: RuntimeDep, caller: CallerDep, page: PageDep) -> BreakGlassPage:
    """Every version that was opened before its approval, by whom, why and until when, oldest first."""
    with runtime.transaction(caller.tenant) as session:
        return break_glass.page(session, runtime, caller, page)


@router.post("/consents/{consent}/reinstatement", status_code=201)
def reinstate(consent: RecordId, runtime: RuntimeDep, caller: CallerDep) -> VersionList:
    """Approve again the versions that were suspended until this consent was confirmed anew."""
    with runtime.transaction(caller.tenant) as session:
        outcomes = service.reinstate(session, runtime, caller, consent)
    return VersionList(versions=tuple(_answer(outcome) for outcome in outcomes))


def _answer(outcome: service.Outcome) -> VersionView:
    if outcome.decision:
        require_permit(outcome.decision)
    if outcome.view is None:
        raise ServiceError("a permitted review left no version to show")
    return outcome.view
