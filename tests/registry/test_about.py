"""What the registry says of itself, to whom."""

from __future__ import annotations

from support.database import DatabaseServer
from support.registry import POLICIES, RegistryUnderTest, make_test_registry

from registry.db import downgrade
from sdk.policy.bundle import load_bundle, parse_bundle
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


class TestTrustRoot:
    def test_is_the_signed_one_byte_for_byte(self, registry: RegistryUnderTest) -> None:
        envelope = parse_envelope(registry.client(None).get("/v1/trust-root").content)
        assert envelope == registry.runtime.trust_root_envelope
        assert verify_trust_root(envelope, now=registry.clock()) == registry.runtime.trust_root


class TestPolicies:
    def test_are_the_files_the_registry_decides_by(self, registry: RegistryUnderTest) -> None:
        view = PolicyBundleView.model_validate_json(registry.client("app").get("/v1/policies").content)
        assert parse_bundle(view) == load_bundle(POLICIES)
