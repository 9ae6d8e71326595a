"""Renewals: other terms for a version. Asked for, read, reviewed.

A refusal by policy is committed before it is answered: its log entry stays.
"""

from __future__ import annotations

from fastapi import APIRouter

from registry.approvals import query
from registry.approvals import renewal as verdicts
from registry.auth import CallerDep
from registry.paging import PageDep
from registry.runtime import RuntimeDep
from registry.versions import renewal, renewal_reading
from registry.versions import service as versions
from registry.versions.path import VERSION, VersionPathDep
from sdk.errors import ServiceError
from sdk.policy.engine import require_permit
from sdk.spec.bundle import VersionBundle
from sdk.spec.envelope import Envelope
from sdk.spec.renewal import RenewalPage, RenewalRequest, RenewalView

router = APIRouter(prefix="/v1", tags=["renewals"])


@router.post(f"{VERSION}/renewals", status_code=201)
def request_renewal(
    named: VersionPathDep, request: RenewalRequest, runtime: RuntimeDep, caller: CallerDep
) -> RenewalView:
    """Put a version up for review under other consents and licences; it is not trained again."""
    with runtime.transaction(caller.tenant) as session:
        version = versions.load(session, caller.tenant, named.concept, named.number)
        row = renewal.ask(session, runtime, caller, version, request)
        return renewal_reading.view_of(session, runtime, version, row)


@router.get(f"{VERSION}/renewals")
def list_renewals(named: VersionPathDep, runtime: RuntimeDep, caller: CallerDep, page: PageDep) -> RenewalPage:
    """The renewals of a version, oldest first."""
    caller.require(*renewal_reading.READERS)
    with runtime.transaction(caller.tenant) as session:
        version = versions.load(session, caller.tenant, named.concept, named.number)
        return renewal_reading.page(session, runtime, version, page)


@router.get(f"{VERSION}/renewal")
def get_renewal(named: VersionPathDep, runtime: RuntimeDep, caller: CallerDep) -> VersionBundle:
    """A version with all its proofs, under the terms that wait for reviewers: what an approval of them is about."""
    caller.require(*renewal_reading.READERS)
    with runtime.transaction(caller.tenant) as session:
        version = versions.load(session, caller.tenant, named.concept, named.number)
        return query.proposed(session, runtime, version)


@router.post(f"{VERSION}/renewal/reviews", status_code=201)
def review_renewal(named: VersionPathDep, envelope: Envelope, runtime: RuntimeDep, caller: CallerDep) -> RenewalView:
    """Record a signed approval or rejection of the terms that wait."""
    with runtime.transaction(caller.tenant) as session:
        outcome = verdicts.review(session, runtime, caller, named.concept, named.number, envelope)
    if outcome.refusal:
        require_permit(outcome.refusal)
    if outcome.view is None:
        raise ServiceError("a permitted review left no renewal to show")
    return outcome.view


@router.get("/renewals")
def list_waiting_renewals(runtime: RuntimeDep, caller: CallerDep, page: PageDep) -> RenewalPage:
    """The renewals that wait for reviewers, oldest first."""
    caller.require(*renewal_reading.READERS)
    with runtime.transaction(caller.tenant) as session:
        return renewal_reading.waiting(session, runtime, caller.tenant, page)
