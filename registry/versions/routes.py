"""Submissions and lists of versions, concepts with their approved version, and the withdrawal of a consent.

Concepts and withdrawals are here, not in their own slices, because these answers and acts need to know versions.
"""

from __future__ import annotations

from fastapi import APIRouter

from registry.auth import CallerDep
from registry.concepts import service as concepts
from registry.log.service import receipt
from registry.runtime import RuntimeDep
from registry.versions import service
from registry.versions.submission import submit
from registry.versions.withdrawal import withdraw_consent
from sdk.spec.api import (
    ConceptList,
    ConceptView,
    RecordAccepted,
    VersionList,
    VersionSubmission,
    VersionView,
    Withdrawal,
)
from sdk.spec.ids import ConceptId, RecordId

router = APIRouter(prefix="/v1", tags=["versions"])


@router.get("/concepts")
def list_concepts(runtime: RuntimeDep, caller: CallerDep) -> ConceptList:
    """The concepts of the caller's tenant."""
    with runtime.transaction() as session:
        found = concepts.all_of(session, caller.tenant)
        return ConceptList(concepts=tuple(service.concept_view(session, runtime, concept) for concept in found))


@router.get("/concepts/{tenant}/{name}")
def get_concept(tenant: str, name: str, runtime: RuntimeDep, caller: CallerDep) -> ConceptView:
    """One concept."""
    with runtime.transaction() as session:
        concept = concepts.load(session, caller.tenant, ConceptId(f"{tenant}/{name}"))
        return service.concept_view(session, runtime, concept)


@router.post("/concepts/{tenant}/{name}/versions", status_code=201)
def submit_version(
    tenant: str, name: str, submission: VersionSubmission, runtime: RuntimeDep, caller: CallerDep
) -> VersionView:
    """Submit a version; the same manifest again gives the same version."""
    with runtime.transaction() as session:
        version = submit(session, runtime, caller, ConceptId(f"{tenant}/{name}"), submission)
        return version.view(service.terms_of(session, version, runtime.clock()))


@router.get("/concepts/{tenant}/{name}/versions")
def list_versions(tenant: str, name: str, runtime: RuntimeDep, caller: CallerDep) -> VersionList:
    """The versions of a concept, oldest first."""
    with runtime.transaction() as session:
        concept = concepts.load(session, caller.tenant, ConceptId(f"{tenant}/{name}"))
        return VersionList(versions=service.views_of(session, runtime, concept))


@router.post("/consents/{consent}/withdrawal", status_code=201)
def withdraw(consent: RecordId, withdrawal: Withdrawal, runtime: RuntimeDep, caller: CallerDep) -> RecordAccepted:
    """Withdraw a consent for good; every approved version that rests on it is suspended."""
    with runtime.transaction() as session:
        withdrawn = withdraw_consent(session, runtime, caller, consent, withdrawal.reason)
    return RecordAccepted(id=withdrawn.id, digest=withdrawn.digest, receipt=receipt(runtime, withdrawn.log_index))
