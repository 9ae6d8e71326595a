"""Tenants see nothing of each other by HTTP, route by route; `test_row_security` holds the database to the same.

The routes are those that the application serves: one without a case here fails the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

import pytest
from support.break_glass import opening
from support.governed import EVIDENCE, SALT, record_id
from support.lives import ANSWER, BINDING, WEBHOOK, Lives, lived
from support.prepared import After
from support.registry import START, RegistryUnderTest
from support.versions import FOX, accepted, refused, stand_in_fingerprint

from sdk.spec.api import AliasChange, AliasChanges, NewConcept, Withdrawal
from sdk.spec.canonical import encode_canonical
from sdk.spec.consent_events import LifeEvent, LifeEventReport
from sdk.spec.denials import WantedConcept, WantedTraining
from sdk.spec.digest import Digest
from sdk.spec.erasure import ErasureRequest, TrainingErased
from sdk.spec.identify import IdentifyQuery
from sdk.spec.ids import AliasName, ConceptId
from sdk.spec.manifest import ConceptKind
from sdk.spec.recall import NoticeAcknowledgement
from sdk.spec.renewal import RenewalRequest
from sdk.spec.subjects import SubjectRelease


@pytest.fixture
def demo(after: After) -> Iterator[Lives]:
    """Tenant demo with a row in every table; for each test its own."""
    with lived(after) as made:
        yield made


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
    return encode_canonical(opening(demo.registry, demo.version, "reviewer", "second-reviewer"))


def _renewal(demo: Lives) -> bytes:
    records = {kind: getattr(demo.version.manifest, kind) for kind in ("consents", "licences")}
    return encode_canonical(RenewalRequest(**records))


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
    ("POST", "/v1/concepts/{tenant}/{name}/versions/{number}/renewals"): hidden(
        lambda demo: f"{demo.version.path}/renewals", _renewal
    ),
    ("GET", "/v1/concepts/{tenant}/{name}/versions/{number}/renewals"): hidden(
        lambda demo: f"{demo.version.path}/renewals", name="other-reviewer"
    ),
    ("GET", "/v1/concepts/{tenant}/{name}/versions/{number}/renewal"): hidden(
        lambda demo: f"{demo.version.path}/renewal", name="other-reviewer"
    ),
    ("POST", "/v1/concepts/{tenant}/{name}/versions/{number}/renewal/reviews"): hidden(
        lambda demo: f"{demo.version.path}/renewal/reviews", _approval, "other-reviewer"
    ),
    ("GET", "/v1/renewals"): of_its_own("/v1/renewals", "other-reviewer"),
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


class TestTimeOfTheQuestion:
    def test_history_is_hidden_at_every_moment(self, demo: Lives) -> None:
        demo.registry.clock.advance(days=1)
        for days in (0, 1):
            at = (demo.registry.clock.now - timedelta(days=days)).isoformat()
            answer = demo.registry.client("other-owner").get("/v1/history", params={"ref": str(FOX), "at": at})
            refused(answer, 404, "resource.not_found")
