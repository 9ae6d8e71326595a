"""Migrations on a database that holds something: down step by step and up again, and what stays still proves itself."""

from __future__ import annotations

import psycopg
from support.database import DatabaseServer
from support.registry import BASE_URL, make_test_registry
from support.versions import FOX, Steps, accepted

from registry.db import downgrade, head_revision, upgrade
from sdk.audit import verify_log
from sdk.client import Client
from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.ids import AliasName

WEBHOOK = {"url": "https://hooks.example.com/in", "events": ["version.submitted"]}
NARROW = {"principal": "demo/shop", "roles": ["app"], "scopes": ["concepts:read"]}


def populate(steps: Steps) -> None:
    version = steps.approved()
    changes = (AliasChange(concept=FOX, alias=AliasName("stable"), number=1),)
    accepted(steps.post("owner", "/v1/aliases", AliasChanges(changes=changes)))
    grant = accepted(steps.compose(version))
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], version)))
    admin = steps.registry.client("admin")
    accepted(admin.post("/v1/webhooks", json=WEBHOOK))
    accepted(admin.post("/v1/credentials", json=NARROW))


class TestPopulated:
    OLDEST = 2

    def test_every_step_goes_down_and_up_again(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            populate(Steps(registry))
            registry.engine.dispose()
            for number in range(int(head_revision() or 0), self.OLDEST - 1, -1):
                before = f"{number - 1:04}"
                downgrade(url, before)
                upgrade(url, f"{number:04}")
                downgrade(url, before)

    def test_the_log_and_the_version_are_whole_after_the_newest_steps(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            populate(Steps(registry))
            with Client(BASE_URL, registry.credentials["auditor"], transport=registry.transport) as client:
                seen = client.log_checkpoint()
                before = client.resolve("demo/fox@stable")
            registry.engine.dispose()
            downgrade(url, "0020")
            upgrade(url)
            with Client(BASE_URL, registry.credentials["auditor"], transport=registry.transport) as client:
                verify_log(client, registry.runtime.trust_root, remembered=[seen])
                assert client.resolve("demo/fox@stable").manifest == before.manifest

    def test_a_narrow_credential_never_comes_back_as_a_wide_one(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            accepted(registry.client("admin").post("/v1/credentials", json=NARROW))
            registry.engine.dispose()
            downgrade(url, "0020")
            with psycopg.connect(url) as connection:
                statement = "SELECT revoked_at FROM credentials WHERE principal = 'demo/shop'"
                ((revoked_at,),) = connection.execute(statement).fetchall()
        assert revoked_at is not None

    def test_what_is_sealed_is_about_nobody_in_the_schema_of_before(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url:
            upgrade(url, "0016")
            with psycopg.connect(url) as connection:
                for sealed in (b"{\xff\x00 begins like JSON", b"\x9c\x01\x02", b"{'not': json", b"{}"):
                    ((found,),) = connection.execute("SELECT subject_of_record(%b)", (sealed,)).fetchall()
                    assert found is None
                ((found,),) = connection.execute("SELECT subject_of_record(%b)", (b'{"subject": "s-1"}',)).fetchall()
        assert found == "s-1"
