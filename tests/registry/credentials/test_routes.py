"""Credentials by HTTP: who issues what to whom, rotation with its overlap, revocation, lists, scopes, and the log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from support.break_glass import open_version, opening
from support.registry import RegistryUnderTest
from support.versions import Steps, accepted, refused

from registry.scopes import scope_of
from sdk.spec.digest import Digest
from sdk.spec.ids import TenantName
from sdk.spec.scopes import Scope

APP = {"principal": "demo/shop", "roles": ["app"]}


def issue(registry: RegistryUnderTest, name: str = "admin", **members: Any) -> httpx.Response:
    return registry.client(name).post("/v1/credentials", json=APP | members)


def bearer(registry: RegistryUnderTest, secret: str) -> httpx.Client:
    return httpx.Client(
        base_url="http://registry.test", headers={"Authorization": f"Bearer {secret}"}, transport=registry.transport
    )


def status_of(registry: RegistryUnderTest, secret: str, path: str = "/v1/whoami") -> int:
    return bearer(registry, secret).get(path).status_code


def own(registry: RegistryUnderTest, name: str) -> Digest:
    return Digest.of(registry.credentials[name].encode())


def logged(registry: RegistryUnderTest) -> dict[str, Any]:
    """The newest entry of the log."""
    page = registry.client("auditor").get("/v1/log/entries?limit=1000").json()
    entry: dict[str, Any] = page["entries"][-1]["entry"]
    return entry


class TestIssue:
    def test_gives_its_text_once_and_logs_it_without(self, registry: RegistryUnderTest) -> None:
        end = registry.clock.now + timedelta(days=7)
        answer = issue(registry, expires_at=end.isoformat(), scopes=["concepts:read"], label="the web shop")
        issued = accepted(answer)
        assert answer.headers["cache-control"] == "no-store"
        who = bearer(registry, issued["text"]).get("/v1/whoami").json()
        assert (who["principal"], who["roles"], who["scopes"]) == ("demo/shop", ["app"], ["concepts:read"])
        entry = logged(registry)
        assert (entry["event"], entry["actor"], entry["subject"]) == ("credential:issued", "demo/admin", "demo/shop")
        assert entry["evidence"] == {"credential": Digest.of(issued["text"].encode())}
        assert entry["facts"]["scopes"] == "concepts:read"
        assert "web shop" not in str(entry)
        registry.clock.advance(days=7)
        assert status_of(registry, issued["text"]) == 401

    @pytest.mark.parametrize("days", [-1, 0, 366])
    def test_refuses_an_end_that_is_past_or_too_late(self, registry: RegistryUnderTest, days: int) -> None:
        end = registry.clock.now + timedelta(days=days)
        refused(issue(registry, expires_at=end.isoformat()), 422, "input.invalid")

    @pytest.mark.parametrize("name", ["owner", "app", "auditor", "reviewer"])
    def test_is_for_administrators(self, registry: RegistryUnderTest, name: str) -> None:
        problem = refused(issue(registry, name), 403, "policy.denied")
        assert [reason["rule"] for reason in problem["decision"]["reasons"]] == ["administration.credentials-role"]

    @pytest.mark.parametrize(
        "members", [{"roles": []}, {"roles": ["app", "app"]}, {"scopes": []}, {"scopes": ["all:write"]}]
    )
    def test_refuses_what_is_none(self, registry: RegistryUnderTest, members: dict[str, Any]) -> None:
        assert issue(registry, **members).status_code == 422

    def test_is_done_once_under_an_idempotency_key_and_its_text_is_not_kept(self, registry: RegistryUnderTest) -> None:
        headers = {"Idempotency-Key": "k" * 16}
        answers = [registry.client("admin").post("/v1/credentials", json=APP, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 409]
        with registry.runtime.transaction(TenantName("demo")) as session:
            (kept,) = session.execute(text("SELECT body FROM idempotency_keys")).one()
        assert kept is None


class TestList:
    def test_shows_last_use_and_no_text(self, registry: RegistryUnderTest) -> None:
        registry.client("app").get("/v1/whoami")
        answer = registry.client("admin").get("/v1/credentials")
        views = {view["digest"]: view for view in accepted(answer)["credentials"]}
        assert views[own(registry, "app")]["last_used_at"] is not None
        assert views[own(registry, "owner")]["last_used_at"] is None
        assert {view["principal"].split("/")[0] for view in views.values()} == {"demo"}
        assert not any(secret in answer.text for secret in registry.credentials.values())

    def test_shows_everybody_else_their_own(self, registry: RegistryUnderTest) -> None:
        views = accepted(registry.client("app").get("/v1/credentials"))["credentials"]
        assert [view["principal"] for view in views] == ["demo/app"]

    def test_pages_are_stable_while_credentials_are_issued(self, registry: RegistryUnderTest) -> None:
        before = [v["digest"] for v in accepted(registry.client("admin").get("/v1/credentials"))["credentials"]]
        seen, cursor = [], None
        while True:
            query = f"?limit=3&cursor={cursor}" if cursor else "?limit=3"
            page = accepted(registry.client("admin").get(f"/v1/credentials{query}"))
            seen += [view["digest"] for view in page["credentials"]]
            registry.clock.advance(seconds=1)
            if len(seen) <= len(before):
                issue(registry)
            if not (cursor := page.get("next_cursor")):
                break
        assert seen[: len(before)] == before
        assert len(seen) == len(set(seen)) > len(before)

    @pytest.mark.parametrize("cursor", ["x", "W10", "WyIxIiwiMiJd", "WyJhXHUwMDAwIiwiYiJd", "WzEsICJcdWQ4MDAiXQ"])
    def test_refuses_a_cursor_that_is_none(self, registry: RegistryUnderTest, cursor: str) -> None:
        refused(registry.client("admin").get(f"/v1/credentials?cursor={cursor}"), 422, "input.invalid")


class TestRotation:
    def rotate(self, registry: RegistryUnderTest, name: str, digest: Digest, **members: Any) -> httpx.Response:
        return registry.client(name).post(f"/v1/credentials/{digest}/rotation", json=members)

    def test_lets_both_work_while_the_overlap_lasts(self, registry: RegistryUnderTest) -> None:
        old = registry.credentials["app"]
        issued = accepted(self.rotate(registry, "app", own(registry, "app"), overlap_seconds=60))
        assert issued["credential"]["roles"] == ["app"]
        assert [status_of(registry, secret) for secret in (old, issued["text"])] == [200, 200]
        registry.clock.advance(seconds=59)
        assert status_of(registry, old) == 200
        registry.clock.advance(seconds=1)
        assert [status_of(registry, secret) for secret in (old, issued["text"])] == [401, 200]

    def test_is_logged_with_both_and_the_end(self, registry: RegistryUnderTest) -> None:
        issued = accepted(self.rotate(registry, "admin", own(registry, "app"), overlap_seconds=0))
        entry = logged(registry)
        assert (entry["event"], entry["actor"], entry["subject"]) == ("credential:rotated", "demo/admin", "demo/app")
        assert entry["evidence"] == {
            "credential": Digest.of(issued["text"].encode()),
            "replaced": own(registry, "app"),
        }
        assert entry["facts"]["ends_at"] == registry.clock.now.isoformat(timespec="seconds")
        assert status_of(registry, registry.credentials["app"]) == 401

    def test_keeps_scopes_and_the_length_of_life(self, registry: RegistryUnderTest) -> None:
        end = registry.clock.now + timedelta(days=7)
        first = accepted(issue(registry, expires_at=end.isoformat(), scopes=["credentials:write"]))
        registry.clock.advance(days=3)
        client = bearer(registry, first["text"])
        digest = first["credential"]["digest"]
        second = accepted(client.post(f"/v1/credentials/{digest}/rotation", json={}))["credential"]
        assert second["scopes"] == ["credentials:write"]
        assert second["expires_at"] == (registry.clock.now + timedelta(days=7)).isoformat().replace("+00:00", "Z")

    def test_happens_once_to_a_credential(self, registry: RegistryUnderTest) -> None:
        accepted(self.rotate(registry, "app", own(registry, "app")))
        refused(self.rotate(registry, "app", own(registry, "app")), 409, "resource.conflict")

    def test_of_others_is_for_administrators(self, registry: RegistryUnderTest) -> None:
        refused(self.rotate(registry, "app", own(registry, "owner")), 403, "policy.denied")
        refused(self.rotate(registry, "app", Digest.of(b"nobody's")), 403, "policy.denied")

    def test_of_ones_own_gives_no_role_that_is_not_shown(self, registry: RegistryUnderTest) -> None:
        wide = accepted(issue(registry, roles=["admin", "owner"]))
        narrow = bearer(registry, accepted(issue(registry))["text"])
        rotation = f"/v1/credentials/{wide['credential']['digest']}/rotation"
        refused(narrow.post(rotation, json={}), 403, "auth.forbidden", "has not the role admin, owner")
        assert status_of(registry, wide["text"]) == 200
        accepted(bearer(registry, wide["text"]).post(rotation, json={}))

    def test_of_ones_own_lasts_no_longer(self, registry: RegistryUnderTest) -> None:
        end = registry.clock.now + timedelta(hours=1)
        short = accepted(issue(registry, expires_at=end.isoformat()))
        client, later = bearer(registry, short["text"]), (end + timedelta(seconds=1)).isoformat()
        rotation = f"/v1/credentials/{short['credential']['digest']}/rotation"
        refused(client.post(rotation, json={"expires_at": later}), 403, "auth.forbidden", "no longer than it")
        sibling = accepted(issue(registry))["credential"]["digest"]
        refused(client.post(f"/v1/credentials/{sibling}/rotation", json={}), 403, "auth.forbidden", "no longer than it")
        accepted(registry.client("admin").post(rotation, json={"expires_at": later}))

    def test_never_lengthens_the_old_ones_life(self, registry: RegistryUnderTest) -> None:
        end = registry.clock.now + timedelta(seconds=30)
        first = accepted(issue(registry, expires_at=end.isoformat()))
        accepted(self.rotate(registry, "admin", Digest(first["credential"]["digest"]), overlap_seconds=3600))
        registry.clock.advance(seconds=30)
        assert status_of(registry, first["text"]) == 401


class TestRevocation:
    def test_ends_a_credential_at_once_and_is_logged(self, registry: RegistryUnderTest) -> None:
        path = f"/v1/credentials/{own(registry, 'app')}/revocation"
        accepted(registry.client("admin").post(path))
        assert status_of(registry, registry.credentials["app"]) == 401
        entry = logged(registry)
        assert (entry["event"], entry["evidence"]) == ("credential:revoked", {"credential": own(registry, "app")})
        refused(registry.client("admin").post(path), 404, "resource.not_found")

    def test_ends_an_overlap_early(self, registry: RegistryUnderTest) -> None:
        accepted(registry.client("app").post(f"/v1/credentials/{own(registry, 'app')}/rotation", json={}))
        accepted(registry.client("admin").post(f"/v1/credentials/{own(registry, 'app')}/revocation"))
        assert status_of(registry, registry.credentials["app"]) == 401

    def test_of_ones_own_is_everybodys_and_of_others_is_not(self, registry: RegistryUnderTest) -> None:
        refused(
            registry.client("owner").post(f"/v1/credentials/{own(registry, 'app')}/revocation"), 403, "policy.denied"
        )
        accepted(registry.client("app").post(f"/v1/credentials/{own(registry, 'app')}/revocation"))


class TestScopes:
    def narrow(self, registry: RegistryUnderTest, *scopes: str, roles: tuple[str, ...] = ("app",)) -> httpx.Client:
        issued = accepted(issue(registry, scopes=list(scopes), roles=list(roles)))
        return bearer(registry, issued["text"])

    def test_close_what_the_roles_would_allow(self, registry: RegistryUnderTest) -> None:
        Steps(registry).approved()
        reader = self.narrow(registry, "concepts:read")
        assert reader.get("/v1/resolve?ref=demo/fox").status_code == 200
        for method, path in (("POST", "/v1/generations"), ("POST", "/v1/concepts"), ("GET", "/v1/credentials")):
            answer = reader.request(method, path, json={})
            problem = refused(answer, 403, "auth.forbidden")
            assert "limited to concepts:read; this needs" in problem["detail"]

    def test_the_log_can_always_be_held_to_what_was_seen_of_it(self, registry: RegistryUnderTest) -> None:
        reader = self.narrow(registry, "concepts:read", "generations:write")
        assert reader.get("/v1/log/consistency?old_size=1&new_size=2").json()["hashes"]
        refused(reader.get("/v1/log/entries"), 403, "auth.forbidden")

    def test_never_open_what_the_roles_do_not_allow(self, registry: RegistryUnderTest) -> None:
        client = self.narrow(registry, "log:read", "credentials:write")
        refused(client.get("/v1/log/entries"), 403, "policy.denied")
        refused(client.post("/v1/credentials", json=APP), 403, "policy.denied")

    def test_an_administrator_hands_out_no_more_than_was_given(self, registry: RegistryUnderTest) -> None:
        client = self.narrow(registry, "credentials:write", "concepts:read", roles=("admin",))
        accepted(client.post("/v1/credentials", json=APP | {"scopes": ["concepts:read"]}))
        for scopes in (None, ["concepts:write"], ["log:read"]):
            refused(client.post("/v1/credentials", json=APP | {"scopes": scopes}), 403, "auth.forbidden")
        rotation = f"/v1/credentials/{own(registry, 'app')}/rotation"
        refused(client.post(rotation, json={}), 403, "auth.forbidden")

    def test_do_not_sign_in_to_the_console(self, registry: RegistryUnderTest) -> None:
        from registry.console.sessions import open_session
        from sdk.errors import PermissionDenied

        secret = accepted(issue(registry, scopes=["concepts:read"]))["text"]
        with pytest.raises(PermissionDenied, match="limited to scopes"), registry.runtime.transaction() as session:
            open_session(session, registry.runtime, secret)

    def test_a_replay_is_closed_too(self, registry: RegistryUnderTest) -> None:
        headers = {"Idempotency-Key": "k" * 16}
        body = {"id": "demo/den", "kind": "subject", "title": "Den"}
        accepted(registry.client("owner").post("/v1/concepts", json=body, headers=headers))
        narrow = accepted(
            registry.client("admin").post(
                "/v1/credentials", json={"principal": "demo/owner", "roles": ["owner"], "scopes": ["log:read"]}
            )
        )
        answer = bearer(registry, narrow["text"]).post("/v1/concepts", json=body, headers=headers)
        refused(answer, 403, "auth.forbidden")

    def test_every_route_has_one_or_is_closed_to_narrow_credentials(self, registry: RegistryUnderTest) -> None:
        found = {}
        for path, item in registry.app.openapi()["paths"].items():
            for method in item:
                try:
                    found[method.upper(), path] = scope_of(method.upper(), path)
                except LookupError:
                    assert path == "/v1/trust-root" or path.startswith(("/v1/tuf/", "/v1/status/")), path
                    found[method.upper(), path] = None  # asks for no credential
        version = "/v1/concepts/{tenant}/{name}/versions/{number}"
        for act in ("review-request", "assignment", "comments", "reviews", "revocation", "renewals", "break-glass"):
            assert found["POST", f"{version}/{act}"] is Scope.REVIEWS_WRITE
        assert found["POST", f"{version}/renewal/reviews"] is Scope.REVIEWS_WRITE
        assert found["POST", "/v1/consents/{consent}/reinstatement"] is Scope.REVIEWS_WRITE
        for read in (f"{version}/comments", f"{version}/renewals", f"{version}/renewal"):
            assert found["GET", read] is Scope.REVIEWS_READ
        for queue in ("/v1/reviews", "/v1/renewals", "/v1/break-glasses"):
            assert found["GET", queue] is Scope.REVIEWS_READ
        assert found["GET", "/v1/reminders"] is Scope.RECORDS_READ
        assert found["POST", "/v1/consents/{consent}/withdrawal"] is Scope.RECORDS_WRITE
        assert found["POST", "/v1/concepts/{tenant}/{name}/versions"] is Scope.CONCEPTS_WRITE
        assert found["GET", version] is Scope.CONCEPTS_READ
        assert found["POST", "/v1/generations/identify"] is Scope.GENERATIONS_READ
        assert found["GET", "/v1/generations/{generation}/artefacts/{digest}"] is Scope.GENERATIONS_READ
        assert found["PUT", "/v1/blobs/{digest}"] is Scope.RECORDS_WRITE
        used = {scope for scope in found.values() if scope}
        assert used >= set(Scope) - {Scope.TRAINING_WRITE, Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE}

    def test_who_generated_with_a_version_is_about_generations(self) -> None:
        assert scope_of("GET", "/v1/concepts/demo/fox/versions/1/blast-radius") is Scope.GENERATIONS_READ

    def test_notices_hold_only_what_they_open(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        envelope = opening(registry, version, "reviewer", "second-reviewer", reason="tonight")
        accepted(open_version(registry, version, envelope, "reviewer"))
        for scopes, told in ((["generations:read"], 0), (["generations:read", "reviews:read"], 1)):
            narrow = accepted(issue(registry, roles=["reviewer"], scopes=scopes))
            assert len(bearer(registry, narrow["text"]).get("/v1/notices").json()["break_glasses"]) == told

    def test_what_nobody_placed_is_closed(self) -> None:
        from registry.scopes import require_scope
        from sdk.errors import PermissionDenied

        require_scope(None, "GET", "/v1/something-new")
        with pytest.raises(PermissionDenied, match="no scope allows this"):
            require_scope(frozenset(Scope), "GET", "/v1/something-new")
