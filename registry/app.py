"""The registry's application: routers, limits, errors. Everything with effects comes in as the `Runtime`.

A route is added in its slice; here is only the list of slices. The console is an application of its own, mounted.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from fastapi import FastAPI

from registry import about, blobs
from registry.approvals import routes as approvals
from registry.concepts import routes as concepts
from registry.consent import routes as consent
from registry.console.app import create_console
from registry.console.view import BASE
from registry.errors import install_error_handlers
from registry.generations import routes as generations
from registry.idempotency import IdempotencyKeys
from registry.limits import BodyLimit
from registry.log import routes as log
from registry.openapi import describe
from registry.runtime import Runtime
from registry.versions import routes as versions

SLICES: Final = (about, blobs, consent, concepts, versions, approvals, generations, log)


def create_app(runtime: Runtime) -> FastAPI:
    """The ASGI application that serves `runtime`."""
    app = FastAPI(title="Imprimatur registry", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.runtime = runtime
    install_error_handlers(app)
    limits = runtime.settings
    app.add_middleware(IdempotencyKeys, runtime=runtime)  # inside the limit: what is added last is outermost
    app.add_middleware(BodyLimit, max_body_bytes=limits.max_body_bytes, max_blob_bytes=limits.max_blob_bytes)
    for part in SLICES:
        app.include_router(part.router)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.mount(BASE, create_console(runtime))
    return app
