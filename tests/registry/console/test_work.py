"""Review as work in the browser: the queue, and the forms, which do what the API does and nothing that it would not."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from support.break_glass import open_version, opening
from support.console import HOSTILE, Browser
from support.governed import make_manifest
from support.registry import RegistryUnderTest
from support.renewal import asked, new_records
from support.versions import Steps, Submitted, accepted, caller

from registry.console.contracts import contracts_of
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.manifest import ConceptKind


class Page:
    """The page of demo/fox@1 in somebody's browser."""

    path = "/concepts/demo/fox/versions/1"

    def __init__(self, registry: RegistryUnderTest, name: str, language: str = "en") -> None:
        self.browser = Browser(registry, language=language).signed_in(name)

    @property
    def text(self) -> str:
        return self.browser.get(self.path).text

    def send(self, act: str, **fields: Any) -> Any:
        given = {"form_token": self.browser.token(self.path)} | {name: str(value) for name, value in fields.items()}
        return self.browser.post(f"{self.path}/{act}", given)

    def done(self, act: str, **fields: Any) -> str:
        """Send a form; returns the place of the page that is shown next."""
        answer = self.send(act, **fields)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].startswith(f"/console{self.path}#")
        place: str = answer.headers["location"].partition("#")[2]
        assert f'id="{place}"' in self.text
        return place


class TestBreakGlass:
    def test_is_told_on_every_page_while_it_is_in_force_and_stays_told_on_the_version(
        self, registry: RegistryUnderTest
    ) -> None:
        version = Steps(registry).submitted()
        envelope = opening(registry, version, "reviewer", "second-reviewer", reason="tonight <b>")
        accepted(open_version(registry, version, envelope, "reviewer"))
        grant = accepted(Steps(registry).compose(version))
        for path in ("/queue", "/log", "/concepts/demo/fox"):
            page = unescape(Browser(registry).signed_in("auditor").get(path).text)
            assert "demo/fox@1 is in use without approval until 2026-06-02 00:00 UTC" in page
            assert "demo/reviewer, demo/second-reviewer: tonight <b>" in page
        assert "<b>" not in Page(registry, "owner").text
        assert "in use without" not in Browser(registry).signed_in("app").get("/concepts").text
        registry.clock.advance(hours=12)
        assert "in use without" not in Browser(registry).signed_in("auditor").get("/queue").text
        assert "was opened before its approval, until 2026-06-02" in Page(registry, "reviewer").text
        assert (
            "was not approved when this was decided"
            in Browser(registry).signed_in("auditor").get(f"/generations/{grant['id']}").text
        )


class TestQueue:
    def test_shows_due_dates_people_and_what_is_overdue(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        due = registry.clock.now + timedelta(hours=6)
        accepted(steps.assign(version, "reviewer", due_at=due))
        browser = Browser(registry).signed_in("reviewer")
        assert "2026-06-01 18:00 UTC" in browser.get("/queue").text
        assert "demo/fox@1" in browser.get("/queue?show=mine").text
        assert "Nothing is overdue" in browser.get("/queue?show=overdue").text
        registry.clock.advance(hours=7)
        assert '<span class="status overdue">overdue</span>' in browser.get("/queue?show=overdue").text
        other = Browser(registry, language="ja").signed_in("second-reviewer")
        assert "あなたの担当はありません" in other.get("/queue?show=mine").text
        assert "期限切れ</span>" in other.get("/queue").text

    def test_an_overdue_version_is_assigned_anew_with_a_date(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version, field = steps.submitted(), re.compile(r'<input type="datetime-local" name="due_at"[^>]*>')
        accepted(steps.assign(version, "reviewer", due_at=registry.clock.now + timedelta(hours=6)))
        page = Page(registry, "reviewer")
        assert [" required" in shown for shown in field.findall(page.text)] == [False]
        registry.clock.advance(hours=7)
        assert [" required" in shown for shown in field.findall(page.text)] == [True]

    def test_with_a_renewal_alone_is_not_empty(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        asked(steps, steps.approved())
        page = Browser(registry).signed_in("reviewer").get("/queue").text
        assert ("Nothing waits for review." in page, "Renewals that wait" in page) == (False, True)

    def test_says_when_there_are_too_few_reviewers(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.submitted(training=_trained_by("demo/reviewer"), kind=ConceptKind.PERSON)
        assert "too few reviewers" in Browser(registry).signed_in("auditor").get("/queue").text
        steps.submitted(ConceptId("demo/den"), embedding=b"2")
        assert Browser(registry).signed_in("auditor").get("/queue").text.count("too few reviewers") == 1


def _trained_by(name: str) -> Any:
    return make_manifest().training.model_copy(update={"requested_by": PrincipalId(name)})


class TestForms:
    def test_put_up_assign_and_comment(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.drafted()
        owner, reviewer = Page(registry, "owner"), Page(registry, "reviewer")
        assert "Put up for review" in owner.text
        assert "Put up for review" not in reviewer.text
        assert owner.done("review-request") == "work"
        fields = {"expected": 0, "reviewers": "demo/reviewer", "due_at": "2026-06-03T09:30"}
        assert reviewer.done("assignment", **fields) == "work"
        assert reviewer.done("comment" + "s", text="why so\r\ndark?") == "comment-1"
        assert owner.done("comments", text=HOSTILE, reply_to=1) == "comment-2"
        shown = Page(registry, "auditor").text
        assert "2026-06-03 09:30 UTC" in shown
        assert HOSTILE not in shown
        assert HOSTILE in unescape(shown)
        assert "replies to #1" in shown
        assert "why so\ndark?" in shown
        assert [event for event, _ in steps.events(version.name)][1:] == [
            "review:requested",
            "review:assigned",
            "review:commented",
            "review:commented",
        ]

    def test_are_shown_to_who_may_use_them(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted()
        wanted = {"reviewer": {"assignment", "comments"}, "owner": {"comments"}, "auditor": set()}
        for name, forms in wanted.items():
            shown = set(re.findall(rf'action="/console{Page.path}/([a-z-]+)"', Page(registry, name).text))
            assert shown == forms, name

    def test_are_not_shown_to_an_owner_with_another_role(self, registry: RegistryUnderTest) -> None:
        Steps(registry).drafted()
        grant = {"principal": "demo/owner", "roles": ["reviewer"]}
        registry.credentials["narrow"] = accepted(registry.client("admin").post("/v1/credentials", json=grant))["text"]
        assert "Put up for review" in Page(registry, "owner").text
        assert "Put up for review" not in Page(registry, "narrow").text

    def test_do_nothing_for_who_may_not(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        for name, act in (("auditor", "comments"), ("owner", "assignment")):
            assert Page(registry, name).send(act, text="x", expected=0).status_code == 403
        assert len(steps.events(version.name)) == 1

    @pytest.mark.parametrize("act", ["review-request", "assignment", "comments"])
    def test_of_another_site_do_nothing(self, registry: RegistryUnderTest, act: str) -> None:
        steps = Steps(registry)
        version = steps.drafted()
        page = Page(registry, "trainer")
        for token in ("y", "x" * 44):
            answer = page.browser.post(f"{page.path}/{act}", {"form_token": token, "text": "x", "expected": "0"})
            assert answer.status_code == 403
        assert len(steps.events(version.name)) == 1

    def test_that_are_out_of_date_change_nothing_and_say_so(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted()
        first, second = Page(registry, "reviewer"), Page(registry, "second-reviewer")
        first.done("assignment", expected=0, reviewers="demo/reviewer")
        answer = second.send("assignment", expected=0, reviewers="demo/second-reviewer")
        assert answer.status_code == 409
        assert "look again" in answer.text

    @pytest.mark.parametrize(
        ("act", "fields"),
        [
            ("comments", {"text": "   "}),
            ("comments", {"text": "x" * 4001}),
            ("comments", {"text": "a\x00b"}),
            ("assignment", {"expected": 0, "due_at": "soon"}),
            ("assignment", {"expected": 0, "due_at": "1999-01-01T00:00"}),
            ("assignment", {"expected": 0, "reviewers": "nobody"}),
            ("assignment", {"expected": 0, "reviewers": "demo/owner"}),
        ],
    )
    def test_that_say_nothing_usable_are_refused_in_words(
        self, registry: RegistryUnderTest, act: str, fields: dict[str, Any]
    ) -> None:
        Steps(registry).submitted()
        answer = Page(registry, "reviewer").send(act, **fields)
        assert answer.status_code == 422
        assert "That did not work" in answer.text
        assert "?lang=" not in answer.text  # the form's own address has no page in any language

    def test_that_are_too_large_are_refused_on_a_page(self, registry: RegistryUnderTest) -> None:
        Steps(registry).submitted()
        answer = Page(registry, "reviewer").send("comments", text="x" * (registry.runtime.settings.max_body_bytes + 1))
        assert (answer.status_code, "That did not work" in answer.text) == (413, True)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]

    def test_every_comment_is_shown(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        for number in range(501):
            accepted(steps.comment(version, f"remark {number}"))
        assert Page(registry, "reviewer").done("comments", text="the newest") == "comment-502"

    def test_deep_threads_are_shown(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version: Submitted = steps.submitted()
        for number in range(12):
            accepted(steps.comment(version, f"answer {number}", reply_to=number or None))
        text = Page(registry, "auditor").text
        assert re.findall(r"comment depth-(\d)", text) == [str(min(number, 4)) for number in range(12)]


class TestRenewal:
    def test_is_asked_for_read_and_named_with_the_command_that_signs(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        licence = new_records(steps, version)["licences"][0]
        owner = Page(registry, "owner")
        assert "Ask for other terms" in owner.text
        assert owner.done("renewals", consents=version.consent, licences=f"  {licence} ") == "renewal"
        shown = unescape(Page(registry, "reviewer").text)
        terms = steps.get("reviewer", "/v1/renewals")["renewals"][0]["terms"]
        assert f"imprimatur renewal approve demo/fox@1 --terms {terms}" in shown
        assert "Ask for other terms" not in shown
        assert "別の条件が審査待ちです" in Page(registry, "reviewer", "ja").text
        queue = Browser(registry).signed_in("second-reviewer").get("/queue").text
        assert "Renewals that wait for reviewers" in queue
        accepted(steps.review_renewal(version, terms, comment=f"prolonged {HOSTILE}"))
        done = owner.text
        assert "Renewals" in done
        assert HOSTILE not in done
        assert "imprimatur renewal approve" not in done
        assert owner.send("renewals", consents=version.consent, licences=licence).status_code == 409

    def test_of_what_policy_would_refuse_says_why_and_names_no_command(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        asked = accepted(steps.renewal(version, **new_records(steps, version, expressed_by="another")))
        version_of_it = asked["consents"][0]
        registry.client("owner").post(f"/v1/consents/{version_of_it}/withdrawal", json={"reason": "no"})
        shown = Page(registry, "reviewer").text
        assert "approval.consent" in shown
        assert "imprimatur renewal approve" not in shown
        assert "imprimatur renewal reject" in shown

    def test_is_what_a_picture_is_traced_back_to(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        terms = accepted(steps.renewal(version, **new_records(steps, version)))["terms"]
        accepted(steps.review_renewal(version, terms, "second-reviewer", comment="prolonged"))
        who = caller(registry, "auditor")
        with registry.runtime.transaction(who.tenant) as session:
            (contract,) = contracts_of(session, registry.runtime, who, [version.name])
        assert [(act.by, act.words) for act in contract.approvals] == [("demo/second-reviewer", "prolonged")]
        assert contract.terms.digest == terms
