"""Credentials: who gets in, who does not, what is stored, and that no route forgot to ask."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select
from support.registry import RegistryUnderTest

from registry.auth import CREDENTIAL_PREFIX, Caller, CredentialRow, end_credential
from sdk.errors import NotFound, PermissionDenied
from sdk.spec.api import Problem
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.policy import Role

PUBLIC = {"/healthz", "/readyz", "/v1/trust-root", "/v1/log/checkpoint"}
PUBLIC_PREFIXES = ("/v1/log/tile/", "/v1/log/checkpoint/", "/v1/status/", "/v1/tuf/")


def whoami(registry: RegistryUnderTest, header: str | None) -> tuple[int, str]:
    headers = {"Authorization": header} if header is not None else {}
    response = registry.client(None).get("/v1/whoami", headers=headers)
    if response.is_success:
        return response.status_code, response.json()["principal"]
    return response.status_code, Problem.model_validate_json(response.content).detail


class TestAuthentication:
    def test_takes_a_credential_for_its_principal(self, registry: RegistryUnderTest) -> None:
        response = registry.client("trainer").get("/v1/whoami")
        assert response.json() == {
            "principal": "demo/trainer",
            "tenant": "demo",
            "roles": ["owner", "trainer"],
            "scopes": None,
        }

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            (None, "no credential was given"),
            ("", "no credential was given"),
            ("Basic dXNlcjpwYXNz", "holds no credential"),
            ("Bearer imp_short", "holds no credential"),
            ("Bearer imp_" + "A" * 43, "unknown"),
        ],
    )
    def test_refuses(self, registry: RegistryUnderTest, header: str | None, reason: str) -> None:
        status, detail = whoami(registry, header)
        assert status == 401
        assert reason in detail

    def test_refuses_an_expired_credential(self, registry: RegistryUnderTest) -> None:
        registry.clock.advance(days=registry.runtime.settings.credential_days, seconds=-1)
        assert registry.client("app").get("/v1/whoami").status_code == 200
        registry.clock.advance(seconds=1)
        status, detail = whoami(registry, f"Bearer {registry.credentials['app']}")
        assert (status, "expired" in detail) == (401, True)

    def test_refuses_a_revoked_credential(self, registry: RegistryUnderTest) -> None:
        digest = Digest.of(registry.credentials["app"].encode())
        with registry.runtime.transaction() as session:
            end_credential(session, digest, registry.clock(), now=registry.clock())
        status, detail = whoami(registry, f"Bearer {registry.credentials['app']}")
        assert (status, "revoked" in detail) == (401, True)
        with registry.runtime.transaction() as session, pytest.raises(NotFound):
            end_credential(session, digest, registry.clock(), now=registry.clock())

    def test_stores_digests_only(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction() as session:
            rows = session.scalars(select(CredentialRow)).all()
            stored = " ".join(str(vars(row)) for row in rows)
        assert rows
        assert all(text.startswith(CREDENTIAL_PREFIX) and text not in stored for text in registry.credentials.values())

    def test_notes_the_last_use_now_and_then(self, registry: RegistryUnderTest) -> None:
        def last_used() -> object:
            with registry.runtime.transaction() as session:
                return session.get_one(CredentialRow, Digest.of(registry.credentials["app"].encode())).last_used_at

        assert last_used() is None
        first = registry.clock()
        for seconds, expected_move in ((0, 0), (59, 0), (1, 60)):
            registry.clock.advance(seconds=seconds)
            registry.client("app").get("/v1/whoami")
            assert (last_used() - first).total_seconds() == expected_move  # type: ignore[operator]


class TestRoutes:
    def test_every_route_but_the_public_ones_asks_who_is_calling(self, registry: RegistryUnderTest) -> None:
        operations = [(method, path) for path, item in registry.app.openapi()["paths"].items() for method in item]
        assert {path for _, path in operations} >= PUBLIC
        for method, path in operations:
            status = registry.client(None).request(method, re.sub(r"{[a-z_]+}", "1", path)).status_code
            public = path in PUBLIC or path.startswith(PUBLIC_PREFIXES)
            assert (status == 401) != public, f"{method} {path} answered {status} to nobody"


class TestCaller:
    CALLER = Caller(
        principal=PrincipalId("demo/app"), tenant=TenantName("demo"), roles=frozenset({Role.APP, Role.AUDITOR})
    )

    def test_require_passes_with_any_of_the_roles(self) -> None:
        self.CALLER.require(Role.REVIEWER, Role.AUDITOR)

    def test_require_names_what_is_held_and_what_is_needed(self) -> None:
        with pytest.raises(PermissionDenied, match="demo/app has the roles app, auditor; this needs reviewer or owner"):
            self.CALLER.require(Role.REVIEWER, Role.OWNER)
