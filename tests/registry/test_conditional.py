"""ETags: strong, of what was answered to this caller; 304 exactly while nothing changed."""

from __future__ import annotations

import pytest
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted

from registry.conditional import etag, matches
from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.digest import Digest
from sdk.spec.ids import AliasName


class TestReads:
    def test_of_what_did_not_change_are_answered_304_without_a_body(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        for path in (f"/v1/concepts/{FOX}", f"/v1/concepts/{FOX}/versions", "/v1/policies", "/v1/trust-root"):
            first = registry.client("owner").get(path)
            assert first.headers["cache-control"] == "private, no-cache"
            again = registry.client("owner").get(path, headers={"If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
            assert registry.client("owner").get(path, headers={"If-None-Match": '"other"'}).content == first.content

    def test_of_a_versioned_thing_are_answered_anew_when_it_changed(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved()
        tag = registry.client("owner").get("/v1/aliases").headers["etag"]
        changes = (AliasChange(concept=FOX, alias=AliasName("stable"), number=1),)
        accepted(steps.post("owner", "/v1/aliases", AliasChanges(changes=changes)))
        answer = registry.client("owner").get("/v1/aliases", headers={"If-None-Match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] == etag(answer.content) != tag

    def test_are_never_a_way_round_authorisation(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        tag = registry.client("owner").get(f"/v1/concepts/{FOX}").headers["etag"]
        for name, status in ((None, 401), ("other-owner", 404)):
            answer = registry.client(name).get(f"/v1/concepts/{FOX}", headers={"If-None-Match": tag})
            assert answer.status_code == status

    def test_what_is_not_to_be_kept_has_no_tag(self, registry: RegistryUnderTest) -> None:
        assert "etag" not in registry.client(None).get("/v1/log/checkpoint").headers
        refused = registry.client("owner").get("/v1/concepts/demo/none")
        assert (refused.status_code, "etag" in refused.headers) == (404, False)


@pytest.mark.parametrize(
    ("asked", "met"),
    [
        ("", False),
        ("*", True),
        ("TAG", True),
        ('W/TAG, "b"', True),
        ('"b", TAG', True),
        ('"b"', False),
        ("junk", False),
    ],
)
def test_if_none_match_is_a_list_compared_weakly(asked: str, met: bool) -> None:
    tag = f'"{Digest.of(b"x").hex}"'
    assert matches(asked.replace("TAG", tag), tag) is met
