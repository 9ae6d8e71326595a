"""Every error of the SDK becomes one problem document; a lost database is 503; the unforeseen says nothing inside."""

from __future__ import annotations

import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg.errors import AdminShutdown, DeadlockDetected, LockNotAvailable, NotNullViolation, UniqueViolation
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from registry.errors import install_error_handlers, status_of
from sdk import errors
from sdk.spec.api import Problem
from sdk.spec.digest import Digest
from sdk.spec.policy import Decision, Effect, Reason

DECISION = Decision(
    effect=Effect.DENY,
    action="compose",
    reasons=(Reason(rule="r", about="a/b", message="m", remedy="d"),),
    bundle=Digest.of(b"bundle"),
    context=Digest.of(b"context"),
)


def answer_to(error: Exception) -> tuple[int, Problem, dict[str, str]]:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    def fail() -> None:
        raise error

    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/")
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, Problem.model_validate_json(response.content), dict(response.headers)


def all_classes(cls: type[errors.ImprimaturError]) -> list[type[errors.ImprimaturError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in all_classes(sub))]


class TestStatus:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (errors.InputError("x"), 422),
            (errors.SceneError("x"), 422),
            (errors.FormatError("x"), 422),
            (errors.SignatureInvalid("x"), 422),
            (errors.DigestMismatch("x"), 422),
            (errors.PolicyDenied("x", DECISION), 403),
            (errors.PermissionDenied("x"), 403),
            (errors.AuthenticationRequired("x"), 401),
            (errors.NotFound("x"), 404),
            (errors.Conflict("x"), 409),
            (errors.Erased("x"), 410),
            (errors.PayloadTooLarge("x"), 413),
            (errors.TooManyRequests("x"), 429),
            (errors.ServiceUnavailable("x"), 503),
            (errors.ServiceError("x"), 500),
            (errors.ConfigurationError("x"), 500),
        ],
    )
    def test_of_each_class(self, error: errors.ImprimaturError, status: int) -> None:
        found, problem, _ = answer_to(error)
        assert (found, problem.status, problem.code) == (status, status, error.code)
        assert problem.type == f"urn:imprimatur:error:{error.code}"
        assert problem.detail == "x"

    @pytest.mark.parametrize("cls", all_classes(errors.ImprimaturError))
    def test_is_defined_for_every_class_of_the_tree(self, cls: type[errors.ImprimaturError]) -> None:
        assert 400 <= status_of(cls.__new__(cls)) < 600


class TestProblem:
    def test_of_a_denial_carries_the_decision(self) -> None:
        assert answer_to(errors.PolicyDenied("x", DECISION))[1].decision == DECISION

    def test_of_missing_authentication_names_the_scheme(self) -> None:
        assert answer_to(errors.AuthenticationRequired("x"))[2]["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize(
        "error",
        [
            OperationalError("select 1", {}, AdminShutdown("the database was shut down")),
            OperationalError("select 1", {}, DeadlockDetected("deadlock")),
            OperationalError("select 1", {}, LockNotAvailable("lock timeout")),
            InterfaceError("select 1", {}, Exception("connection is closed")),
            PoolTimeout("no connection in time"),
        ],
    )
    def test_of_a_database_that_does_not_serve_is_503(self, error: Exception) -> None:
        status, problem, _ = answer_to(error)
        assert (status, problem.code) == (503, "service.unavailable")

    def test_of_a_race_for_one_row_is_a_conflict(self) -> None:
        assert answer_to(IntegrityError("insert", {}, UniqueViolation("again")))[0] == 409

    def test_of_a_broken_rule_of_the_database_is_a_failure(self) -> None:
        assert answer_to(IntegrityError("insert", {}, NotNullViolation("null")))[0] == 500

    def test_of_the_unforeseen_tells_nothing_and_logs_no_parameters(self, caplog: pytest.LogCaptureFixture) -> None:
        error = IntegrityError("insert", {"value": "a secret"}, NotNullViolation("null"))
        with caplog.at_level(logging.ERROR):
            problem = answer_to(error)[1]
        assert "insert" not in problem.detail
        assert caplog.records
        assert "a secret" not in caplog.text

    def test_of_an_unknown_route_is_not_found(self) -> None:
        app = FastAPI()
        install_error_handlers(app)
        with TestClient(app) as client:
            response = client.get("/nowhere")
        assert Problem.model_validate_json(response.content).code == "resource.not_found"
