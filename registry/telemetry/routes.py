"""GET /metrics. For machines that watch, so it is in no OpenAPI document and needs no credential, as is usual.

It tells nothing of any tenant. Who must not see how busy the registry is, is kept out by the proxy before it.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from registry.telemetry.metrics import CONTENT_TYPE, Metrics

router = APIRouter()


@router.get("/metrics", include_in_schema=False)
def get_metrics(request: Request) -> Response:
    """The numbers of this process and of the database."""
    metrics: Metrics = request.app.state.metrics
    return Response(metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})
