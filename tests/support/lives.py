"""A tenant that has done everything that leaves a row, for tests of who can see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import httpx
from support.break_glass import open_version, opening
from support.governed import EVIDENCE, SALT
from support.prepared import After
from support.registry import START, RegistryUnderTest
from support.renewal import renewed
from support.versions import FOX, Steps, Submitted, accepted

from registry.reminders.service import remind_all
from registry.webhooks.delivery import Due, deliver
from registry.webhooks.sending import Attempt
from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.consent_events import ConsentAnswer, ConsentEvent
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureRequest
from sdk.spec.ids import AliasName, PrincipalId, TenantName
from sdk.spec.manifest import ArtefactRole
from sdk.spec.recall import NoticeAcknowledgement
from sdk.spec.subjects import SubjectBinding
from sdk.spec.terms import Capacity, Expression

DEMO, OTHER = TenantName("demo"), TenantName("other")
MASK: Final = b"a mask"
WEBHOOK: Final = {"url": "https://hooks.example.com/in", "events": ["version.submitted"]}
BINDING: Final = SubjectBinding(pseudonym="subject-0001", principal=PrincipalId("demo/subject"), capacity=Capacity.SELF)
ANSWER: Final = ConsentAnswer(
    answer=ConsentEvent.RECONFIRM,
    expressed_by="subject-0001",
    expressed_as=Capacity.SELF,
    expressed_on=START.date(),
    expressed_through=Expression.SIGNATURE,
    evidence=EVIDENCE,
    salt=SALT,
)


@dataclass(frozen=True, kw_only=True)
class Lives:
    """What tenant demo has; tenant other asks for it."""

    registry: RegistryUnderTest
    steps: Steps
    version: Submitted
    licence: str
    generation: str
    webhook: str
    mask: Digest
    log_index: int

    def ask(self, method: str, path: str, name: str = "other-owner", body: bytes | None = None) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return self.registry.client(name).request(method, path, content=body, headers=headers)


def live(registry: RegistryUnderTest) -> Lives:
    """Everything that leaves a row."""
    steps = Steps(registry)
    licence = steps.licence(steps.concept(), terms=steps.terms(), max_images=100)
    version = steps.submitted(licences=(licence["id"],), files={ArtefactRole.MASK: MASK})
    steps.consent(FOX, subject="subject-erased")
    accepted(steps.post("owner", "/v1/erasures", ErasureRequest(subject="subject-erased")))
    registry.client("reviewer").get(f"{version.path}/files/{Digest.of(MASK)}").raise_for_status()
    accepted(steps.comment(version))
    accepted(steps.assign(version, "reviewer"))
    accepted(open_version(registry, version, opening(registry, version, "reviewer", "second-reviewer"), "reviewer"))
    accepted(steps.review(version))
    soon = steps.terms(valid_until=registry.clock.now + timedelta(days=10))
    steps.consent(FOX, subject="subject-soon", terms=soon)
    assert remind_all(registry.runtime) == 1
    accepted(steps.post("owner", "/v1/subjects", BINDING))
    accepted(steps.post("owner", f"/v1/consents/{version.consent}/answers", ANSWER))
    changes = (AliasChange(concept=FOX, alias=AliasName("stable"), number=1),)
    accepted(steps.post("owner", "/v1/aliases", AliasChanges(changes=changes)))
    grant = accepted(steps.compose(version))
    artefact = version.manifest.artefacts[0].digest
    registry.client("app").get(f"/v1/generations/{grant['id']}/artefacts/{artefact}").raise_for_status()
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], version)))
    renewed(steps, version)
    withdrawal = f"/v1/consents/{version.consent}/withdrawal"
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k" * 16}
    accepted(registry.client("owner").post(withdrawal, content=b'{"reason": "asked to"}', headers=headers))
    accepted(steps.revoke(version))
    registry.client(None).get("/v1/status/demo/0").raise_for_status()
    registry.client("app").get("/v1/notices").raise_for_status()
    accepted(steps.post("app", "/v1/notices/acknowledgements", NoticeAcknowledgement(concept=FOX, number=1)))
    webhook = accepted(registry.client("admin").post("/v1/webhooks", json=WEBHOOK))
    accepted(registry.client("admin").post(f"/v1/webhooks/{webhook['id']}/replay", json={"after": -1}))
    work = Due(webhook=webhook["id"], tenant=DEMO)
    assert deliver(registry.runtime, work, lambda url, message, at: Attempt(status=200, fault=None)) == 1
    return Lives(
        registry=registry,
        steps=steps,
        version=version,
        licence=licence["id"],
        generation=grant["id"],
        webhook=webhook["id"],
        mask=Digest.of(MASK),
        log_index=len(steps.events()) - 1,
    )


@contextmanager
def lived(after: After) -> Iterator[Lives]:
    """A registry in which tenant demo has lived, for one test."""
    done = after(live)
    with done.copy() as registry:
        yield replace(done.made, registry=registry, steps=Steps(registry))
