"""A registry with a row in every table that fsck looks into, made by the acts that make such rows.

with postgres_server.fresh_database() as url, make_test_registry(url, change=witnessed) as registry:
    fill(registry)
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Final

from support.break_glass import open_version, opening
from support.governed import EVIDENCE, SALT, fixed_signer
from support.registry import START, RegistryUnderTest
from support.renewal import asked, renewed
from support.versions import FOX, Steps, accepted

from registry.log.proofs import checkpoint_note
from registry.log.tables import LogCosignatureRow
from registry.reminders.service import remind_all
from registry.runtime import Runtime
from registry.webhooks.delivery import Due, deliver
from registry.webhooks.sending import Attempt, Message
from sdk.signing.cosign import cosigner_key, sign_cosignature
from sdk.spec.api import AliasChange, AliasChanges
from sdk.spec.consent_events import ConsentAnswer, ConsentEvent, LifeEvent, LifeEventReport
from sdk.spec.erasure import ErasureRequest
from sdk.spec.ids import AliasName, ConceptId, RecordId, TenantName
from sdk.spec.log_checkpoint import encode_note_signatures, parse_signed_checkpoint
from sdk.spec.log_policy import LogPolicy, Party
from sdk.spec.manifest import ArtefactRole, ConceptKind
from sdk.spec.recall import NoticeAcknowledgement
from sdk.spec.subjects import SubjectBinding
from sdk.spec.terms import Capacity, Expression

FILES: Final = {ArtefactRole.MASK: b"a mask", ArtefactRole.REPORT: b"a report"}
TOKYO: Final = timezone(timedelta(hours=9))
WITNESS: Final = fixed_signer("witness")


def witnessed(runtime: Runtime) -> Runtime:
    """The runtime with a witness that `fill` cosigns as."""
    witness = Party(key=cosigner_key("w.test/w", WITNESS.public_key))
    return replace(runtime, witnesses=LogPolicy(witnesses={"w": witness}, quorum="w"))


def fill(registry: RegistryUnderTest) -> None:
    """A bit of everything: versions in several states, generations, records, an alias, an erasure."""
    steps = Steps(registry)
    licence = RecordId(steps.licence(steps.concept(), max_images=100)["id"])
    fox = steps.approved(embedding=b"fox", files=FILES, licences=(licence,))
    registry.client("reviewer").get(f"{fox.path}/files/{fox.manifest.artefacts[1].digest}").raise_for_status()
    grant = accepted(steps.compose(fox))["id"]
    registry.client("app").get(
        f"/v1/generations/{grant}/artefacts/{fox.manifest.artefacts[0].digest}"
    ).raise_for_status()
    accepted(steps.post("app", f"/v1/generations/{grant}/result", steps.result(grant, fox)))
    steps.compose(fox, key="d" * 16, use={"purpose": "tobacco", "territory": "JP", "channel": "web"})
    accepted(
        steps.post(
            "owner",
            "/v1/aliases",
            AliasChanges(changes=(AliasChange(concept=FOX, alias=AliasName("stable"), number=1),)),
        )
    )
    renewed(steps, fox)
    accepted(steps.review_renewal(fox, asked(steps, fox, expressed_by="later")["terms"], reject=True))
    accepted(steps.compose(fox, key="r" * 16))
    owl = steps.submitted(ConceptId("demo/owl"), embedding=b"owl")
    accepted(steps.comment(owl))
    accepted(open_version(registry, owl, opening(registry, owl, "reviewer", "second-reviewer"), "reviewer"))
    accepted(steps.reject(owl))
    wolf = steps.approved(ConceptId("demo/wolf"), embedding=b"wolf")
    accepted(steps.revoke(wolf))
    cat = steps.approved(ConceptId("demo/cat"), embedding=b"cat")
    accepted(steps.compose(cat, key="c" * 16))
    accepted(steps.withdraw(cat))
    accepted(registry.client("app").get("/v1/notices"))
    stopped = NoticeAcknowledgement(concept=cat.concept, number=1, comment="taken down")
    accepted(steps.post("app", "/v1/notices/acknowledgements", stopped))
    bear = steps.drafted(ConceptId("demo/bear"), embedding=b"bear")
    accepted(steps.ask(bear))
    for name in ("reviewer", "second-reviewer"):
        accepted(steps.assign(bear, name, due_at=(registry.clock.now + timedelta(days=3)).astimezone(TOKYO)))
    person = steps.submitted(ConceptId("demo/aiko"), kind=ConceptKind.PERSON, embedding=b"person")
    for name in ("reviewer", "second-reviewer"):
        accepted(steps.review(person, name))
    _a_life(steps)
    _credentials(registry)
    hook = {"url": "https://hooks.example/in", "events": ["version.revoked"], "description": "a wall"}
    for _ in range(2):
        made = accepted(registry.client("admin").post("/v1/webhooks", json=hook))["id"]
    accepted(registry.client("admin").post(f"/v1/webhooks/{made}/end"))
    steps.licence(FOX, terms=steps.terms(valid_until=START + timedelta(days=9)))
    assert remind_all(registry.runtime) == 1
    steps.consent(FOX, subject="subject-erased")
    accepted(steps.post("owner", "/v1/erasures", ErasureRequest(subject="subject-erased")))
    registry.client(None).get("/v1/status/demo/0").raise_for_status()
    _gone(registry)
    _cosign(registry)


def _credentials(registry: RegistryUnderTest) -> None:
    """One that was revoked and one that was rotated, whose ends were sent in another zone than UTC."""
    ends = (registry.clock.now + timedelta(days=30)).astimezone(TOKYO).isoformat()
    admin = registry.client("admin")
    old, worn = (
        accepted(admin.post("/v1/credentials", json={"principal": name, "roles": ["app"], "expires_at": ends}))
        for name in ("demo/old", "demo/worn")
    )
    accepted(admin.post(f"/v1/credentials/{old['credential']['digest']}/revocation"))
    accepted(admin.post(f"/v1/credentials/{worn['credential']['digest']}/rotation", json={}))


def _gone(registry: RegistryUnderTest) -> None:
    """A webhook that was delivered to, and then ended because its receiver said so."""
    hook = {"url": "https://hooks.example/gone", "events": ["version.approved"], "description": ""}
    made = accepted(registry.client("admin").post("/v1/webhooks", json=hook))["id"]
    accepted(registry.client("admin").post(f"/v1/webhooks/{made}/replay", json={"after": 0}))
    answers = iter((200, 410))

    def send(url: str, message: Message, at: datetime) -> Attempt:
        status = next(answers)
        return Attempt(status=status, fault="gone" if status == 410 else None)

    assert deliver(registry.runtime, Due(webhook=made, tenant=TenantName("demo")), send) == 1


def _cosign(registry: RegistryUnderTest) -> None:
    """A witness cosigns the log as it is."""
    name = "w.test/w"
    with registry.runtime.transaction() as session:
        checkpoint = parse_signed_checkpoint(checkpoint_note(session, registry.runtime).encode()).checkpoint
        line = sign_cosignature(checkpoint, name=name, signer=WITNESS, at=registry.clock.now)
        row = LogCosignatureRow(
            tree_size=checkpoint.tree_size,
            witness="w",
            cosigned_at=registry.clock.now,
            line=encode_note_signatures([line]).decode(),
        )
        session.add(row)


def _a_life(steps: Steps) -> None:
    """A consent that was confirmed anew after a death, and one that was refused."""
    consent = steps.consent(FOX, subject="subject-haru")["id"]
    binding = SubjectBinding(
        pseudonym="subject-haru",
        principal=steps.registry.principals["subject"],
        capacity=Capacity.ESTATE,
        evidence=EVIDENCE,
    )
    accepted(steps.post("owner", "/v1/subjects", binding))
    died = LifeEventReport(
        pseudonym="subject-haru", event=LifeEvent.DIED, happened_on=START.date(), evidence=EVIDENCE, salt=SALT
    )
    accepted(steps.post("owner", "/v1/subjects/life-events", died))
    answer = ConsentAnswer(
        answer=ConsentEvent.RECONFIRM,
        expressed_by="heir",
        expressed_as=Capacity.ESTATE,
        expressed_on=START.date(),
        expressed_through=Expression.SIGNATURE,
        evidence=EVIDENCE,
        salt=SALT,
    )
    accepted(steps.post("owner", f"/v1/consents/{consent}/answers", answer))
    steps.consent(FOX, subject="subject-no", refused=True)
