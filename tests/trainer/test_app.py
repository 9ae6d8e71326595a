"""The application around the routes: health, problem documents, the real ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.asgi import AsgiTransport
from support.training import Bench, make_bench

from sdk import errors
from sdk.errors import ImprimaturError, PolicyDenied
from sdk.spec.api import Problem
from sdk.spec.digest import Digest
from sdk.spec.policy import Decision, Effect
from trainer.app import create_app, make_runtime
from trainer.settings import TrainerSettings

NOWHERE = "postgresql://nobody@/none?host=/nowhere"
DENY = Decision(effect=Effect.DENY, action="train", reasons=(), bundle=Digest.of(b"b"), context=Digest.of(b"c"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = make_bench(NOWHERE, tmp_path)
    yield made
    made.engine.dispose()


@pytest.fixture
def client(bench: Bench) -> Iterator[httpx.Client]:
    app = create_app(bench.runtime)

    def fail(kind: str) -> None:
        raise {
            "denied": PolicyDenied("no", DENY),
            "unforeseen": RuntimeError("the secret inside"),
            "root": ImprimaturError("root"),
        }.get(kind) or getattr(errors, kind)("why")

    app.get("/fail/{kind}")(fail)
    with httpx.Client(base_url="http://trainer.test", transport=AsgiTransport(app)) as client:
        yield client


def problem_of(client: httpx.Client, path: str, method: str = "GET") -> Problem:
    answer = client.request(method, path)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(answer.content)
    assert problem.status == answer.status_code
    assert problem.type == f"urn:imprimatur:error:{problem.code}"
    return problem


class TestProblems:
    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("InputError", 422),
            ("TrainingInputError", 422),
            ("FormatError", 422),
            ("DigestMismatch", 422),
            ("AuthenticationRequired", 401),
            ("PermissionDenied", 403),
            ("NotFound", 404),
            ("Conflict", 409),
            ("PayloadTooLarge", 413),
            ("TooManyRequests", 429),
            ("ServiceUnavailable", 503),
            ("ConfigurationError", 500),
        ],
    )
    def test_carry_status_and_code_of_their_error(self, client: httpx.Client, kind: str, status: int) -> None:
        problem = problem_of(client, f"/fail/{kind}")
        assert (problem.status, problem.code, problem.detail) == (status, getattr(errors, kind).code, "why")

    def test_carry_the_decision_of_a_refusal(self, client: httpx.Client) -> None:
        problem = problem_of(client, "/fail/denied")
        assert (problem.status, problem.decision) == (403, DENY)

    def test_say_nothing_about_the_inside(self, client: httpx.Client) -> None:
        problem = problem_of(client, "/fail/unforeseen")
        assert problem.status == 500
        assert "secret" not in problem.model_dump_json()

    def test_answer_unknown_paths_and_methods_too(self, client: httpx.Client) -> None:
        assert problem_of(client, "/nothing").code == errors.NotFound.code
        assert problem_of(client, "/healthz", "DELETE").status == 405


class TestHealth:
    def test_says_when_the_database_is_away(self, client: httpx.Client) -> None:
        problem = problem_of(client, "/healthz")
        assert (problem.status, problem.code) == (503, errors.ServiceUnavailable.code)


class TestMakeRuntime:
    def test_opens_nothing_before_it_is_used(self, tmp_path: Path) -> None:
        runtime = make_runtime(TrainerSettings(directory=tmp_path, database_url=NOWHERE))
        assert runtime.clock().tzinfo is not None
        assert len(runtime.entropy(16)) == 16

    @pytest.mark.parametrize("service", ["training-service", "renderer"])
    def test_asks_the_registry_that_the_services_own_profile_names(self, tmp_path: Path, service: str) -> None:
        (tmp_path / "profiles").mkdir()
        profile = tmp_path / "profiles" / f"{service}.toml"
        profile.write_text(
            'registry = "http://127.0.0.1:9"\nprincipal = "demo/service"\ncredential = "imp_s"\ntrust_root = "root.json"\n'
        )
        profile.chmod(0o600)
        runtime = make_runtime(TrainerSettings(directory=tmp_path, database_url=NOWHERE))
        with (
            runtime.open_registry("imp_x") as registry,
            pytest.raises(errors.ServiceUnavailable, match=r"registry at http://127\.0\.0\.1:9"),
        ):
            registry.whoami()
