"""The console as one application, mounted at /console; its errors are pages, not problem documents."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from registry.console import (
    accounts,
    concepts,
    consents,
    generations,
    log,
    origins,
    reminders,
    renewals,
    review,
    sign_in,
    work,
)
from registry.console.pages import HERE, guarded
from registry.console.view import BASE, AnyViewDep, navigation, page
from registry.errors import install_error_handlers
from registry.rate_limits import CALLER
from registry.runtime import Runtime
from sdk.errors import AuthenticationRequired, ImprimaturError, PolicyDenied

PARTS: Final = (sign_in, work, review, renewals, concepts, consents, reminders, generations, origins, accounts, log)


def create_console(runtime: Runtime) -> FastAPI:
    """The ASGI application of the web pages over `runtime`."""
    console = FastAPI(title="Imprimatur console", openapi_url=None, docs_url=None, redoc_url=None)
    console.state.runtime = runtime
    install_error_handlers(console, error_page)
    console.get("/")(_home)
    console.get("/console.css")(_style)
    for part in PARTS:
        console.include_router(part.router)
    return console


def _home(view: AnyViewDep) -> Response:
    """The first page that the caller may read."""
    _, first = navigation(view.runtime, view.caller)[0]
    return guarded(RedirectResponse(BASE + first, status_code=303))


def _style() -> Response:
    """The one style sheet."""
    content = (HERE / "static" / "console.css").read_bytes()
    return guarded(Response(content, media_type="text/css"), cache="max-age=300")


def error_page(request: Request, error: ImprimaturError, status: int) -> Response:
    """The `ErrorAnswer` of the console; who is not signed in any more is led to the form."""
    if isinstance(error, AuthenticationRequired):
        setattr(request.state, CALLER, None)
    if isinstance(error, AuthenticationRequired) and request.method == "GET":
        return guarded(RedirectResponse(f"{BASE}/sign-in", status_code=303))
    reasons = error.decision.reasons if isinstance(error, PolicyDenied) else ()
    return page(request, "error.html", status_code=status, code=status, error=error, reasons=reasons)
