"""The registry's application: routers, limits, errors. Everything with effects comes in as the `Runtime`.

A route is added in its slice; here is only the list of slices. The console is an application of its own, mounted.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from fastapi import FastAPI, Request, Response
from opentelemetry.trace import TracerProvider

from registry import about, blobs
from registry.approvals import renewal_routes as renewals
from registry.approvals import routes as approvals
from registry.concepts import routes as concepts
from registry.conditional import ConditionalReads
from registry.consent import routes as consent
from registry.console.app import create_console, error_page
from registry.console.view import BASE
from registry.credentials import routes as credentials
from registry.distribution import routes as distribution
from registry.erasure import routes as erasure
from registry.errors import install_error_handlers, problem_answer
from registry.generations import accounting
from registry.generations import routes as generations
from registry.idempotency import IdempotencyKeys
from registry.limits import BodyLimit
from registry.log import routes as log
from registry.openapi import describe
from registry.rate_limits import Rate, RateLimit
from registry.recalls import routes as recalls
from registry.reminders import routes as reminders
from registry.resolve_cache import ResolveCache
from registry.reviews import routes as reviews
from registry.runtime import Runtime
from registry.status import routes as status
from registry.telemetry import routes as telemetry
from registry.telemetry.metrics import Metrics
from registry.telemetry.requests import Requests
from registry.telemetry.tracing import tracing
from registry.versions import routes as versions
from registry.webhooks import routes as webhooks
from sdk.errors import ImprimaturError

_PAGES: Final = f"{BASE}/"
SLICES: Final = (
    about,
    distribution,
    credentials,
    webhooks,
    blobs,
    consent,
    concepts,
    versions,
    approvals,
    renewals,
    reviews,
    generations,
    accounting,
    erasure,
    status,
    recalls,
    reminders,
    log,
    telemetry,
)


def create_app(runtime: Runtime, *, tracer_provider: TracerProvider | None = None) -> FastAPI:
    """The ASGI application that serves `runtime`; it traces as the environment says, or to `tracer_provider`."""
    app = FastAPI(
        title="Imprimatur registry", openapi_url=None, docs_url=None, redoc_url=None, telemetry=tracing(tracer_provider)
    )
    app.state.runtime = runtime
    app.state.metrics = Metrics(runtime)
    install_error_handlers(app)
    limits = runtime.settings
    app.add_middleware(ConditionalReads)
    app.add_middleware(IdempotencyKeys)  # inside the limit: what is added last is outermost
    app.add_middleware(
        BodyLimit, max_body_bytes=limits.max_body_bytes, max_blob_bytes=limits.max_blob_bytes, answer=_answer
    )
    if runtime.stamps:
        app.add_middleware(ResolveCache, stamps=runtime.stamps)
    app.add_middleware(
        RateLimit,
        principals=Rate(per_second=limits.requests_per_second, burst=limits.requests_at_once),
        addresses=Rate(per_second=limits.anonymous_per_second, burst=limits.anonymous_at_once),
        answer=_answer,
        browsers=_PAGES,
    )
    app.add_middleware(Requests, metrics=app.state.metrics, mounts=(BASE,))
    for part in SLICES:
        app.include_router(part.router)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.state.console = create_console(runtime)
    app.mount(BASE, app.state.console)
    return app


def _answer(request: Request, error: ImprimaturError, status: int) -> Response:
    """What tells of an error before any route is reached: a page for people, a problem document for programs."""
    in_console = request.url.path.startswith(_PAGES)
    return error_page(request, error, status) if in_console else problem_answer(request, error, status)


def put_in_force(app: FastAPI, runtime: Runtime) -> None:
    """Serve `runtime` from the next request on; only its trust root may be another than before."""
    app.state.runtime = runtime
    app.state.console.state.runtime = runtime
