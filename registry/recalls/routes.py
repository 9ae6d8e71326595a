"""Notices to applications, their acknowledgements, and the blast-radius report of a version."""

from __future__ import annotations

from fastapi import APIRouter

from registry.auth import CallerDep
from registry.log.proofs import receipt
from registry.paging import PageDep
from registry.recalls import service
from registry.runtime import RuntimeDep
from registry.versions import service as versions
from registry.versions.path import VERSION, VersionPathDep
from sdk.spec.envelope import Envelope
from sdk.spec.log_entry import LogReceipt
from sdk.spec.recall import NoticeAcknowledgement, NoticeList

router = APIRouter(prefix="/v1", tags=["recalls"])


@router.get(f"{VERSION}/blast-radius")
def get_blast_radius(named: VersionPathDep, runtime: RuntimeDep, caller: CallerDep) -> Envelope:
    """What the end of a version affects, or would affect: a statement signed with the status key."""
    with runtime.transaction(caller.tenant) as session:
        version = versions.load(session, caller.tenant, named.concept, named.number)
        return service.blast_radius(session, runtime, caller, version)


@router.get("/notices")
def list_notices(runtime: RuntimeDep, caller: CallerDep, page: PageDep) -> NoticeList:
    """The versions that the calling application was granted and that have ended; to reviewers and auditors, break-glass in force."""
    with runtime.transaction(caller.tenant) as session:
        return service.notices(session, runtime, caller, page)


@router.post("/notices/acknowledgements", status_code=201)
def acknowledge_notice(answer: NoticeAcknowledgement, runtime: RuntimeDep, caller: CallerDep) -> LogReceipt:
    """Record that the calling application has stopped using a version."""
    with runtime.transaction(caller.tenant) as session:
        index = service.acknowledge(session, runtime, caller, answer)
    return receipt(runtime, index)
