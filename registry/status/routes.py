"""/v1/status: signed status lists, for everybody. They say less than the log's tiles do, and hide what is asked about."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from registry.runtime import RuntimeDep
from registry.status import service
from sdk.spec.ids import TenantName
from sdk.spec.status_list import MEDIA_TYPE

router = APIRouter(prefix="/v1/status", tags=["status"])


@router.get("/{tenant}/{number}", response_class=Response)
def get_status_list(tenant: TenantName, number: Annotated[int, Path(ge=0, lt=2**31)], runtime: RuntimeDep) -> Response:
    """A W3C Bitstring Status List as a JWT: four bits a version. Half of its life is left at least, and a quarter may be cached."""
    with runtime.transaction(tenant) as session:
        content = service.signed_list(session, runtime, tenant, number)
    headers = {"Cache-Control": f"public, max-age={runtime.settings.status_ttl_seconds // 4}"}
    return Response(content, media_type=MEDIA_TYPE, headers=headers)
