"""The compose call refuses: at every step the one refusal that step is there for, and nothing is handed out unrecorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.governed import NOW, fixed_signer
from support.memory_log import MemoryLog
from support.tampering import without_rule
from support.tiny_backbone import make_backbone_dir
from support.wire_values import GRANT
from support.workshop import SCENE, USE, Workshop, make_embedding, make_workshop, run

from sdk.compose import ComposeProgress, ComposeStage, Composition, compose
from sdk.errors import (
    BackboneError,
    ConfigurationError,
    DigestMismatch,
    FormatError,
    ImprimaturError,
    InputError,
    LogForked,
    NotApproved,
    PolicyDenied,
    SceneError,
    ServiceUnavailable,
    SignatureInvalid,
    StatusListInvalid,
    ThresholdNotMet,
    TrustRootInvalid,
    VerificationError,
)
from sdk.policy.cedar import CedarEngine
from sdk.resolve import log_memory
from sdk.signing.status import verify_status_list
from sdk.spec.bundle import VersionStatus
from sdk.spec.log_entry import AuditEventType
from sdk.spec.policy import Effect, Role


class TestRefusals:
    """Every one of them comes before anything is generated."""

    @pytest.fixture(autouse=True)
    def nothing_is_generated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_args: object, **_options: object) -> None:
            raise AssertionError("something was generated")

        monkeypatch.setattr("sdk.compose.drawing.generate_images", refuse)

    def refused(self, workshop: Workshop, error: type[ImprimaturError], match: str, **options: Any) -> ImprimaturError:
        with pytest.raises(error, match=match) as caught:
            run(workshop, **options)
        assert workshop.registry.results == []
        return caught.value

    @pytest.mark.parametrize("status", [VersionStatus.SUBMITTED, VersionStatus.REVOKED, VersionStatus.SUSPENDED])
    def test_not_approved(self, workshop: Workshop, status: VersionStatus) -> None:
        workshop.registry.status["demo/fox"] = status
        self.refused(workshop, NotApproved, f"demo/fox@1 is {status.value}")
        assert workshop.registry.intents == []

    def test_approval_that_nobody_signed(self, workshop: Workshop) -> None:
        workshop.registry.worlds["demo/fox"].approvals.clear()
        self.refused(workshop, ThresholdNotMet, "0 of 1")

    @pytest.mark.parametrize("use", [{"territory": "US"}, {"purpose": "political"}, {"channel": "tv"}])
    def test_use_that_is_not_granted(self, workshop: Workshop, use: dict[str, str]) -> None:
        error = self.refused(workshop, PolicyDenied, "compose is refused", **use)
        assert isinstance(error, PolicyDenied)
        assert [reason.about for reason in error.decision.reasons] == ["demo/fox"]
        assert all(reason.rule.startswith("composition.") and reason.remedy for reason in error.decision.reasons)
        assert workshop.registry.intents == []
        (recorded,) = workshop.registry.denied  # the registry refuses it too: it is in the ledger of refused attempts
        assert error.on_record
        assert {name: getattr(recorded.use, name) for name in use} == use

    def test_a_refusal_stands_though_the_registry_is_away(
        self, workshop: Workshop, caplog: pytest.LogCaptureFixture
    ) -> None:
        workshop.registry.overrides["POST /v1/generations$"] = lambda: ServiceUnavailable("the database is away")
        self.refused(workshop, PolicyDenied, "territory US", territory="US")
        assert "could not be put on record: the database is away" in caplog.text

    def test_a_refusal_stands_though_the_registry_permits(
        self, workshop: Workshop, caplog: pytest.LogCaptureFixture
    ) -> None:
        workshop.registry.overrides["POST /v1/generations$"] = lambda: GRANT
        self.refused(workshop, PolicyDenied, "territory US", territory="US")
        assert "its grant is not used" in caplog.text

    def test_caller_without_the_role(self, workshop: Workshop) -> None:
        workshop.registry.roles = (Role.AUDITOR,)
        self.refused(workshop, PolicyDenied, "demo/app")

    def test_policies_that_are_not_what_their_digest_says(self, workshop: Workshop) -> None:
        view = workshop.registry.policies.view()
        workshop.registry.overrides["/v1/policies"] = lambda: view.model_copy(update={"files": {}})
        self.refused(workshop, DigestMismatch, "policy bundle")

    def test_registry_that_says_no(self, workshop: Workshop) -> None:
        workshop.registry.effect = Effect.DENY
        self.refused(workshop, PolicyDenied, "not a permit")

    def test_registry_that_decided_by_other_policies(self, workshop: Workshop) -> None:
        workshop.registry.decision = lambda context: CedarEngine(without_rule("composition.quota")).evaluate(context)  # type: ignore[method-assign]
        self.refused(workshop, PolicyDenied, "under our policies")

    def test_registry_that_cannot_record_the_intent(self, workshop: Workshop) -> None:
        workshop.registry.overrides["POST /v1/generations$"] = lambda: ServiceUnavailable("the database is away")
        self.refused(workshop, ServiceUnavailable, "database")

    def test_grant_with_the_receipt_of_something_else(self, workshop: Workshop) -> None:
        registry = workshop.registry
        honest = registry._generation
        registry._generation = lambda *args: honest(*args).model_copy(update={"receipt": registry.log.receipt(1)})  # type: ignore[method-assign]
        self.refused(workshop, VerificationError, "receipt is not for generation:permitted")

    def test_a_base_model_that_was_exchanged_after_it_was_looked_at(self, tmp_path: Path) -> None:
        workshop = make_workshop(tmp_path)
        make_backbone_dir(tmp_path / "other", "sd", seed=9)

        def exchange(progress: ComposeProgress) -> None:
            if progress.stage is ComposeStage.ENFORCE:
                (tmp_path / "base").rename(tmp_path / "first")
                (tmp_path / "other").rename(tmp_path / "base")

        self.refused(workshop, BackboneError, "base as it was loaded has", on_progress=exchange)
        assert workshop.registry.intents == []

    def test_another_base_model(self, workshop: Workshop, tmp_path: Path) -> None:
        other = make_workshop(make_folder(tmp_path / "other"), base=make_backbone_dir(tmp_path / "base2", "sd", seed=9))
        with other.registry.client() as client, pytest.raises(BackboneError, match="was learned on"):
            compose(["demo/fox"], SCENE, profile=workshop.profile, client=client, clock=lambda: NOW, **USE)

    def test_artefact_that_is_not_the_one(self, workshop: Workshop) -> None:
        workshop.registry.blobs = dict.fromkeys(workshop.registry.blobs, make_embedding(seed=2))
        self.refused(workshop, DigestMismatch, "learned_embeds")

    def test_expired_trust_root(self, workshop: Workshop) -> None:
        self.refused(workshop, TrustRootInvalid, "expired", clock=lambda: NOW + timedelta(days=400))

    @pytest.mark.parametrize(
        ("listed", "error", "match"),
        [
            ({"status": VersionStatus.REVOKED}, NotApproved, "demo/fox@1 is revoked"),
            ({"at": NOW - timedelta(minutes=1)}, StatusListInvalid, "ended at"),
            ({"at": NOW + timedelta(minutes=1)}, StatusListInvalid, "set this clock"),
            ({"tenant": "other"}, StatusListInvalid, "needs the status list"),
            ({"origin": "log.test/other"}, StatusListInvalid, "needs the status list"),
            ({"signer": "log"}, SignatureInvalid, "trusted for status"),
        ],
    )
    def test_status_list_that_does_not_clear_the_version(
        self, workshop: Workshop, listed: dict[str, Any], error: type[ImprimaturError], match: str
    ) -> None:
        workshop.registry.overrides["/v1/status/"] = lambda: workshop.registry.worlds["demo/fox"].status_list(**listed)
        self.refused(workshop, error, match)
        assert workshop.registry.intents == []

    def test_status_list_older_than_one_that_was_seen(self, workshop: Workshop) -> None:
        world = workshop.registry.worlds["demo/fox"]
        seen = verify_status_list(world.status_list(at=NOW + timedelta(seconds=1)), world.trust)
        log_memory(workshop.profile).remember_status(seen.id, seen.valid_from)
        self.refused(workshop, StatusListInvalid, "shows an old one")
        assert workshop.registry.intents == []

    def test_log_that_was_rewritten_since_last_time(self, workshop: Workshop) -> None:
        other = MemoryLog(workshop.registry.log.origin, fixed_signer("log"), NOW)
        other.append(AuditEventType.CONCEPT_CREATED, "demo/owl")
        log_memory(workshop.profile).remember(other.origin, other.note())
        self.refused(workshop, LogForked, "rewritten")
        assert workshop.registry.intents == []

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"scene": "a photo of {demo/owl}"}, SceneError),
            ({"scene": "a photo"}, SceneError),
            ({"scene": SCENE + " <demo-owl>"}, SceneError),
            ({"concepts": []}, SceneError),
            ({"concepts": ["fox"]}, SceneError),
            ({"negative_prompt": "{demo/fox}"}, SceneError),
            ({"count": 0}, InputError),
            ({"count": 65}, InputError),
            ({"seed": -1}, InputError),
            ({"steps": 0}, InputError),
            ({"scheduler": "magic"}, InputError),
            ({"seeds": []}, InputError),
            ({"seeds": [1, -1]}, InputError),
            ({"seeds": "12"}, InputError),
            ({"seeds": [1, 2], "count": 3}, InputError),
            ({"seeds": [1, 2], "seed": 1}, InputError),
            ({"leakage": 0.5}, InputError),
            ({"leakage": 2}, InputError),
            ({"preview_every": -1}, InputError),
            ({"territory": "Japan"}, FormatError),
            ({"purpose": ""}, FormatError),
        ],
    )
    def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(
        self, workshop: Workshop, change: dict[str, Any], error: type[ImprimaturError]
    ) -> None:
        self.refused(workshop, error, ".", **change)
        assert workshop.registry.asked == []

    @pytest.mark.parametrize("missing", ["key.pem", "content-credentials/ca-key.pem", "trust-root.json"])
    def test_missing_files_are_named(self, workshop: Workshop, missing: str) -> None:
        (workshop.folder / missing).unlink()
        self.refused(workshop, ConfigurationError, Path(missing).name)
        assert workshop.registry.intents == []


class TestNoRecordNoImage:
    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (lambda registry: ServiceUnavailable("away"), ServiceUnavailable),
            (lambda registry: registry.log.receipt(1), VerificationError),
        ],
    )
    def test_nothing_is_handed_out(
        self, workshop: Workshop, answer: Callable[[Any], Any], error: type[ImprimaturError]
    ) -> None:
        workshop.registry.overrides["/result$"] = lambda: answer(workshop.registry)
        with pytest.raises(error):
            run(workshop)
        assert len(workshop.registry.intents) == 1


class TestStillLive:
    """Between the first check and the hand-out a version may end."""

    def compose_until(self, workshop: Workshop, seconds: float) -> Composition:
        """Compose with a generation that lasts so long."""
        now = [NOW]
        workshop.registry.clock = lambda: now[0]

        def on_progress(progress: ComposeProgress) -> None:
            if progress.stage is ComposeStage.CREDENTIAL:
                now[0] += timedelta(seconds=seconds)

        return run(workshop, clock=lambda: now[0], on_progress=on_progress)

    def test_a_version_that_was_revoked_while_it_was_drawn_is_not_handed_out(self, workshop: Workshop) -> None:
        receipt = workshop.registry._result

        def revoked_meanwhile(*args: Any) -> Any:
            workshop.registry.status["demo/fox"] = VersionStatus.REVOKED
            return receipt(*args)

        workshop.registry._result = revoked_meanwhile  # type: ignore[method-assign]
        with pytest.raises(NotApproved, match="demo/fox@1 is revoked"):
            self.compose_until(workshop, 60)

    def test_a_list_that_is_fresh_still_is_not_fetched_again(self, workshop: Workshop) -> None:
        self.compose_until(workshop, 59)
        assert workshop.registry.asked.count("GET /v1/status/demo/0") == 1

    def test_a_list_that_ended_is_fetched_again(self, workshop: Workshop) -> None:
        assert self.compose_until(workshop, 60).images
        assert workshop.registry.asked.count("GET /v1/status/demo/0") == 2

    def test_nothing_is_handed_out_while_no_fresh_list_is_to_be_had(self, workshop: Workshop) -> None:
        old = workshop.registry.status_list()
        workshop.registry.overrides["/v1/status/"] = lambda: old
        with pytest.raises(StatusListInvalid, match="ended at"):
            self.compose_until(workshop, 60)


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path
