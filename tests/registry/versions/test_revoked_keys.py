"""A key that was revoked signs nothing more, and what it signed before goes on counting."""

from __future__ import annotations

from dataclasses import replace

from support.asgi import AsgiTransport
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, refused

from registry.app import create_app
from sdk.signing.trust import TrustRoot, sign_trust_root
from sdk.spec.bundle import VersionBundle
from sdk.spec.ids import parse_version_ref
from sdk.verify import verify_version


def revoked(registry: RegistryUnderTest, name: str, last_entry: int) -> tuple[RegistryUnderTest, TrustRoot]:
    """The registry after its operator revoked the key of `name`."""
    before, keyid = registry.runtime.trust_root, registry.keys[name].keyid
    key = before.keys[keyid].model_copy(update={"last_entry": last_entry})
    root = before.model_copy(update={"version": 2, "keys": before.keys | {keyid: key}})
    runtime = replace(
        registry.runtime, trust_root=root, trust_root_envelope=sign_trust_root(root, registry.keys["root"])
    )
    app = create_app(runtime)
    return replace(registry, runtime=runtime, app=app, transport=AsgiTransport(app), _clients={}), root


class TestRevokedKey:
    def test_approves_nothing_more_and_what_it_approved_stays(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        approved = steps.approved()
        size = len(steps.get("auditor", "/v1/log/entries?limit=1000")["entries"])
        after, root = revoked(registry, "reviewer", size - 1)
        later = Steps(after)
        bundle = VersionBundle.model_validate(later.get("app", approved.path))
        listed = after.client(None).get("/v1/status/demo/0").content
        now = registry.clock.now
        assert verify_version(bundle, ref=parse_version_ref(str(FOX)), trust=root, now=now, status_list=listed)
        second = later.submitted(embedding=b"2")
        refused(later.review(second), 422, "verification.signature", f"counts up to entry {size - 1} of the log")
        accepted(later.review(second, "second-reviewer"))
        for client in after._clients.values():
            client.close()

    def test_attests_nothing_more(self, registry: RegistryUnderTest) -> None:
        after, _ = revoked(registry, "training-service", -1)
        steps = Steps(after)
        answer = steps.submit(steps.manifest())
        refused(answer, 422, "verification.signature", "counts up to entry -1")
        for client in after._clients.values():
            client.close()
