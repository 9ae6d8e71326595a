"""What the registry says of itself, to whom."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from support.asgi import AsgiTransport
from support.database import DatabaseServer
from support.registry import POLICIES, RegistryUnderTest, make_test_registry

from registry.app import create_app
from registry.db import downgrade
from sdk.policy.bundle import load_bundle, parse_bundle
from sdk.signing.signer import Ed25519Signer
from sdk.signing.trust import verify_trust_root
from sdk.spec.api import Health, PolicyBundleView
from sdk.spec.envelope import parse_envelope


class TestHealth:
    def test_is_told_to_everybody(self, registry: RegistryUnderTest) -> None:
        health = Health.model_validate_json(registry.client(None).get("/healthz").content)
        assert (health.service, health.status) == ("registry", "ok")

    def test_readiness_needs_the_schema_of_this_code(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            assert registry.client(None).get("/readyz").json()["status"] == "ready"
            downgrade(url, "0002")
            response = registry.client(None).get("/readyz")
            assert (response.status_code, "0002" in response.json()["detail"]) == (503, True)


class BrokenStore:
    """A blob store that cannot be reached, and says where it would be."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError("s3://secret-bucket is away")


class TestReadiness:
    def test_names_every_part_that_cannot_serve_and_no_address(self, registry: RegistryUnderTest) -> None:
        class Forgetful(Ed25519Signer):
            def sign(self, content: bytes) -> bytes:
                return super().sign(b"something else")

        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"test key log").digest())
        broken = replace(registry.runtime, blobs=BrokenStore(), log_signer=Forgetful(key))
        answer = AsgiTransport(create_app(broken))._inner.get("/readyz")
        assert answer.status_code == 503
        detail = answer.json()["detail"]
        assert "blob store: it failed with RuntimeError" in detail
        assert "log key: what it signs does not verify" in detail
        assert "database" not in detail
        assert "secret-bucket" not in detail

    def test_needs_a_trust_root_that_has_not_expired(self, registry: RegistryUnderTest) -> None:
        registry.clock.advance(days=365)
        answer = registry.client(None).get("/readyz")
        assert (answer.status_code, "trust root" in answer.json()["detail"]) == (503, True)

    @pytest.mark.parametrize(("found", "status"), [("0001", 503), ("9999", 200)])
    def test_needs_its_own_schema_or_a_newer_one(self, registry: RegistryUnderTest, found: str, status: int) -> None:
        with registry.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :found"), {"found": found})
        answer = registry.client(None).get("/readyz")
        assert answer.status_code == status
        assert ("database: the database has schema 0001, this registry needs" in answer.text) == (status == 503)

    def test_needs_the_database(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            registry.engine.dispose()
            name = url.split("?")[0].rsplit("/", 1)[1]
            postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            answer = registry.client(None).get("/readyz")
            assert (answer.status_code, answer.json()["detail"]) == (503, "not ready; database: it gives no answer")


class TestTrustRoot:
    def test_is_the_signed_one_byte_for_byte(self, registry: RegistryUnderTest) -> None:
        envelope = parse_envelope(registry.client(None).get("/v1/trust-root").content)
        assert envelope == registry.runtime.trust_root_envelope
        assert verify_trust_root(envelope, now=registry.clock()) == registry.runtime.trust_root


class TestPolicies:
    def test_are_the_files_the_registry_decides_by(self, registry: RegistryUnderTest) -> None:
        view = PolicyBundleView.model_validate_json(registry.client("app").get("/v1/policies").content)
        assert parse_bundle(view) == load_bundle(POLICIES)
