"""POST /v1/concepts."""

from __future__ import annotations

from fastapi import APIRouter

from registry.auth import CallerDep
from registry.concepts import service
from registry.runtime import RuntimeDep
from sdk.spec.api import ConceptView, NewConcept

router = APIRouter(prefix="/v1/concepts", tags=["concepts"])


@router.post("", status_code=201)
def create_concept(new: NewConcept, runtime: RuntimeDep, caller: CallerDep) -> ConceptView:
    """Create a concept, owned by the caller."""
    with runtime.transaction(caller.tenant) as session:
        return service.create(session, runtime, caller, new).view(approved_number=None)
