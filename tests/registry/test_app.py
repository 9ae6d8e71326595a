"""The application serves exactly the map of routes in `sdk.spec.api`."""

from __future__ import annotations

import re

from support.registry import RegistryUnderTest

from sdk.spec import api


def documented() -> set[tuple[str, str]]:
    section = str(api.__doc__).split("    registry\n", 1)[1].split("    trainer\n", 1)[0]
    found = re.findall(r"^    ([A-Z]+) +(/[^ ?]*)", section, re.MULTILINE)
    return {(method, nameless(path)) for method, path in found}


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
