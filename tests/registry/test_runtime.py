"""The runtime refuses parts that do not fit; a transaction is all or nothing; a database that went away comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from support.database import DatabaseServer
from support.registry import RegistryUnderTest, make_test_registry

from registry.log.service import append, tree_size
from sdk.errors import ConfigurationError
from sdk.policy.bundle import PolicyBundle
from sdk.spec.log_entry import AuditEventType


class TestRuntime:
    def test_refuses_a_log_key_that_nobody_trusts(self, registry: RegistryUnderTest) -> None:
        with pytest.raises(ConfigurationError, match="no log key of the trust root"):
            replace(registry.runtime, log_signer=registry.keys["reviewer"])

    def test_refuses_a_status_key_that_nobody_trusts(self, registry: RegistryUnderTest) -> None:
        with pytest.raises(ConfigurationError, match="no status key of the trust root"):
            replace(registry.runtime, status_signer=registry.keys["log"])

    def test_refuses_an_engine_of_other_policies(self, registry: RegistryUnderTest) -> None:
        with pytest.raises(ConfigurationError, match="does not decide by the bundle"):
            replace(registry.runtime, policy_bundle=PolicyBundle(files={"a.cedar": ""}))


class TestTransaction:
    def test_leaves_nothing_behind_when_it_fails(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction() as session:
            before = tree_size(session)
        with pytest.raises(RuntimeError), registry.runtime.transaction() as session:
            append(
                session,
                registry.runtime,
                event=AuditEventType.CONCEPT_CREATED,
                actor=registry.principals["owner"],
                subject="demo/fox",
            )
            raise RuntimeError
        with registry.runtime.transaction() as session:
            assert tree_size(session) == before


class TestDatabaseAway:
    def test_a_connection_cut_in_the_middle_of_a_request_is_503(self, postgres_server: DatabaseServer) -> None:
        def cutting(clock_of: RegistryUnderTest) -> None:
            with clock_of.runtime.transaction() as session:
                session.execute(text("SELECT 1"))
                postgres_server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                    "AND backend_type = 'client backend'"
                )
                session.execute(text("SELECT 1"))

        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            registry.app.add_api_route("/cut", lambda: cutting(registry))
            response = registry.client(None).get("/cut")
            assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
            assert registry.client("app").get("/v1/whoami").status_code == 200, "the pool connects anew by itself"

    def test_connections_that_were_ended_while_idle_are_made_anew_and_no_request_fails(
        self, postgres_server: DatabaseServer
    ) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            client = registry.client("app")
            assert client.get("/v1/whoami").status_code == 200
            postgres_server.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            )
            assert client.get("/v1/whoami").status_code == 200

    def test_a_database_that_is_not_there_is_503(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            name = registry.engine.url.database
            postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            registry.engine.dispose()
            response = registry.client("app").get("/v1/whoami")
            assert (response.status_code, response.json()["code"]) == (503, "service.unavailable")
            assert registry.client(None).get("/healthz").status_code == 200
            postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert registry.client("app").get("/v1/whoami").status_code == 200


class TestLook:
    def test_is_used_only_for_what_has_no_tenant(self) -> None:
        registry = Path(__file__).parents[2] / "registry"
        users = {path.relative_to(registry) for path in registry.rglob("*.py") if ".look()" in path.read_text()}
        assert users == {Path("auth.py"), Path("log/proofs.py")}

    def test_sends_each_statement_by_itself(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.look() as connection:
            first, second = (connection.scalar(text("SELECT pg_current_xact_id()::text")) for _ in range(2))
        assert first != second

    def test_leaves_the_next_transaction_whole(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.look() as connection:
            connection.execute(text("SELECT 1"))
        with registry.runtime.transaction() as session:
            first, second = (session.scalar(text("SELECT pg_current_xact_id()::text")) for _ in range(2))
        assert first == second
