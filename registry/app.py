"""The registry's application: routers, limits, errors. Everything with effects comes in as the `Runtime`.

A route is added in its slice; here is only the list of slices.
"""

from __future__ import annotations

import importlib
import importlib.util

from fastapi import FastAPI

from registry import about, blobs
from registry.errors import install_error_handlers
from registry.limits import BodyLimit
from registry.log import routes as log
from registry.runtime import Runtime

SLICES = ("concepts", "consent", "versions", "approvals", "generations")


def create_app(runtime: Runtime) -> FastAPI:
    """The ASGI application that serves `runtime`."""
    app = FastAPI(title="Imprimatur registry", openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None)
    app.state.runtime = runtime
    install_error_handlers(app)
    limits = runtime.settings
    app.add_middleware(BodyLimit, max_body_bytes=limits.max_body_bytes, max_blob_bytes=limits.max_blob_bytes)
    for router in (about.router, blobs.router, log.router):
        app.include_router(router)
    for name in SLICES:
        if importlib.util.find_spec(f"registry.{name}") and importlib.util.find_spec(f"registry.{name}.routes"):
            app.include_router(importlib.import_module(f"registry.{name}.routes").router)
    return app
