"""The compose call from end to end: what is handed out, recorded and told."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.governed import record_id
from support.pictures import alike
from support.tiny_backbone import LATENT_SIZE, RESOLUTION
from support.workshop import SCENE, Workshop, run

import sdk
from sdk.compose import ComposeProgress, ComposeStage
from sdk.credentials.read import verify_credentials
from sdk.errors import FormatError, SceneError
from sdk.signing.receipts import verify_receipt
from sdk.signing.trust import TrustRole, verify_role
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType
from sdk.spec.money import Money
from sdk.spec.statements import GenerationPredicate, parse_predicate, parse_statement

CALL_TWICE = """
for _ in range(2):
    try:
        sdk.compose([], "", purpose="", territory="", channel="")
    except sdk.errors.InputError:
        print("called")
"""


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
        for none in (("JPY", "much"), ("JPY",), ("JPY", "4000", "net"), "JPY 4000", "JP", 4000):
            with pytest.raises(FormatError, match="fee"):
                run(workshop, fee=none)
        assert len(workshop.registry.intents) == 2

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

    def test_records_the_intent_first_and_the_result_last_and_draws_with_what_came_with_the_grant(
        self, workshop: Workshop
    ) -> None:
        run(workshop)
        acts = [asked for asked in workshop.registry.asked if "generations" in asked]
        assert [re.sub(r"gen_\w+|sha256:\w+", "*", act) for act in acts] == [
            "POST /v1/generations",
            "POST /v1/generations/*/result",
        ]

    @pytest.mark.parametrize("options", [{"scene": SCENE + " very" * 200}, {"negative_prompt": "very " * 200}])
    def test_a_text_that_the_base_model_cannot_read_is_refused_before_anything_is_counted(
        self, workshop: Workshop, options: dict[str, Any]
    ) -> None:
        with pytest.raises(SceneError, match="this base model reads 22"):
            run(workshop, **options)
        assert workshop.registry.intents == []


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
