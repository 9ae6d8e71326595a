"""Tenants see nothing of each other: by HTTP, route by route, and by the database itself, table by table.

The routes are those that the application serves: one without a case here fails the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from support.break_glass import open_version, opening
from support.governed import EVIDENCE, SALT, record_id
from support.prepared import After
from support.registry import START, RegistryUnderTest
from support.versions import FOX, Steps, Submitted, accepted, refused, stand_in_fingerprint

from registry.db import Base
from registry.reminders.service import remind_all
from registry.webhooks.delivery import Due, deliver
from registry.webhooks.sending import Attempt
from sdk.spec.api import AliasChange, AliasChanges, NewConcept, Withdrawal
from sdk.spec.canonical import encode_canonical
from sdk.spec.consent_events import ConsentAnswer, ConsentEvent, LifeEvent, LifeEventReport
from sdk.spec.denials import WantedConcept, WantedTraining
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureRequest, TrainingErased
from sdk.spec.identify import IdentifyQuery
from sdk.spec.ids import AliasName, ConceptId, PrincipalId, TenantName
from sdk.spec.manifest import ArtefactRole, ConceptKind
from sdk.spec.recall import NoticeAcknowledgement
from sdk.spec.subjects import SubjectBinding, SubjectRelease
from sdk.spec.terms import Capacity, Expression

DEMO, OTHER = TenantName("demo"), TenantName("other")
MASK: Final = b"a mask"
WEBHOOK: Final = {"url": "https://hooks.example.com/in", "events": ["version.submitted"]}
UNISOLATED: Final = {  # see migrations 0011, 0012, 0024
    *("credentials", "console_sessions", "log_entries", "log_nodes", "log_cosignatures", "policy_bundles"),
}


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


@pytest.fixture
def demo(after: After) -> Iterator[Lives]:
    """Tenant demo with a row in every table; for each test its own."""
    lived = after(live)
    with lived.copy() as registry:
        yield replace(lived.made, registry=registry, steps=Steps(registry))


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


def hidden(
    path: Callable[[Lives], str], body: Callable[[Lives], bytes] | None = None, name: str = "other-owner"
) -> Callable[[Lives, str], None]:
    """What the path names is not found by another tenant."""

    def check(demo: Lives, method: str) -> None:
        answer = demo.ask(method, path(demo), name, body(demo) if body else None)
        refused(answer, 404, "resource.not_found")

    return check


def of_its_own(path: str, name: str = "other-owner") -> Callable[[Lives, str], None]:
    """The answer has nothing of tenant demo."""

    def check(demo: Lives, method: str) -> None:
        answer = demo.ask(method, path, name)
        accepted(answer)
        assert "demo" not in answer.text

    return check


def refused_with(
    status: int, path: str, body: Callable[[Lives], bytes], name: str = "other-owner"
) -> Callable[[Lives, str], None]:
    """Nothing can be made under the name of another tenant."""

    def check(demo: Lives, method: str) -> None:
        answer = demo.ask(method, path, name, body(demo))
        assert answer.status_code == status, answer.text

    return check


def finds_nothing(demo: Lives, method: str) -> None:
    """The very file and its fingerprint, asked for by an application of another tenant."""
    query = IdentifyQuery(digest=Digest.of(b"one"), fingerprints=(stand_in_fingerprint(b"one"),))
    for name, wanted in (("other-app", 0), ("app", 1)):
        answer = demo.ask(method, "/v1/generations/identify", name, encode_canonical(query))
        assert len(accepted(answer)["matches"]) == wanted


def has_no_receipts(demo: Lives, method: str) -> None:
    """The checkpoint names the log, which is everybody's; of demo's use there is nothing."""
    for name, wanted in (("other-auditor", 0), ("auditor", 1)):
        ledger = accepted(demo.ask(method, "/v1/royalties/ledger", name))
        assert [len(ledger[part]) for part in ("receipts", "manifests", "licences")] == [wanted] * 3


def public(demo: Lives, method: str) -> None:
    """For everybody, and about no tenant; or what everybody needs to check the whole log."""


def _approval(demo: Lives) -> bytes:
    return encode_canonical(demo.steps.approval(demo.version, "other-reviewer"))


def _opening(demo: Lives) -> bytes:
    return encode_canonical(opening(demo.registry, demo.version, "other-reviewer", "reviewer"))


def _revocation(demo: Lives) -> bytes:
    return encode_canonical(demo.steps.revocation(demo.version, "other-reviewer"))


def _stop(demo: Lives) -> bytes:
    return encode_canonical(NoticeAcknowledgement(concept=FOX, number=1))


def _alias(demo: Lives) -> bytes:
    return encode_canonical(AliasChanges(changes=(AliasChange(concept=FOX, alias=AliasName("web"), number=1),)))


def _result(demo: Lives) -> bytes:
    return encode_canonical(demo.steps.result(demo.generation, demo.version, signer="other-app"))


def _concept(demo: Lives) -> bytes:
    return encode_canonical(NewConcept(id=ConceptId("demo/den"), kind=ConceptKind.SUBJECT, title="Den"))


def _credential(demo: Lives) -> bytes:
    return b'{"principal": "demo/spy", "roles": ["auditor"]}'


def _of_app(demo: Lives) -> Digest:
    return Digest.of(demo.registry.credentials["app"].encode())


def _own_terms(part: str) -> Callable[[Lives], bytes]:
    def body(demo: Lives) -> bytes:
        evidence = demo.steps.get("reviewer", f"/v1/{part}s/{_record(demo, part)}")
        return json.dumps(evidence["record" if part == "consent" else "grant"]).encode()

    return body


def _record(demo: Lives, part: str) -> str:
    return demo.version.consent if part == "consent" else demo.licence


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
LIFE_EVENT: Final = LifeEventReport(
    pseudonym="subject-0001", event=LifeEvent.AGENT_CHANGED, happened_on=START.date(), evidence=EVIDENCE, salt=SALT
)


def _binding(demo: Lives) -> bytes:
    return encode_canonical(BINDING)


def _release(demo: Lives) -> bytes:
    return encode_canonical(SubjectRelease(pseudonym=BINDING.pseudonym, principal=BINDING.principal, reason="x"))


def _submission(demo: Lives) -> bytes:
    return b'{"manifest": "e30=", "attestation": {"payload": "e30=", "payloadType": "x", "signatures": []}}'


CASES: Final[dict[tuple[str, str], Callable[[Lives, str], None]]] = {
    ("GET", "/healthz"): public,
    ("GET", "/readyz"): public,
    ("GET", "/v1/trust-root"): public,
    ("GET", "/v1/policies"): public,
    ("GET", "/v1/status/{tenant}/{number}"): public,
    ("GET", "/v1/tuf/metadata/{name}"): public,
    ("GET", "/v1/tuf/targets/{name}"): public,
    ("GET", "/v1/concepts/{tenant}/{name}/versions/{number}/blast-radius"): hidden(
        lambda demo: f"{demo.version.path}/blast-radius", name="other-auditor"
    ),
    ("GET", "/v1/notices"): of_its_own("/v1/notices", "other-app"),
    ("POST", "/v1/notices/acknowledgements"): hidden(lambda demo: "/v1/notices/acknowledgements", _stop, "other-app"),
    ("GET", "/v1/log/checkpoint"): public,
    ("GET", "/v1/log/checkpoint/witnessed"): public,
    ("GET", "/v1/log/tile/entries/{place}"): public,
    ("GET", "/v1/log/tile/{level}/{place}"): public,
    ("GET", "/v1/log/consistency"): public,
    ("GET", "/v1/whoami"): of_its_own("/v1/whoami"),
    ("GET", "/v1/webhooks/key"): public,
    ("GET", "/v1/webhooks"): of_its_own("/v1/webhooks", "other-admin"),
    ("POST", "/v1/webhooks"): lambda demo, method: accepted(  # it is the caller's own tenant's
        demo.registry.client("other-admin").post("/v1/webhooks", json=WEBHOOK)
    ),
    ("GET", "/v1/webhooks/{webhook}/deliveries"): hidden(
        lambda demo: f"/v1/webhooks/{demo.webhook}/deliveries", name="other-admin"
    ),
    ("POST", "/v1/webhooks/{webhook}/replay"): hidden(
        lambda demo: f"/v1/webhooks/{demo.webhook}/replay", lambda demo: b'{"after": -1}', "other-admin"
    ),
    ("POST", "/v1/webhooks/{webhook}/end"): hidden(lambda demo: f"/v1/webhooks/{demo.webhook}/end", name="other-admin"),
    ("POST", "/v1/credentials"): refused_with(403, "/v1/credentials", _credential, "other-admin"),
    ("GET", "/v1/credentials"): of_its_own("/v1/credentials", "other-admin"),
    ("POST", "/v1/credentials/{digest}/rotation"): hidden(
        lambda demo: f"/v1/credentials/{_of_app(demo)}/rotation", lambda demo: b"{}", "other-admin"
    ),
    ("POST", "/v1/credentials/{digest}/revocation"): hidden(
        lambda demo: f"/v1/credentials/{_of_app(demo)}/revocation", name="other-admin"
    ),
    ("PUT", "/v1/blobs/{digest}"): public,  # to hold a content, one must have it
    ("GET", "/v1/blobs/{digest}"): hidden(
        lambda demo: f"/v1/blobs/{Digest.of(demo.version.embedding)}", name="other-auditor"
    ),
    ("POST", "/v1/consents"): refused_with(422, "/v1/consents", _own_terms("consent")),
    ("GET", "/v1/consents"): of_its_own("/v1/consents"),
    ("GET", "/v1/consents/{consent}"): hidden(lambda demo: f"/v1/consents/{demo.version.consent}"),
    ("GET", "/v1/consents/{consent}/receipt"): hidden(lambda demo: f"/v1/consents/{demo.version.consent}/receipt"),
    ("GET", "/v1/consents/{consent}/export"): hidden(lambda demo: f"/v1/consents/{demo.version.consent}/export"),
    ("GET", "/v1/licences/{licence}/export"): hidden(lambda demo: f"/v1/licences/{demo.licence}/export"),
    ("POST", "/v1/consents/{consent}/answers"): hidden(
        lambda demo: f"/v1/consents/{demo.version.consent}/answers", lambda demo: encode_canonical(ANSWER)
    ),
    ("POST", "/v1/consents/{consent}/reinstatement"): hidden(
        lambda demo: f"/v1/consents/{demo.version.consent}/reinstatement", name="other-reviewer"
    ),
    ("POST", "/v1/subjects/life-events"): hidden(
        lambda demo: "/v1/subjects/life-events", lambda demo: encode_canonical(LIFE_EVENT)
    ),
    ("POST", "/v1/consents/{consent}/withdrawal"): hidden(
        lambda demo: f"/v1/consents/{demo.version.consent}/withdrawal",
        lambda demo: encode_canonical(Withdrawal(reason="x")),
    ),
    ("POST", "/v1/subjects"): refused_with(403, "/v1/subjects", _binding),
    ("POST", "/v1/subjects/release"): refused_with(403, "/v1/subjects/release", _release),
    ("GET", "/v1/subjects"): of_its_own("/v1/subjects"),
    ("POST", "/v1/licences"): refused_with(422, "/v1/licences", _own_terms("licence")),
    ("GET", "/v1/licences/{licence}"): hidden(lambda demo: f"/v1/licences/{demo.licence}"),
    ("POST", "/v1/concepts"): refused_with(403, "/v1/concepts", _concept),
    ("GET", "/v1/concepts"): of_its_own("/v1/concepts"),
    ("GET", "/v1/concepts/{tenant}/{name}"): hidden(lambda demo: f"/v1/concepts/{FOX}"),
    ("GET", "/v1/concepts/{tenant}/{name}/versions"): hidden(lambda demo: f"/v1/concepts/{FOX}/versions"),
    ("POST", "/v1/concepts/{tenant}/{name}/versions"): refused_with(403, f"/v1/concepts/{FOX}/versions", _submission),
    ("GET", "/v1/concepts/{tenant}/{name}/versions/{number}"): hidden(lambda demo: demo.version.path),
    ("GET", "/v1/reviews"): of_its_own("/v1/reviews", "other-reviewer"),
    ("POST", "/v1/concepts/{tenant}/{name}/versions/{number}/review-request"): hidden(
        lambda demo: f"{demo.version.path}/review-request", lambda demo: b"{}"
    ),
    ("POST", "/v1/concepts/{tenant}/{name}/versions/{number}/assignment"): hidden(
        lambda demo: f"{demo.version.path}/assignment", lambda demo: b'{"reviewers": []}', "other-reviewer"
    ),
    ("POST", "/v1/concepts/{tenant}/{name}/versions/{number}/comments"): hidden(
        lambda demo: f"{demo.version.path}/comments", lambda demo: b'{"text": "x"}'
    ),
    ("GET", "/v1/concepts/{tenant}/{name}/versions/{number}/comments"): hidden(
        lambda demo: f"{demo.version.path}/comments", name="other-auditor"
    ),
    ("POST", "/v1/concepts/{tenant}/{name}/versions/{number}/reviews"): hidden(
        lambda demo: f"{demo.version.path}/reviews", _approval, "other-reviewer"
    ),
    ("POST", "/v1/concepts/{tenant}/{name}/versions/{number}/revocation"): hidden(
        lambda demo: f"{demo.version.path}/revocation", _revocation, "other-reviewer"
    ),
    ("POST", "/v1/concepts/{tenant}/{name}/versions/{number}/break-glass"): hidden(
        lambda demo: f"{demo.version.path}/break-glass", _opening, "other-reviewer"
    ),
    ("GET", "/v1/reminders"): of_its_own("/v1/reminders", "other-owner"),
    ("GET", "/v1/break-glasses"): of_its_own("/v1/break-glasses", "other-reviewer"),
    ("GET", "/v1/concepts/{tenant}/{name}/versions/{number}/files/{digest}"): hidden(
        lambda demo: f"{demo.version.path}/files/{demo.mask}", name="other-reviewer"
    ),
    ("GET", "/v1/concepts/{tenant}/{name}/aliases/{alias}"): hidden(lambda demo: f"/v1/concepts/{FOX}/aliases/stable"),
    ("GET", "/v1/resolve"): hidden(lambda demo: f"/v1/resolve?ref={FOX}@stable"),
    ("GET", "/v1/history"): hidden(lambda demo: f"/v1/history?ref={FOX}@1&at=2026-06-01T12:00Z"),
    ("POST", "/v1/aliases"): hidden(lambda demo: "/v1/aliases", _alias),
    ("GET", "/v1/aliases"): of_its_own("/v1/aliases"),
    ("POST", "/v1/generations"): hidden(
        lambda demo: "/v1/generations", lambda demo: encode_canonical(demo.steps.intent(demo.version)), "other-app"
    ),
    ("GET", "/v1/generations"): of_its_own("/v1/generations", "other-auditor"),
    ("GET", "/v1/generations/decisions"): of_its_own("/v1/generations/decisions", "other-auditor"),
    ("GET", "/v1/generations/usage"): of_its_own("/v1/generations/usage", "other-auditor"),
    ("GET", "/v1/generations/licences/{licence}"): hidden(
        lambda demo: f"/v1/generations/licences/{demo.version.manifest.licences[0]}"
    ),
    ("GET", "/v1/generations/{generation}"): hidden(
        lambda demo: f"/v1/generations/{demo.generation}", name="other-auditor"
    ),
    ("GET", "/v1/generations/{generation}/artefacts/{digest}"): hidden(
        lambda demo: f"/v1/generations/{demo.generation}/artefacts/{demo.version.manifest.artefacts[0].digest}",
        name="other-app",
    ),
    ("POST", "/v1/generations/identify"): finds_nothing,
    ("POST", "/v1/generations/{generation}/result"): hidden(
        lambda demo: f"/v1/generations/{demo.generation}/result", _result, "other-app"
    ),
    ("GET", "/v1/denials"): of_its_own("/v1/denials", "other-auditor"),
    ("POST", "/v1/trainings/denied"): hidden(
        lambda demo: "/v1/trainings/denied",
        lambda demo: encode_canonical(WantedTraining(concepts=(WantedConcept(concept=FOX),))),
    ),
    ("GET", "/v1/royalties"): hidden(lambda demo: f"/v1/royalties?licence={demo.licence}", name="other-auditor"),
    ("GET", "/v1/royalties/ledger"): has_no_receipts,
    ("POST", "/v1/erasures"): hidden(
        lambda demo: "/v1/erasures", lambda demo: encode_canonical(ErasureRequest(subject="subject-0001"))
    ),
    ("POST", "/v1/erasures/{erasure}/training"): refused_with(
        403,
        f"/v1/erasures/era_{'a' * 26}/training",  # a training service's; of one of its own tenant
        lambda demo: encode_canonical(TrainingErased(jobs=(record_id("job"),))),
    ),
    ("GET", "/v1/erasures"): of_its_own("/v1/erasures"),
    ("GET", "/v1/log/entries"): of_its_own("/v1/log/entries?subject=demo/fox", "other-auditor"),
    ("GET", "/v1/log/proofs/{index}"): hidden(lambda demo: f"/v1/log/proofs/{demo.log_index}", name="other-auditor"),
    ("GET", "/v1/log/receipts/{index}"): hidden(
        lambda demo: f"/v1/log/receipts/{demo.log_index}", name="other-auditor"
    ),
}


class TestRoutes:
    def test_each_has_a_case(self, registry: RegistryUnderTest) -> None:
        served = {(method.upper(), path) for path, item in registry.app.openapi()["paths"].items() for method in item}
        assert served == CASES.keys()

    @pytest.mark.parametrize("case", CASES, ids=" ".join)
    def test_show_nothing_of_another_tenant(self, demo: Lives, case: tuple[str, str]) -> None:
        CASES[case](demo, case[0])


class TestRowSecurity:
    def test_is_on_for_every_table_of_tenants(self, registry: RegistryUnderTest) -> None:
        with registry.engine.connect() as connection:
            rows = connection.execute(text("SELECT tablename FROM pg_policies WHERE policyname = 'tenant_isolation'"))
            isolated = {name for (name,) in rows}
        ours = {name for name in Base.metadata.tables if not name.startswith("training_")}
        assert ours - isolated <= UNISOLATED

    def test_shows_each_tenant_its_own_rows_only(self, demo: Lives) -> None:
        with demo.registry.engine.connect() as connection:
            rows = connection.execute(text("SELECT tablename FROM pg_policies WHERE policyname = 'tenant_isolation'"))
            isolated = sorted(name for (name,) in rows)
        counted = {}
        for tenant in (DEMO, OTHER, None):
            with demo.registry.runtime.transaction(tenant) as session:
                counted[tenant] = {table: session.scalar(text(f"SELECT count(*) FROM {table}")) for table in isolated}
        assert not any(counted[OTHER].values())
        assert not any(counted[None].values()), "without a tenant nothing is seen"
        assert [table for table, rows in counted[DEMO].items() if not rows] == []

    def test_lets_nobody_write_for_another_tenant(self, registry: RegistryUnderTest) -> None:
        insert = text("INSERT INTO concepts VALUES ('demo/den', 'demo', 'subject', 'Den', 'demo/owner', now(), 0)")
        with pytest.raises(DBAPIError, match="row-level security"):
            with registry.runtime.transaction(OTHER) as session:
                session.execute(insert)
        with registry.runtime.transaction(DEMO) as session:
            session.execute(insert)

    def test_holds_whatever_the_login_may(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction(DEMO) as session:
            role = session.execute(
                text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
            ).one()
        assert tuple(role) == ("imprimatur_app", False, False)

    def test_ends_with_the_transaction(self, registry: RegistryUnderTest) -> None:
        with registry.runtime.transaction(DEMO):
            pass
        with registry.engine.connect() as connection:
            found = connection.execute(text("SELECT current_user, current_setting('imprimatur.tenant', true)")).one()
        assert found[0] != "imprimatur_app"
        assert not found[1]


class TestTimeOfTheQuestion:
    def test_history_is_hidden_at_every_moment(self, demo: Lives) -> None:
        demo.registry.clock.advance(days=1)
        for days in (0, 1):
            at = (demo.registry.clock.now - timedelta(days=days)).isoformat()
            answer = demo.registry.client("other-owner").get("/v1/history", params={"ref": str(FOX), "at": at})
            refused(answer, 404, "resource.not_found")
