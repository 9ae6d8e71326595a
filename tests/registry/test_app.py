"""The application serves exactly the maps of routes in `sdk.spec`."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.registry import RegistryUnderTest
from support.route_maps import registry_map

from registry.openapi_examples import BODY_EXAMPLES
from sdk.spec.canonical import WireModel, validate_wire


def documented() -> set[tuple[str, str]]:
    return {(method, nameless(path)) for method, path in registry_map()}


def nameless(path: str) -> str:
    return re.sub(r"{[a-z_]+}", "{}", path)


class TestRoutes:
    def test_are_those_of_the_map(self, registry: RegistryUnderTest) -> None:
        paths = registry.app.openapi()["paths"].items()
        served = {(method.upper(), nameless(path)) for path, item in paths for method in item}
        assert served == documented()

    def test_a_method_that_is_not_served_is_a_problem_too(self, registry: RegistryUnderTest) -> None:
        response = registry.client("app").delete("/v1/whoami")
        assert (response.status_code, response.headers["content-type"]) == (405, "application/problem+json")
        assert response.headers["allow"] == "GET"


class TestExamples:
    def test_every_body_has_one_that_its_model_takes(self, registry: RegistryUnderTest) -> None:
        models = {model.__name__: model for model in subclasses_of(WireModel)}
        shown = set()
        for path, item in registry.app.openapi()["paths"].items():
            for method, operation in item.items():
                for content in operation.get("requestBody", {}).get("content", {}).values():
                    if "$ref" not in content["schema"]:  # bytes
                        continue
                    name = content["schema"]["$ref"].rpartition("/")[2].removesuffix("-Input")
                    assert "example" in content, (method, path, name)
                    validate_wire(models[name], content["example"], name)
                    shown.add(name)
        assert shown == BODY_EXAMPLES.keys()

    def test_names_have_one(self, registry: RegistryUnderTest) -> None:
        named = {
            each["name"]: each["schema"].get("examples")
            for each in registry.app.openapi()["paths"]["/v1/consents/{consent}"]["get"]["parameters"]
        }
        assert named["consent"] == ["con_aaaaaaaaaaaaaaaaaaaaaaaaaa"]


def subclasses_of(cls: type[Any]) -> set[type[Any]]:
    return {cls, *(found for each in cls.__subclasses__() for found in subclasses_of(each))}


class TestBounds:
    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("auditor", "/v1/generations/decisions?after=9223372036854775808"),
            ("auditor", "/v1/generations/decisions?since=0001-01-01T00:00:00%2B14:00"),
            ("auditor", "/v1/log/entries?after=9223372036854775808"),
            ("auditor", "/v1/log/entries?subject=%00"),
            ("app", "/v1/concepts?as_of=0001-01-01T00:00:00%2B14:00"),
        ],
    )
    def test_what_a_column_cannot_hold_is_refused(self, registry: RegistryUnderTest, name: str, path: str) -> None:
        answer = registry.client(name).get(path)
        assert (answer.status_code, answer.json()["code"]) == (422, "input.invalid")

    def test_so_is_a_text_with_a_nul(self, registry: RegistryUnderTest) -> None:
        body = b'{"id": "demo/fox", "kind": "subject", "title": "a\\u0000b"}'
        answer = registry.client("owner").post(
            "/v1/concepts", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422
