"""The trainer as an ASGI application, and the real ports it runs with. No training happens here.

Every error leaves as an RFC 9457 problem document (`sdk.spec.api.Problem`) with its stable code; what nobody foresaw
says nothing about the inside.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker
from starlette.exceptions import HTTPException

from sdk import errors
from sdk.errors import ImprimaturError, PolicyDenied
from sdk.policy.bundle import parse_bundle
from sdk.policy.cedar import CedarEngine
from sdk.policy.engine import PolicyEngine
from sdk.profile import load_profile
from sdk.resolve import connect
from sdk.software import software_version
from sdk.spec.api import Health, PolicyBundleView, Problem
from trainer.jobs.auth import Authenticator
from trainer.jobs.ports import RegistryPort
from trainer.jobs.routes import router
from trainer.jobs.runtime import Runtime, RuntimeDep
from trainer.rendering.routes import router as rendering
from trainer.settings import TrainerSettings

_logger = logging.getLogger(__name__)

_STATUSES: Final[tuple[tuple[type[ImprimaturError], int], ...]] = (
    (PolicyDenied, 403),
    (errors.AuthenticationRequired, 401),
    (errors.PermissionDenied, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.PayloadTooLarge, 413),
    (errors.TooManyRequests, 429),
    (errors.ServiceUnavailable, 503),
    (errors.InputError, 422),
    (errors.FormatError, 422),
    (errors.VerificationError, 422),
)
"""The first class that fits decides; anything else is a fault of this service, 500."""

_CODES_BY_STATUS: Final = {
    401: errors.AuthenticationRequired.code,
    403: errors.PermissionDenied.code,
    404: errors.NotFound.code,
    413: errors.PayloadTooLarge.code,
}


def create_app(runtime: Runtime) -> FastAPI:
    """The application that serves `runtime`."""
    app = FastAPI(title="Imprimatur trainer", version=software_version(), docs_url=None, redoc_url=None)
    app.state.runtime = runtime
    app.state.authenticator = Authenticator(
        runtime.open_registry,
        runtime.clock,
        seconds=runtime.settings.whoami_seconds,
        entries=runtime.settings.whoami_entries,
    )
    app.add_exception_handler(ImprimaturError, _on_known)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unforeseen)
    app.get("/healthz")(_health)
    app.include_router(router)
    app.include_router(rendering)
    return app


def make_runtime(settings: TrainerSettings) -> Runtime:
    """The real ports: PostgreSQL, the registry over HTTP, Cedar, the machine's clock and entropy."""
    engine = create_engine(
        settings.driver_url,
        pool_size=settings.database_connections,
        pool_timeout=settings.database_wait_seconds,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": settings.database_wait_seconds,
            "options": f"-c lock_timeout={settings.database_wait_seconds}s -c timezone=UTC",
        },
    )

    @contextmanager
    def open_registry(credential: str) -> Iterator[RegistryPort]:
        profile = load_profile(settings.own_profile)
        with connect(replace(profile, credential=credential, trainer=None)) as client:
            yield client

    return Runtime(
        settings=settings,
        sessions=sessionmaker(engine),
        open_registry=open_registry,
        open_policy=open_policy,
        clock=lambda: datetime.now(UTC),
        entropy=os.urandom,
    )


def open_policy(view: PolicyBundleView) -> PolicyEngine:
    """The Cedar engine that decides by the registry's bundle, whose digest is checked."""
    return CedarEngine(parse_bundle(view))


def _health(runtime: RuntimeDep) -> Health:
    """Whether the trainer answers and its database does."""
    with runtime.transaction() as session:
        session.execute(text("SELECT 1"))
    return Health(service="trainer", version=software_version())


async def _on_known(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, ImprimaturError)  # it is registered for that class
    status = next((status for cls, status in _STATUSES if isinstance(exc, cls)), 500)
    decision = exc.decision if isinstance(exc, PolicyDenied) else None
    if status == 500:
        _logger.error("%s %s: %s", request.method, request.url.path, exc.message)
    return _problem(
        Problem(
            type=f"urn:imprimatur:error:{exc.code}",
            title=type(exc).__name__,
            status=status,
            detail=exc.message,
            code=exc.code,
            decision=decision,
        )
    )


async def _on_invalid(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)  # it is registered for that class
    fault = exc.errors()[0]
    place = ".".join(str(part) for part in fault["loc"])
    return await _on_known(request, errors.FormatError(f"{place}: {fault['msg']}"))


async def _on_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # it is registered for that class
    code = _CODES_BY_STATUS.get(exc.status_code, errors.ServiceError.code)
    detail = f"{request.method} {request.url.path}: {exc.detail}"
    return _problem(
        Problem(
            type=f"urn:imprimatur:error:{code}", title=str(exc.detail), status=exc.status_code, detail=detail, code=code
        )
    )


async def _on_unforeseen(request: Request, exc: Exception) -> Response:
    _logger.error("%s %s failed", request.method, request.url.path, exc_info=exc)
    code = errors.ServiceError.code
    detail = "the trainer met an error nobody foresaw; its log has more"
    return _problem(
        Problem(type=f"urn:imprimatur:error:{code}", title="ServiceError", status=500, detail=detail, code=code)
    )


def _problem(problem: Problem) -> Response:
    content = problem.model_dump_json(exclude_none=True, by_alias=True)
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
    return Response(content, status_code=problem.status, media_type="application/problem+json", headers=headers)
