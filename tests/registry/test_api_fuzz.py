"""The application held to its OpenAPI document by generated requests: no 5xx, no undocumented status or answer.

A few examples an operation here; `make fuzz-api` runs many (`FUZZ_EXAMPLES`). The ids of a living world are mixed in,
so that requests get past the first check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.database import DatabaseServer
from support.registry import ROLES, RegistryUnderTest, make_test_registry
from support.renewal import new_records
from support.route_maps import registry_map
from support.versions import FOX, Steps, accepted

from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.ids import AliasName

pytestmark = pytest.mark.long
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
CALLERS = sorted(name for name in ROLES if not name.startswith("other-"))


@pytest.fixture(scope="module")
def world(postgres_server: DatabaseServer) -> Iterator[tuple[RegistryUnderTest, dict[str, Any]]]:
    """A registry in which something stands, and the path parameters that name it."""
    with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
        steps = Steps(registry)
        licence = steps.licence(steps.concept())
        version = steps.submitted(licences=(licence["id"],))
        accepted(steps.review(version))
        changes = (AliasChange(concept=FOX, alias=AliasName("stable"), number=1),)
        accepted(steps.post("owner", "/v1/aliases", AliasChanges(changes=changes)))
        accepted(steps.renewal(version, **new_records(steps, version)))
        grant = accepted(steps.compose(version))
        yield (
            registry,
            {
                "tenant": "demo",
                "name": "fox",
                "number": 1,
                "alias": "stable",
                "consent": version.consent,
                "licence": licence["id"],
                "generation": grant["id"],
                "digest": str(version.manifest.artefacts[0].digest),
                "index": 1,
                "level": 0,
                "place": "000.p/1",
                "ref": "demo/fox@stable",
                "concept": "demo/fox",
                "at": registry.clock.now.isoformat(),
            },
        )


class TestEveryOperation:
    def test_is_in_the_document(self, world: tuple[RegistryUnderTest, dict[str, Any]]) -> None:
        document = world[0].app.openapi()
        served = {(method, path) for path, item in document["paths"].items() for method in item}
        assert len(served) == len(registry_map())
        for path, item in document["paths"].items():
            for method, operation in item.items():
                assert {"422", "500", "503"} <= operation["responses"].keys(), (method, path)

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.timeout(14_400)  # of many examples, on a machine that is shared
    def test_answers_as_documented(self, world: tuple[RegistryUnderTest, dict[str, Any]]) -> None:
        registry, names = world
        schema = schemathesis.openapi.from_dict(registry.app.openapi())
        faults: list[str] = []
        for result in schema.get_all_operations():
            _fuzz(registry, names, result.ok(), faults)
        assert faults == []


def _fuzz(registry: RegistryUnderTest, names: dict[str, Any], operation: Any, faults: list[str]) -> None:
    callers = iter(CALLERS * (2 * EXAMPLES))

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case: Any) -> None:
        caller = next(callers)
        for known in (False, True):
            if known:
                case.path_parameters = _named(case.path_parameters, names)
                case.query = _named(case.query, names)
            case.headers = {
                **{name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"},
                "Authorization": f"Bearer {registry.credentials[caller]}",
            }
            response = case.call(app=registry.app)
            try:
                case.validate_response(response, checks=CHECKS)
            except (AssertionError, schemathesis.errors.SchemathesisError, BaseExceptionGroup) as exc:
                faults.append(
                    f"{case.method} {case.path} as {caller}: {response.status_code} {response.text[:300]} {exc!r}"
                )

    send()


def _named(parameters: Any, names: dict[str, Any]) -> dict[str, Any]:
    return {name: names.get(name, value) for name, value in (parameters or {}).items()}
