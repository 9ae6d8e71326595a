"""The console through the real application: every page, for everybody who may and may not see it, in both languages."""

from __future__ import annotations

import itertools
import re
from html import unescape

import pytest
from support.console import HOSTILE, REPORT, Browser, ConsoleWorld, governed_world
from support.registry import RegistryUnderTest, make_test_registry
from support.renewal import renewed
from support.versions import Steps, accepted, caller

from registry.console.language import Language
from registry.console.log import PAGE_ENTRIES
from registry.log.service import append
from sdk.spec.log_entry import AuditEventType

DENIALS_READERS = {"owner", "trainer", "auditor"}
READS = {  # who reads what; everybody else is refused
    "/queue": {"reviewer", "second-reviewer", "owner", "trainer", "auditor"},
    "/consents": {"reviewer", "second-reviewer", "owner", "trainer", "auditor"},
    "/log": {"auditor"},
    "/log/0": {"auditor"},
    "/generations": {"owner", "trainer", "auditor", "app"},
    "/origins": {"owner", "trainer", "auditor", "app"},
    "/denials": DENIALS_READERS,
    "/concepts": {"reviewer", "second-reviewer", "owner", "trainer", "auditor", "app", "training-service"},
}
VERSION_READERS = {"reviewer", "second-reviewer", "owner", "trainer", "auditor", "training-service"}
PEOPLE = sorted(READS["/concepts"])


@pytest.fixture(scope="module")
def world(postgres_server) -> tuple[RegistryUnderTest, ConsoleWorld]:  # type: ignore[misc,no-untyped-def]
    """One registry for this file: its tests read, and one appends to the log."""
    with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
        yield registry, governed_world(registry)


World = tuple[RegistryUnderTest, ConsoleWorld]


class TestEveryPage:
    @pytest.mark.parametrize("language", list(Language))
    def test_is_shown_to_an_auditor_in_their_language(self, world: World, language: Language) -> None:
        registry, there = world
        browser = Browser(registry, language=language.value).signed_in("auditor")
        for path in there.pages:
            answer = browser.get(path)
            assert answer.status_code == 200, f"{path}: {answer.text}"
            assert f'<html lang="{language.value}">' in answer.text
            assert answer.headers["content-language"] == language.value
            spoken = re.sub(r"<(head|code|pre|td|option)\b.*?</\1>", "", answer.text, flags=re.DOTALL)
            assert bool(re.search("[ぁ-んァ-ヶ]", spoken.replace("日本語", ""))) == (language is Language.JAPANESE), (
                path
            )

    def test_carries_its_headers_and_no_script(self, world: World) -> None:
        registry, there = world
        browser = Browser(registry).signed_in("auditor")
        nowhere = ("/sign-in", "/nowhere", "/log/999999", "/console.css", "/")
        for path in (*there.pages, there.picture, there.report, *nowhere):
            answer = browser.get(path)
            assert answer.headers["content-security-policy"].startswith("default-src 'none'"), path
            assert "script-src" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            if path != there.report:
                assert not re.search(r"<script|\son[a-z]+=|javascript:|style=", answer.text.replace("&#34;", "")), path

    def test_labels_every_field_and_picture(self, world: World) -> None:
        registry, there = world
        browser = Browser(registry).signed_in("auditor")
        for path in there.pages:
            text = browser.get(path).text
            assert all('alt="' in image for image in re.findall(r"<img[^>]*>", text))
            assert text.count("<h1") == 1
            unlabelled = re.sub(r"<label.*?</label>", "", text, flags=re.DOTALL)
            assert not re.search(r"<(select|textarea|input (?!type=\"hidden\"))", unlabelled), path

    def test_is_for_who_may_read_it(self, world: World) -> None:
        registry, there = world
        for name in PEOPLE:
            browser = Browser(registry).signed_in(name)
            for path, readers in (READS | {there.waiting: VERSION_READERS, there.picture: VERSION_READERS}).items():
                assert browser.get(path).status_code == (200 if name in readers else 403), (name, path)

    def test_navigation_names_just_the_pages_that_open(self, world: World) -> None:
        registry, _ = world
        for name in PEOPLE:
            browser = Browser(registry).signed_in(name)
            text = browser.get("/concepts").text
            for path in READS.keys() - {"/log/0"}:
                assert (f'href="/console{path}"' in text) == (name in READS[path]), (name, path)

    def test_is_not_there_for_another_tenant(self, world: World) -> None:
        registry, there = world
        for name in ("other-auditor", "other-reviewer", "other-owner"):
            browser = Browser(registry).signed_in(name)
            single = (there.waiting, there.approved, there.picture, there.report, "/concepts/demo/fox")
            for path in single:
                assert browser.get(path).status_code == 404, (name, path)
            for path in ("/queue", "/concepts"):
                assert "demo/" not in browser.get(path).text
        auditor = Browser(registry).signed_in("other-auditor")
        assert auditor.get(there.permitted).status_code == auditor.get("/log/0").status_code == 404
        assert "demo/" not in auditor.get("/generations").text

    def test_sends_who_is_not_signed_in_to_the_form(self, world: World) -> None:
        registry, there = world
        for path in (*there.pages, there.picture, there.report):
            answer = Browser(registry).get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in"), path
            assert answer.content == b""


class TestReview:
    def test_queue_lists_what_waits_and_for_how_long(self, world: World) -> None:
        registry, there = world
        text = Browser(registry).signed_in("second-reviewer").get("/queue").text
        assert f'href="/console{there.waiting}"' in text
        assert there.approved not in text
        assert "1 of 2" in text
        assert "2 d" in text

    def test_command_names_the_digest_and_works_for_who_has_not_signed(self, world: World) -> None:
        registry, there = world
        page = Browser(registry).signed_in("second-reviewer").get(there.waiting).text
        with registry.runtime.transaction(caller(registry, "auditor").tenant) as session:
            manifest = (
                session.connection()
                .exec_driver_sql("SELECT manifest_digest FROM concept_versions WHERE concept_id = 'demo/aiko'")
                .scalar_one()
            )
        assert f"imprimatur approve demo/aiko@{manifest} --comment" in page
        assert f"imprimatur reject demo/aiko@{manifest} --reason" in page
        assert "imprimatur approve" not in Browser(registry).signed_in("reviewer").get(there.waiting).text
        assert "imprimatur approve" not in Browser(registry).signed_in("auditor").get(there.waiting).text

    def test_says_why_a_reviewer_cannot_approve(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.submitted()
        registry.clock.advance(days=101)  # the consent is over
        page = Browser(registry).signed_in("reviewer").get(f"/concepts/{version.concept}/versions/1").text
        assert "approval.consent" in page
        assert "imprimatur approve" not in page
        assert "imprimatur reject" in page
        assert "approval:refused" not in dict(steps.events())

    def test_tells_what_changed_since_the_version_approved_before(self, world: World) -> None:
        registry, there = world
        page = Browser(registry).signed_in("reviewer").get(there.approved).text
        changes = page.split("Changed since demo/fox@1", 1)[1].split("</table>")[0]
        assert re.findall(r'<th scope="row">(\w+)</th>', changes) == ["Licences", "Files"]
        assert "No earlier version" in Browser(registry).signed_in("reviewer").get(there.waiting).text

    def test_compares_with_what_a_renewal_made_of_it(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        first = steps.approved()
        renewed(steps, first)
        records = {"consents": first.manifest.consents, "licences": first.manifest.licences}
        steps.submitted(embedding=b"second", **records)
        page = Browser(registry).signed_in("reviewer").get(f"/concepts/{first.concept}/versions/2").text
        changes = page.split("Changed since demo/fox@1", 1)[1].split("</table>")[0]
        assert re.findall(r'<th scope="row">(\w+)</th>', changes)[:2] == ["Consents", "Licences"]

    def test_compares_with_what_was_approved_not_with_what_was_rejected(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        steps.approved()
        accepted(steps.reject(steps.submitted(embedding=b"second")))
        third = steps.submitted(embedding=b"third")
        page = Browser(registry).signed_in("reviewer").get(f"/concepts/{third.concept}/versions/3").text
        assert "Changed since demo/fox@1" in page

    def test_says_the_terms_in_words(self, world: World) -> None:
        registry, there = world
        page = unescape(Browser(registry).signed_in("reviewer").get(there.waiting).text)
        assert "consented on" in page
        assert "a message to consent@studio.example" in page
        assert "grants a right to use under LicenseRef-demo-1" in page

    def test_escapes_what_people_wrote(self, world: World) -> None:
        registry, there = world
        page = Browser(registry).signed_in("reviewer").get(there.waiting).text
        assert HOSTILE not in page
        assert HOSTILE in unescape(page)

    def test_shows_a_revocation_and_its_reason(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        version = steps.approved()
        accepted(steps.revoke(version))
        page = Browser(registry).signed_in("reviewer").get(f"/concepts/{version.concept}/versions/1").text
        assert '<span class="status revoked">' in page
        assert re.search(r"<td>revoked</td><td class=\"wrap\">[^<]+</td>", page)


class TestFiles:
    def test_pictures_are_sent_as_what_they_are_and_shut_in(self, world: World) -> None:
        registry, there = world
        answer = Browser(registry).signed_in("reviewer").get(there.picture)
        assert answer.headers["content-type"] == "image/png"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.content.startswith(b"\x89PNG")

    def test_what_is_no_picture_is_not_shown_as_one(self, world: World) -> None:
        registry, there = world
        browser = Browser(registry).signed_in("reviewer")
        text = browser.get(there.waiting).text
        path = re.search(r'src="/console([^"]+)" alt="Sample samples/no-picture.png"', text)[1]  # type: ignore[index]
        answer = browser.get(path)
        assert answer.status_code == 404
        assert "<svg" not in answer.text

    def test_report_may_look_as_it_likes_and_do_nothing(self, world: World) -> None:
        registry, there = world
        browser = Browser(registry).signed_in("reviewer")
        answer = browser.get(there.report)
        policy = answer.headers["content-security-policy"]
        assert answer.content == REPORT
        assert re.search(r"sandbox(;|$)", policy), "a sandbox with nothing allowed"
        assert "frame-ancestors 'self'" in policy
        assert re.search(rf'<iframe sandbox src="/console{there.report}"', browser.get(there.waiting).text)

    def test_embeddings_never_leave_through_the_console(self, world: World) -> None:
        registry, there = world
        assert Browser(registry).signed_in("reviewer").get(there.embedding).status_code == 404


class TestAudit:
    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ("", 2),
            ("concept=demo/aiko", 1),
            ("concept=demo/nothing", 0),
            ("application=demo/app", 2),
            ("application=demo/other", 0),
            ("outcome=deny", 1),
            ("since=2026-06-02&until=2026-06-02", 2),
            ("since=2026-06-03", 0),
            ("until=2026-06-01", 0),
            ("before=0", 0),
        ],
    )
    def test_generations_are_filtered(self, world: World, filters: str, found: int) -> None:
        registry, _ = world
        text = Browser(registry).signed_in("auditor").get(f"/generations?{filters}").text
        assert len(set(re.findall(r"/console/generations/(gen_\w+)", text))) == found

    @pytest.mark.parametrize(
        "wrong",
        [
            *("generations?concept=Nothing", "generations?outcome=maybe"),
            *("generations?since=yesterday", "generations?before=-1", "log?subject=%00", "log?actor=nobody"),
            *("accounts?since=1999-01-01", "accounts?until=1999-01-01", "accounts?since=2999-01-01"),
            *("denials?since=1999-01-01", "denials?until=1999-01-01"),
        ],
    )
    def test_a_filter_that_means_nothing_is_refused_in_words(self, world: World, wrong: str) -> None:
        registry, _ = world
        answer = Browser(registry).signed_in("auditor").get(f"/{wrong}")
        assert answer.status_code == 422
        assert "That did not work" in answer.text

    def test_refusals_are_listed_with_their_reasons(self, world: World) -> None:
        registry, there = world
        text = Browser(registry).signed_in("auditor").get("/generations?outcome=deny").text
        assert "composition.approved-only" in text
        assert there.permitted not in text

    def test_a_generation_shows_images_decision_and_proofs(self, world: World) -> None:
        registry, there = world
        text = Browser(registry).signed_in("auditor").get(there.permitted).text
        assert text.count("image/png") == 2
        assert "composition.may-compose" in text
        assert len(re.findall(r"Log entry \d+", text)) == 2
        app = Browser(registry).signed_in("app").get(there.permitted)
        assert app.status_code == 200
        assert "Log entry" not in app.text

    def test_an_application_sees_its_own_generations_only(self, world: World) -> None:
        registry, there = world
        answer = Browser(registry).signed_in("other-app").get("/generations")
        assert answer.status_code == 200
        assert "Nothing matches" in answer.text
        assert Browser(registry).signed_in("other-app").get(there.permitted).status_code == 404

    def test_log_is_paged_and_filtered(self, world: World) -> None:
        registry, _ = world
        with registry.runtime.transaction() as session:
            for number in range(PAGE_ENTRIES):
                actor, name = registry.principals["owner"], f"demo/concept-{number}"
                append(session, registry.runtime, event=AuditEventType.CONCEPT_CREATED, actor=actor, subject=name)
        browser = Browser(registry).signed_in("auditor")
        text = browser.get("/log").text
        assert "imprimatur.test/demo\n" in text, "the checkpoint"
        indices = [int(index) for index in re.findall(r"/console/log/(\d+)", text)]
        assert indices == sorted(indices)
        assert len(indices) == PAGE_ENTRIES
        following = unescape(re.search(r'rel="next" href="([^"]+)"', text)[1])  # type: ignore[index]
        assert int(re.findall(r"/console/log/(\d+)", browser.get(f"/log{following}").text)[0]) > indices[-1]
        only = browser.get("/log?event=approval:signed&subject=demo/aiko@1").text
        assert len(re.findall(r"/console/log/\d+", only)) == 1

    def test_the_newest_entries_are_those_that_pass_the_filter(self, registry: RegistryUnderTest) -> None:
        ours, theirs = registry.principals["owner"], registry.principals["other-owner"]
        written = ((AuditEventType.REVIEW_COMMENTED, ours), (AuditEventType.CONCEPT_CREATED, theirs))
        with registry.runtime.transaction() as session:
            for (event, actor), number in itertools.product(written, range(PAGE_ENTRIES + 1)):
                append(session, registry.runtime, event=event, actor=actor, subject=f"{actor.tenant}/concept-{number}")
        browser = Browser(registry).signed_in("auditor")
        for asked in ("", "?event=review%3Acommented"):
            newest = re.search(r'href="(\?[^"]+)">Newest', browser.get(f"/log{asked}").text)
            assert newest
            assert "demo/concept-50" in browser.get(f"/log{unescape(newest[1])}").text

    def test_an_entry_comes_with_its_proof(self, world: World) -> None:
        registry, _ = world
        browser = Browser(registry).signed_in("auditor")
        index = re.search(r"/console/log/(\d+)", browser.get("/log?event=version:approved").text)[1]  # type: ignore[index]
        receipt = registry.client("auditor").get(f"/v1/log/receipts/{index}").json()
        page = browser.get(f"/log/{index}").text
        assert receipt["checkpoint"].splitlines()[0] in page
        assert len(re.findall(r"^[0-9a-f]{64}$", page.replace("<pre>", "\n"), re.MULTILINE)) == len(
            receipt["inclusion"]
        )
