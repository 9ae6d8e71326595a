"""What is resolved: `demo/fox@stable`, an approved version with its consent, licence and proofs, made by the tests' steps."""

from __future__ import annotations

from support.registry import make_test_registry
from support.versions import FOX, Steps, accepted

from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.ids import AliasName

REF = f"{FOX}@stable"


def make_world(database_url: str) -> str:
    """Fill the migrated database at `database_url`; returns the credential of the application that resolves."""
    with make_test_registry(database_url) as registry:
        steps = Steps(registry)
        steps.approved()
        changes = (AliasChange(concept=FOX, alias=AliasName("stable"), number=1),)
        accepted(steps.post("owner", "/v1/aliases", AliasChanges(changes=changes)))
        bundle = accepted(registry.client("app").get("/v1/resolve", params={"ref": REF}))
        assert bundle["status"] == "approved"
        return registry.credentials["app"]
