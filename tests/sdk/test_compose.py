"""The compose call: the whole way, and at every step the one refusal that step is there for."""

from __future__ import annotations

import dataclasses
import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.governed import NOW, fixed_signer, record_id
from support.memory_log import MemoryLog
from support.pictures import alike
from support.tampering import without_rule
from support.tiny_backbone import LATENT_SIZE, RESOLUTION, make_backbone_dir
from support.workshop import SCENE, USE, Workshop, make_embedding, make_workshop

import sdk
from registry.distribution.repository import TufRepository
from sdk.compose import ComposeProgress, ComposeStage, Composition, compose
from sdk.credentials.read import verify_credentials
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
from sdk.policy.bundle import PolicyBundle
from sdk.policy.cedar import CedarEngine
from sdk.resolve import log_memory
from sdk.signing.status import verify_status_list
from sdk.signing.trust import TrustRole, sign_trust_root, verify_role
from sdk.spec.bundle import VersionStatus
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import encode_envelope
from sdk.spec.log_entry import AuditEventType
from sdk.spec.money import Money
from sdk.spec.policy import Effect, Role
from sdk.spec.statements import GenerationPredicate, parse_predicate, parse_statement
from sdk.verify import verify_receipt

CALL_TWICE = """
for _ in range(2):
    try:
        sdk.compose([], "", purpose="", territory="", channel="")
    except sdk.errors.InputError:
        print("called")
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone_dir(tmp_path_factory.mktemp("base") / "sd", "sd")


@pytest.fixture
def workshop(tmp_path: Path, base: Path) -> Workshop:
    return make_workshop(tmp_path, base=base)


def run(workshop: Workshop, concepts: Any = ("demo/fox",), scene: str = SCENE, **options: Any) -> Composition:
    with workshop.registry.client() as client:
        call = {"steps": 2, "profile": workshop.profile, "client": client, "clock": lambda: NOW} | USE | options
        return compose(concepts, scene, **call)


class TestWholeWay:
    def test_hands_out_recorded_images_with_credentials(self, workshop: Workshop, tmp_path: Path) -> None:
        result = run(workshop, count=2, seed=7)
        (recorded,) = workshop.registry.results
        assert [image.digest for image in result.images] == [image.digest for image in recorded.images]
        result.images[0].save(tmp_path / "fox.png")
        saved = (tmp_path / "fox.png").read_bytes()
        assert Digest.of(saved) == recorded.images[0].digest
        credentials = verify_credentials(saved, [workshop.authority])
        assert credentials.use is not None
        assert credentials.use.generation == result.generation_id == record_id("gen")
        assert [version.name for version in credentials.use.versions] == ["demo/fox@1"]
        assert credentials.use.versions[0].manifest == result.versions[0].digest
        assert [a.log_index for a in credentials.use.versions[0].approvals] == [2]
        assert credentials.use.decision == Digest.of(encode_canonical(result.decision))
        assert credentials.use.receipt == f"http://registry.test/v1/log/receipts/{credentials.use.intent_index}"

    def test_the_intent_says_what_is_generated_and_not_the_scene(self, workshop: Workshop) -> None:
        run(workshop, count=2, seed=7)
        (intent,) = workshop.registry.intents
        assert (intent.count, intent.seed, intent.scene) == (2, 7, Digest.of(SCENE.encode()))
        assert intent.policy_bundle == workshop.registry.policies.digest
        assert intent.use.territory == "JP"

    def test_the_result_is_signed_by_the_application_about_every_image(self, workshop: Workshop) -> None:
        result = run(workshop, count=2)
        statement = workshop.registry.results[0].statement
        assert verify_role(statement, workshop.registry.trust, TrustRole.GENERATION) == {"demo/app"}
        parsed = parse_statement(statement.payload, statement.payload_type)
        assert [subject.content for subject in parsed.subject] == [image.digest for image in result.images]
        assert parse_predicate(parsed, GenerationPredicate).generation == result.generation_id

    def test_states_the_fee_that_is_charged_and_none_unasked(self, workshop: Workshop) -> None:
        run(workshop)
        run(workshop, fee=("JPY", "4000"))
        for result, fee in zip(workshop.registry.results, (None, Money(currency="JPY", amount="4000")), strict=True):
            parsed = parse_statement(result.statement.payload, result.statement.payload_type)
            assert parse_predicate(parsed, GenerationPredicate).fee == fee
        with pytest.raises(FormatError, match="fee"):
            run(workshop, fee=("JPY", "much"))

    def test_the_receipt_proves_the_record(self, workshop: Workshop) -> None:
        entry = verify_receipt(run(workshop).receipt, workshop.registry.trust)
        assert (entry.event, entry.subject) == (AuditEventType.GENERATION_RECORDED, record_id("gen"))

    def test_the_same_call_gives_the_same_pixels(self, workshop: Workshop) -> None:
        first, second = run(workshop, seed=3), run(workshop, seed=3)
        assert first.images[0].image.tobytes() == second.images[0].image.tobytes()
        assert workshop.registry.intents[0].idempotency_key != workshop.registry.intents[1].idempotency_key

    def test_short_names(self, workshop: Workshop) -> None:
        assert len(run(workshop, {"hero": "demo/fox@1"}, "a photo of {hero}").images) == 1

    def test_says_where_it_is_in_the_promised_order(self, workshop: Workshop) -> None:
        seen: list[ComposeProgress] = []
        run(workshop, count=2, on_progress=seen.append)
        assert list(dict.fromkeys(each.stage for each in seen)) == list(ComposeStage)
        assert seen[-2].stage is ComposeStage.CREDENTIAL
        steps = [(p.image, p.together, p.step, p.done) for p in seen if p.stage is ComposeStage.GENERATE][1:]
        assert steps == [(0, 2, 0, 0.5), (0, 2, 1, 1.0)]

    def test_shows_previews_that_are_no_results(self, workshop: Workshop) -> None:
        seen: list[ComposeProgress] = []
        result = run(workshop, preview_every=2, on_progress=seen.append)
        (preview,) = (each.preview for each in seen if each.preview)
        assert preview.size == (LATENT_SIZE, LATENT_SIZE)
        assert result.images[0].image.size == (RESOLUTION, RESOLUTION)

    def test_shows_a_bar(self, workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        run(workshop, progress=True)
        out, _ = capsys.readouterr()
        assert out == ""

    def test_several_seeds_are_an_image_each_and_recorded(self, workshop: Workshop) -> None:
        several = run(workshop, seeds=[5, 9])
        for image, seed in zip(several.images, (5, 9), strict=True):
            assert alike(image.image, run(workshop, seed=seed).images[0].image)
        intent = workshop.registry.intents[0]
        assert (intent.count, intent.seed) == (2, 5)

    def test_the_intent_names_every_number_that_the_pixels_depend_on(self, workshop: Workshop) -> None:
        for options in ({}, {"guidance": 6.0}, {"scheduler": "euler"}, {"negative_prompt": "red"}, {}):
            run(workshop, **options)
        digests = [intent.sampling for intent in workshop.registry.intents]
        assert len(set(digests)) == 4
        assert digests[0] == digests[-1]

    def test_records_the_intent_before_it_fetches_and_the_result_last(self, workshop: Workshop) -> None:
        run(workshop)
        acts = [asked for asked in workshop.registry.asked if "generations" in asked]
        assert [re.sub(r"gen_\w+|sha256:\w+", "*", act) for act in acts] == [
            "POST /v1/generations",
            "GET /v1/generations/*/artefacts/*",
            "POST /v1/generations/*/result",
        ]


class TestRefusals:
    """Every one of them comes before anything is generated."""

    @pytest.fixture(autouse=True)
    def nothing_is_generated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_args: object, **_options: object) -> None:
            raise AssertionError("something was generated")

        monkeypatch.setattr("sdk.compose.steps.generate_images", refuse)

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

    def test_another_base_model(self, workshop: Workshop, tmp_path: Path) -> None:
        other = make_workshop(make_folder(tmp_path / "other"), base=make_backbone_dir(tmp_path / "base2", "sd", seed=9))
        with other.registry.client() as client, pytest.raises(BackboneError, match="was learned on"):
            compose(["demo/fox"], SCENE, profile=workshop.profile, client=client, clock=lambda: NOW, **USE)

    def test_artefact_that_is_not_the_one(self, workshop: Workshop) -> None:
        workshop.registry.blobs = dict.fromkeys(workshop.registry.blobs, make_embedding(seed=2))
        self.refused(workshop, DigestMismatch, "artefact")

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


class TestOverTuf:
    """A profile with a TUF root believes in no other trust root and no other policies than what comes from there."""

    @pytest.fixture
    def tuf(self, workshop: Workshop, tmp_path: Path) -> TufRepository:
        made = TufRepository(tmp_path / "tuf")
        workshop.registry.tuf = made.folder
        return made

    def targets(self, workshop: Workshop, policies: PolicyBundle | None = None) -> dict[str, bytes]:
        return {
            "trust-root.json": encode_envelope(sign_trust_root(workshop.registry.trust, fixed_signer("root"))),
            "policies.json": encode_canonical((policies or workshop.registry.policies).view()),
        }

    def create(self, tuf: TufRepository, targets: dict[str, bytes]) -> None:
        now = datetime.now(UTC)
        root, online = fixed_signer("root"), fixed_signer("online")
        tuf.create([root], online, targets, threshold=1, expires=now + timedelta(days=9), now=now)

    def run(self, workshop: Workshop, tuf: TufRepository) -> Composition:
        return run(replace_profile(workshop, tuf_root=tuf.first_root))

    def test_composes(self, workshop: Workshop, tuf: TufRepository) -> None:
        self.create(tuf, self.targets(workshop))
        assert self.run(workshop, tuf).images
        assert "GET /v1/trust-root" not in workshop.registry.asked
        assert "GET /v1/policies" not in workshop.registry.asked

    def test_refuses_a_registry_that_decides_by_other_policies(self, workshop: Workshop, tuf: TufRepository) -> None:
        files = dict(workshop.registry.policies.files)
        files["composition/rules.cedar"] += "\n// stricter days\n"
        self.create(tuf, self.targets(workshop, PolicyBundle(files=files)))
        with pytest.raises(PolicyDenied, match="under our policies"):
            self.run(workshop, tuf)

    def test_refuses_a_trust_root_that_is_not_distributed(self, workshop: Workshop, tuf: TufRepository) -> None:
        self.create(tuf, {})
        with pytest.raises(TrustRootInvalid, match=r"distributes no trust-root\.json"):
            self.run(workshop, tuf)

    def test_refuses_without_any_repository(self, workshop: Workshop, tuf: TufRepository, tmp_path: Path) -> None:
        self.create(tuf, self.targets(workshop))
        workshop.registry.tuf = tmp_path / "nowhere"
        with pytest.raises(ServiceUnavailable, match="TUF metadata"):
            self.run(workshop, tuf)


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


class TestPublicName:
    @pytest.mark.parametrize(
        "imports",
        ["import sdk", "import sdk.compose", "from sdk.compose import ComposeStage; import sdk", "import sdk.cli"],
    )
    def test_sdk_compose_is_the_call_whatever_was_imported_first(self, imports: str) -> None:
        code = f"{imports}\n" + CALL_TWICE
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.split() == ["called", "called"], done.stderr

    def test_every_public_name_is_there(self) -> None:
        for name in sdk.__all__:
            assert getattr(sdk, name) is not None
        assert dir(sdk) == sorted(sdk.__all__)
        with pytest.raises(AttributeError, match="'nothing'"):
            sdk.nothing  # noqa: B018

    def test_names_are_the_same_objects_everywhere(self) -> None:
        assert sdk.Client is importlib.import_module("sdk.client").Client
        assert sdk.errors is importlib.import_module("sdk.errors")


def replace_profile(workshop: Workshop, **changes: Any) -> Workshop:
    return dataclasses.replace(workshop, profile=dataclasses.replace(workshop.profile, **changes))


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path
