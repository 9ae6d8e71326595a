"""What the end of a version affects: the signed report, the notices, and that applications answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from support.life import Life, answer
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import FOX, Steps, Submitted, accepted, assert_insert_only, refused

from sdk.audit import verify_blast_radius
from sdk.client import Client
from sdk.errors import SignatureInvalid, VerificationError
from sdk.signing.signer import sign_envelope
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId
from sdk.spec.recall import BlastRadiusPredicate, NoticeAcknowledgement, NoticeList, images_digest

STOP = NoticeAcknowledgement(concept=FOX, number=1, comment="campaign taken down")


def report(registry: RegistryUnderTest, version: Submitted, name: str = "auditor") -> BlastRadiusPredicate:
    envelope = Envelope.model_validate(accepted(registry.client(name).get(f"{version.path}/blast-radius")))
    trust, manifest = registry.runtime.trust_root, version.manifest.digest
    return verify_blast_radius(envelope, trust, concept=version.concept, number=version.number, manifest=manifest)


def notices(registry: RegistryUnderTest, name: str = "app") -> NoticeList:
    return NoticeList.model_validate(accepted(registry.client(name).get("/v1/notices")))


@pytest.fixture
def used(registry: RegistryUnderTest) -> Submitted:
    """A version with three generations: one recorded, one open that has fetched its embedding, one whose grant ran out."""
    steps = Steps(registry)
    version = steps.approved()
    for key in ("recorded", "expired", "open"):
        grant = accepted(steps.compose(version, key=key * 4))
        if key == "recorded":
            accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], version)))
        if key == "expired":
            registry.clock.advance(seconds=registry.runtime.settings.grant_seconds)
        if key == "open":
            path = f"/v1/generations/{grant['id']}/artefacts/{version.manifest.artefacts[0].digest}"
            registry.client("app").get(path).raise_for_status()
    return version


class TestBlastRadius:
    def test_counts_everything_that_a_revocation_affects(self, registry: RegistryUnderTest, used: Submitted) -> None:
        accepted(Steps(registry).revoke(used))
        found = report(registry, used)
        assert (found.status.value, found.ended_at) == ("revoked", registry.clock.now)
        assert found.images_recorded == 2
        assert found.images == images_digest((Digest.of(b"one"), Digest.of(b"two")))
        (application,) = found.applications
        assert (application.application, application.generations) == ("demo/app", 3)
        assert (application.images_granted, application.images_recorded) == (6, 2)
        (grant,) = application.outstanding
        assert grant.artefacts_released == 1
        assert grant.expires_at == registry.clock.now + timedelta(seconds=600)
        assert (application.notice_sent_at, application.acknowledged_at) == (None, None)

    def test_says_which_entry_of_the_log_ended_it(self, registry: RegistryUnderTest, used: Submitted) -> None:
        accepted(Steps(registry).revoke(used))
        found = report(registry, used)
        entries = Steps(registry).get("auditor", f"/v1/log/entries?event=version:revoked&subject={used.name}")
        assert found.ended_entry == entries["entries"][0]["index"]
        assert found.log_size == found.ended_entry + 1

    def test_tells_before_the_end_what_the_end_would_affect(self, registry: RegistryUnderTest, used: Submitted) -> None:
        found = report(registry, used, "reviewer")
        assert (found.status.value, found.ended_at, found.ended_entry) == ("approved", None, None)
        assert found.applications[0].generations == 3

    def test_names_the_versions_that_rest_on_the_same_consent(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.submitted()
        steps.submitted(embedding=b"2", consents=(fox.consent,))
        other = steps.consent(FOX, subject="subject-0002")["id"]
        steps.submitted(embedding=b"3", consents=(other,))
        assert [(other.name, other.status.value) for other in report(registry, fox).related] == [
            ("demo/fox@2", "submitted")
        ]

    def test_shows_when_each_application_was_told_and_answered(
        self, registry: RegistryUnderTest, used: Submitted
    ) -> None:
        steps = Steps(registry)
        accepted(steps.withdraw(used))
        registry.clock.advance(minutes=1)
        told = registry.clock.now
        notices(registry)
        registry.clock.advance(minutes=1)
        receipt = accepted(steps.post("app", "/v1/notices/acknowledgements", STOP))
        (application,) = report(registry, used).applications
        assert (application.notice_sent_at, application.acknowledged_at) == (told, registry.clock.now)
        assert application.acknowledgement_entry == receipt["index"]

    def test_is_only_for_who_reviews_owns_or_audits(self, registry: RegistryUnderTest, used: Submitted) -> None:
        for name in ("auditor", "reviewer", "owner", "trainer"):
            report(registry, used, name)
        for name in ("app", "training-service"):
            refused(registry.client(name).get(f"{used.path}/blast-radius"), 403, "auth.forbidden")

    def test_verifies_with_the_status_key_and_about_this_version_only(
        self, registry: RegistryUnderTest, used: Submitted
    ) -> None:
        envelope = Envelope.model_validate(accepted(registry.client("auditor").get(f"{used.path}/blast-radius")))
        trust, manifest = registry.runtime.trust_root, used.manifest.digest
        forged = sign_envelope(envelope.payload, registry.keys["log"])
        with pytest.raises(SignatureInvalid, match="status"):
            verify_blast_radius(forged, trust, concept=FOX, number=1, manifest=manifest)
        for concept, number, digest in (
            (ConceptId("demo/owl"), 1, manifest),
            (FOX, 2, manifest),
            (FOX, 1, Digest.of(b"other")),
        ):
            with pytest.raises(VerificationError, match="something else"):
                verify_blast_radius(envelope, trust, concept=concept, number=number, manifest=digest)


class TestNotices:
    def test_are_for_every_ended_version_that_was_granted(self, registry: RegistryUnderTest, used: Submitted) -> None:
        steps = Steps(registry)
        unused = steps.approved(ConceptId("demo/den"), embedding=b"den")
        assert notices(registry).notices == ()
        accepted(steps.revoke(used, reason="harm found"))
        accepted(steps.revoke(unused))
        (notice,) = notices(registry).notices
        assert (notice.concept, notice.number, notice.status.value) == (FOX, 1, "revoked")
        assert (notice.reason, notice.ended_at) == ("harm found", registry.clock.now)
        assert notice.manifest == used.manifest.digest

    def test_come_in_pages(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        for number, name in enumerate(("a", "b", "c")):
            version = steps.approved(ConceptId(f"demo/{name}"), embedding=name.encode())
            accepted(steps.compose(version, key=f"{number}" * 16))
            if name != "b":
                accepted(steps.revoke(version))
        first = accepted(registry.client("app").get("/v1/notices?limit=2"))
        assert [notice["concept"] for notice in first["notices"]] == [
            "demo/a"
        ]  # demo/b, on the same page, has not ended
        second = accepted(registry.client("app").get(f"/v1/notices?limit=2&cursor={first['next_cursor']}"))
        assert ([notice["concept"] for notice in second["notices"]], second["next_cursor"]) == (["demo/c"], None)
        with Client(BASE_URL, registry.credentials["app"], transport=registry.transport) as client:
            assert [notice.concept for notice in client.list_notices().notices] == ["demo/a", "demo/c"]

    def test_are_logged_when_they_are_first_fetched(self, registry: RegistryUnderTest, used: Submitted) -> None:
        steps = Steps(registry)
        accepted(steps.revoke(used))
        for _ in range(2):
            notices(registry)
        assert steps.events(used.name)[-2:] == [("version:revoked", "demo/reviewer"), ("notice:sent", "demo/app")]

    def test_are_logged_once_when_they_are_fetched_at_the_same_moment(
        self, registry: RegistryUnderTest, used: Submitted
    ) -> None:
        steps = Steps(registry)
        accepted(steps.revoke(used))
        with ThreadPoolExecutor(6) as threads:
            told = list(threads.map(lambda _: notices(registry), range(6)))
        assert {len(each.notices) for each in told} == {1}
        assert [event for event, _ in steps.events(used.name)].count("notice:sent") == 1

    def test_of_ends_are_for_the_applications_that_used_the_version(
        self, registry: RegistryUnderTest, used: Submitted
    ) -> None:
        accepted(Steps(registry).revoke(used))
        assert len(notices(registry).notices) == 1
        for name in ("auditor", "reviewer", "owner"):
            assert notices(registry, name).notices == ()
        for name in ("admin", "renderer", "training-service"):
            refused(registry.client(name).get("/v1/notices"), 403, "auth.forbidden")
            refused(Steps(registry).post(name, "/v1/notices/acknowledgements", STOP), 403, "auth.forbidden")

    def test_are_no_matter_of_superseded_versions(self, registry: RegistryUnderTest, used: Submitted) -> None:
        Steps(registry).approved(embedding=b"2")
        assert notices(registry).notices == ()


class TestAcknowledgement:
    def test_is_logged_once_and_seen_in_the_notice(self, registry: RegistryUnderTest, used: Submitted) -> None:
        steps = Steps(registry)
        accepted(steps.revoke(used))
        first = accepted(steps.post("app", "/v1/notices/acknowledgements", STOP))
        again = accepted(steps.post("app", "/v1/notices/acknowledgements", STOP))
        assert first["index"] == again["index"]
        assert notices(registry).notices[0].acknowledged_at == registry.clock.now
        assert steps.events(used.name).count(("notice:acknowledged", "demo/app")) == 1

    def test_cannot_be_reworded(self, registry: RegistryUnderTest, used: Submitted) -> None:
        steps = Steps(registry)
        accepted(steps.revoke(used))
        accepted(steps.post("app", "/v1/notices/acknowledgements", STOP))
        other = STOP.model_copy(update={"comment": "nothing was done"})
        refused(steps.post("app", "/v1/notices/acknowledgements", other), 409, "resource.conflict", "other words")

    def test_needs_a_notice(self, registry: RegistryUnderTest, used: Submitted) -> None:
        steps = Steps(registry)
        refused(steps.post("app", "/v1/notices/acknowledgements", STOP), 404, "resource.not_found", "no notice")
        unused = steps.approved(ConceptId("demo/den"), embedding=b"den")
        accepted(steps.revoke(unused))
        answer = NoticeAcknowledgement(concept=unused.concept, number=1)
        refused(steps.post("app", "/v1/notices/acknowledgements", answer), 404, "resource.not_found", "no notice")


class TestDatabase:
    @pytest.mark.parametrize("table", ["notices_sent", "notice_acknowledgements"])
    def test_keeps_what_was_told_and_answered(self, registry: RegistryUnderTest, used: Submitted, table: str) -> None:
        steps = Steps(registry)
        accepted(steps.revoke(used))
        notices(registry)
        accepted(steps.post("app", "/v1/notices/acknowledgements", STOP))
        assert_insert_only(registry, table)


class TestAnotherEnd:
    """What was suspended came back and ends again: another notice, with a date and an acknowledgement of its own."""

    @pytest.fixture
    def life(self, registry: RegistryUnderTest) -> Life:
        life = Life(registry)
        accepted(life.steps.compose(life.version))
        accepted(life.happens())
        notices(registry)
        accepted(life.steps.post("app", "/v1/notices/acknowledgements", STOP))
        registry.clock.advance(days=1)
        accepted(life.answers(answer()))
        accepted(life.reinstated())
        assert notices(registry).notices == ()
        registry.clock.advance(days=1)
        return life

    def test_is_told_and_acknowledged_anew(self, registry: RegistryUnderTest, life: Life) -> None:
        accepted(life.steps.withdraw(life.version))
        (told,) = notices(registry).notices
        assert (told.ended_at, told.acknowledged_at) == (registry.clock.now, None)
        again = STOP.model_copy(update={"comment": "taken down again"})
        accepted(life.steps.post("app", "/v1/notices/acknowledgements", again))
        refused(life.steps.post("app", "/v1/notices/acknowledgements", STOP), 409, "resource.conflict", "other words")
        assert [event for event, _ in life.steps.events(life.version.name)].count("notice:sent") == 2
        found = report(registry, life.version)
        assert (found.ended_at, found.applications[0].acknowledged_at) == (registry.clock.now, registry.clock.now)

    def test_of_a_version_that_was_suspended_is_the_revocation(self, registry: RegistryUnderTest, life: Life) -> None:
        accepted(life.steps.withdraw(life.version))
        registry.clock.advance(days=1)
        accepted(life.steps.revoke(life.version))
        (told,) = notices(registry).notices
        assert (told.status, told.ended_at, told.acknowledged_at) == ("revoked", registry.clock.now, None)

    def test_of_what_came_back_nothing_is_told(self, registry: RegistryUnderTest, life: Life) -> None:
        found = report(registry, life.version)
        (use,) = found.applications
        assert (found.status, use.notice_sent_at, use.acknowledged_at) == ("approved", None, None)

    def test_is_acknowledged_once_of_many_at_once(self, registry: RegistryUnderTest, life: Life) -> None:
        accepted(life.steps.withdraw(life.version))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: life.steps.post("app", "/v1/notices/acknowledgements", STOP), range(8)))
        assert len({accepted(each)["index"] for each in answers}) == 1
