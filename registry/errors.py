"""From errors to RFC 9457 problem documents: one table from classes of `sdk.errors` to HTTP statuses.

What an error amounts to is decided here for every answer; the console only shows it as a page (`ErrorAnswer`). The registry raises the SDK's own classes. What it did not foresee is answered with 500 and no detail; the detail is
in the service's log. A lost database, a lock that is not given and a deadlock are 503: trying again is safe.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from sdk.errors import (
    AuthenticationRequired,
    BackboneError,
    ConfigurationError,
    Conflict,
    Erased,
    FormatError,
    ImprimaturError,
    InputError,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    PolicyDenied,
    ServiceError,
    ServiceUnavailable,
    TooManyRequests,
    VerificationError,
)
from sdk.spec.api import Problem

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
STATUS_OF: Final[Mapping[type[ImprimaturError], int]] = {
    InputError: 422,
    FormatError: 422,
    VerificationError: 422,
    BackboneError: 422,
    PolicyDenied: 403,
    PermissionDenied: 403,
    AuthenticationRequired: 401,
    NotFound: 404,
    Erased: 410,
    Conflict: 409,
    PayloadTooLarge: 413,
    TooManyRequests: 429,
    ServiceUnavailable: 503,
    ServiceError: 500,
    ConfigurationError: 500,
    ImprimaturError: 500,
}
"""By class; a class that is not listed has the status of its nearest listed ancestor."""

DATABASE_AWAY: Final = (OperationalError, InterfaceError, PoolTimeout)
"""What is raised while the database cannot serve: it is gone, full or locked, or no connection is left."""
_CLASS_OF_STATUS: Final[Mapping[int, type[ImprimaturError]]] = {
    400: InputError,
    404: NotFound,
    413: PayloadTooLarge,
    422: InputError,
}
_UNIQUE_VIOLATIONS: Final = frozenset({"23505", "23P01"})  # unique_violation, exclusion_violation
_logger = logging.getLogger(__name__)

ErrorAnswer = Callable[[Request, ImprimaturError, int], Response]
"""Makes the response that tells of an error with an HTTP status."""


def problem_answer(request: Request, error: ImprimaturError, status: int) -> Response:
    """The `ErrorAnswer` of the API."""
    return problem_response(error, status=status)


def install_error_handlers(app: FastAPI, answer: ErrorAnswer = problem_answer) -> None:
    """Make `app` answer every error by `answer`: with a problem document, unless told otherwise."""
    app.add_exception_handler(ImprimaturError, _handler(_on_known, answer))
    app.add_exception_handler(RequestValidationError, _handler(_on_invalid_request, answer))
    app.add_exception_handler(HTTPException, _handler(_on_http, answer))
    for lost in DATABASE_AWAY:
        app.add_exception_handler(lost, _handler(_on_database_away, answer))
    app.add_exception_handler(DBAPIError, _handler(_on_database_error, answer))
    app.add_exception_handler(Exception, _handler(_on_unforeseen, answer))


def status_of(error: ImprimaturError) -> int:
    """The HTTP status of `error`."""
    return next(STATUS_OF[cls] for cls in type(error).__mro__ if cls in STATUS_OF)


def problem_response(error: ImprimaturError, *, status: int | None = None) -> Response:
    """The problem document of `error`; a denial carries its decision."""
    code = status or status_of(error)
    problem = Problem(
        type=f"urn:imprimatur:error:{error.code}",
        title=HTTPStatus(code).phrase,
        status=code,
        detail=error.message,
        code=error.code,
        decision=error.decision if isinstance(error, PolicyDenied) else None,
    )
    headers = {"WWW-Authenticate": "Bearer"} if code == HTTPStatus.UNAUTHORIZED else None
    content = problem.model_dump_json(by_alias=True, exclude_none=True)
    return Response(content, status_code=code, media_type=PROBLEM_MEDIA_TYPE, headers=headers)


def _handler(
    translate: Callable[[Request, Exception], ImprimaturError], answer: ErrorAnswer
) -> Callable[[Request, Exception], Response]:
    def handle(request: Request, exc: Exception) -> Response:
        error = translate(request, exc)
        if not isinstance(exc, HTTPException):
            return answer(request, error, status_of(error))
        response = answer(request, error, exc.status_code)
        response.headers.update(exc.headers or {})
        return response

    return handle


def _on_known(request: Request, exc: Exception) -> ImprimaturError:
    assert isinstance(exc, ImprimaturError)
    if status_of(exc) == HTTPStatus.INTERNAL_SERVER_ERROR:
        _logger.error("%s %s failed", request.method, request.url.path, exc_info=exc)
    return exc


def _on_invalid_request(request: Request, exc: Exception) -> ImprimaturError:
    assert isinstance(exc, RequestValidationError)
    fault = exc.errors()[0]
    place = ".".join(str(part) for part in fault["loc"])
    return InputError(f"{request.method} {request.url.path}: {place}: {fault['msg']}")


def _on_http(request: Request, exc: Exception) -> ImprimaturError:
    assert isinstance(exc, HTTPException)
    cls = _CLASS_OF_STATUS.get(exc.status_code, ServiceError)
    return cls(f"{request.method} {request.url.path}: {exc.detail}")


def _on_database_away(request: Request, exc: Exception) -> ImprimaturError:
    _logger.warning("%s %s: the database did not serve: %s", request.method, request.url.path, type(exc).__name__)
    return database_away()


def database_away() -> ServiceUnavailable:
    """What `DATABASE_AWAY` amounts to, wherever it is caught."""
    return ServiceUnavailable("the registry's database cannot serve now; try again in a moment")


def _on_database_error(request: Request, exc: Exception) -> ImprimaturError:
    assert isinstance(exc, DBAPIError)
    if exc.connection_invalidated:
        return _on_database_away(request, exc)
    if isinstance(exc, IntegrityError) and getattr(exc.orig, "sqlstate", None) in _UNIQUE_VIOLATIONS:
        return Conflict("the same was recorded at the same moment; ask again to see what stands")
    return _on_unforeseen(request, exc)


def _on_unforeseen(request: Request, exc: Exception) -> ImprimaturError:
    # The statement's parameters may hold what must not be logged, so only the class and the place are.
    _logger.error("%s %s: unforeseen %s", request.method, request.url.path, type(exc).__name__, exc_info=_place(exc))
    return ServiceError("the registry failed in a way it did not foresee; its log says where")


def _place(exc: Exception) -> Exception:
    if isinstance(exc, DBAPIError):
        exc.hide_parameters = True
    return exc
