"""`sdk.variants`: every row a governed compose, a manifest that a second run goes on from, a CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.governed import NOW
from support.workshop import Workshop

import sdk
from sdk.compose import Campaign, Outcome, VariantRow, variants
from sdk.compose.rows import MANIFEST_FILE, read_manifest
from sdk.credentials.read import verify_credentials
from sdk.errors import (
    ConfigurationError,
    Conflict,
    FormatError,
    ImprimaturError,
    InputError,
    NotApproved,
    PermissionDenied,
    SceneError,
    ServiceUnavailable,
)
from sdk.signing.grants import CLOCK_SKEW
from sdk.signing.receipts import verify_receipt
from sdk.spec.digest import Digest

SCENES = ("a photo of {subject}", "{subject} in the rain")


def run(workshop: Workshop, *, scenes: Any = SCENES, territories: Any = ("JP", "DE"), **options: Any) -> Campaign:
    with workshop.registry.client() as client:
        call = {"purpose": "advertising", "channel": "web", "folder": workshop.folder / "campaign", "steps": 1}
        call |= {"profile": workshop.profile, "client": client, "clock": lambda: NOW} | options
        return variants(call.pop("subjects", ["demo/fox"]), call.pop("backgrounds", []), scenes, territories, **call)


def cut_off(workshop: Workshop) -> None:
    """A campaign that ends after its second row was permitted."""

    def away(row: VariantRow, done: int, total: int) -> None:
        workshop.registry.overrides["POST /v1/generations/[^/]*/result$"] = lambda: ServiceUnavailable("away")

    with pytest.raises(ServiceUnavailable):
        run(workshop, on_row=away)
    workshop.registry.overrides.clear()


class TestMatrix:
    def test_every_row_is_a_governed_compose(self, workshop: Workshop) -> None:
        campaign = run(workshop, count=2)
        assert campaign.complete
        assert (len(campaign.rows), campaign.total, len(workshop.registry.intents)) == (4, 4, 4)
        assert {intent.use.territory for intent in workshop.registry.intents} == {"JP", "DE"}
        for row, recorded in zip(campaign.rows, workshop.registry.results, strict=True):
            assert row.receipt
            assert verify_receipt(row.receipt, workshop.registry.trust).subject == row.generation
            contents = [(campaign.folder / image.file).read_bytes() for image in row.images]
            assert [Digest.of(content) for content in contents] == [image.digest for image in recorded.images]
            assert len(contents) == 2
            verify_credentials(contents[0], [workshop.authority])

    def test_the_same_combination_twice_is_one_row(self, workshop: Workshop) -> None:
        assert run(workshop, scenes=SCENES[:1] * 2, territories=["JP", "JP"]).total == 1

    def test_goes_through_subjects_backgrounds_scenes_and_territories(
        self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        called: list[tuple[str, ...]] = []

        def refuse(concepts: dict[str, str], scene: str, **options: Any) -> None:
            called.append((concepts["subject"], concepts["background"], scene, options["territory"]))
            raise NotApproved("not now")

        monkeypatch.setattr("sdk.compose.campaign.compose", refuse)
        both = ("{subject} at {background}", "{background} behind {subject}")
        run(workshop, subjects=["demo/fox", "demo/owl@2"], backgrounds=["demo/pier", "demo/hill"], scenes=both)
        assert len(set(called)) == len(called) == 16
        assert called[0] == ("demo/fox", "demo/pier", both[0], "JP")
        assert called[-1] == ("demo/owl@2", "demo/hill", both[1], "DE")

    def test_masks_are_read_once_and_named_by_their_digest(self, workshop: Workshop, tmp_path: Path) -> None:
        mask = Image.linear_gradient("L").resize((64, 64))
        mask.save(tmp_path / "mask.png")
        drawn = run(workshop, layout={"subject": tmp_path / "mask.png"}, territories=["JP"])
        named = [row.variant.options["layout"]["subject"] for row in drawn.rows]
        assert named[0]["mask"].startswith("sha256:")
        assert named[0] == named[1]
        assert run(workshop, layout={"subject": mask}, territories=["JP"]).rows == drawn.rows
        assert len(workshop.registry.intents) == 2
        box = run(workshop, layout={"subject": (0, 0, 1, 1)}, territories=["JP"], folder=tmp_path / "other")
        assert box.rows[0].variant.digest != drawn.rows[0].variant.digest
        assert len({intent.sampling for intent in workshop.registry.intents}) == 2

    def test_is_a_name_of_the_package(self) -> None:
        assert sdk.variants is variants


class TestResume:
    def test_finished_rows_are_skipped(self, workshop: Workshop) -> None:
        first = run(workshop)
        second = run(workshop)
        assert second == first
        assert len(workshop.registry.intents) == 4

    def test_a_batch_at_a_time(self, workshop: Workshop) -> None:
        first = run(workshop, limit=3)
        assert (len(first.rows), first.complete) == (3, False)
        assert run(workshop, limit=3).complete
        assert len(workshop.registry.intents) == 4

    def test_goes_on_after_the_registry_was_away(self, workshop: Workshop) -> None:
        def away(row: VariantRow, done: int, total: int) -> None:
            if done == 2:
                workshop.registry.overrides["POST /v1/generations$"] = lambda: ServiceUnavailable("away")

        with pytest.raises(ServiceUnavailable):
            run(workshop, on_row=away)
        workshop.registry.overrides.clear()
        assert len(read_manifest(workshop.folder / "campaign")) == 2
        assert run(workshop).complete
        assert len(workshop.registry.intents) == 4

    def test_the_row_that_was_cut_off_goes_on_under_its_own_key(self, workshop: Workshop) -> None:
        cut_off(workshop)
        assert run(workshop).complete
        keys = [intent.idempotency_key for intent in workshop.registry.intents]
        assert keys[1] == keys[2]
        assert (len(keys), len(set(keys))) == (5, 4)

    def test_not_under_a_key_whose_decision_is_too_old_to_be_believed(self, workshop: Workshop) -> None:
        cut_off(workshop)
        workshop.registry.clock = lambda: NOW + CLOCK_SKEW
        assert run(workshop, clock=workshop.registry.clock).complete
        keys = [intent.idempotency_key for intent in workshop.registry.intents]
        assert len(set(keys)) == len(keys)

    @pytest.mark.parametrize("ended", [Conflict("it has a result"), PermissionDenied("the grant has expired")])
    def test_a_key_that_is_good_no_more_gives_way_to_another(self, workshop: Workshop, ended: ImprimaturError) -> None:
        cut_off(workshop)
        (stale,) = {intent.idempotency_key for intent in workshop.registry.intents[1:]}
        workshop.registry.ended[stale] = ended
        assert run(workshop).complete
        assert stale not in {intent.idempotency_key for intent in workshop.registry.intents[2:]}

    def test_a_line_that_was_half_written_is_composed_again(self, workshop: Workshop) -> None:
        run(workshop)
        path = workshop.folder / "campaign" / MANIFEST_FILE
        path.write_bytes(path.read_bytes()[:-20])
        assert run(workshop).complete
        assert len(workshop.registry.intents) == 5
        assert len(read_manifest(path.parent)) == 4

    @pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"other")])
    def test_an_image_that_is_gone_or_changed_is_composed_again(self, workshop: Workshop, harm: Any) -> None:
        campaign = run(workshop)
        harm(campaign.folder / campaign.rows[1].images[0].file)
        assert run(workshop).complete
        assert len(workshop.registry.intents) == 5

    def test_other_options_are_other_rows(self, workshop: Workshop) -> None:
        run(workshop)
        run(workshop, seed=8)
        assert len(workshop.registry.intents) == 8

    def test_a_manifest_that_was_edited_is_an_error(self, workshop: Workshop) -> None:
        path = run(workshop).folder / MANIFEST_FILE
        path.write_bytes(b'{"variant": 1}\n' + path.read_bytes())
        with pytest.raises(FormatError, match="line 1"):
            run(workshop)


class TestRefusals:
    def test_are_rows_and_are_asked_again(self, workshop: Workshop) -> None:
        campaign = run(workshop, territories=["JP", "US"])
        assert [row.outcome for row in campaign.rows] == [Outcome.COMPOSED, Outcome.REFUSED] * 2
        assert "granted for DE, JP" in (campaign.rows[1].reason or "")
        assert not campaign.complete
        asked = workshop.registry.asked.count("GET /v1/resolve")
        again = run(workshop, territories=["JP", "US"])
        assert workshop.registry.asked.count("GET /v1/resolve") == asked + 2
        assert len(again.rows) == 4
        assert len(read_manifest(again.folder)) == 4

    def test_wait_behind_rows_that_were_never_asked(self, workshop: Workshop) -> None:
        first = run(workshop, territories=["US", "JP"], limit=1)
        second = run(workshop, territories=["US", "JP"], limit=1)
        assert [row.outcome for row in first.rows] == [Outcome.REFUSED]
        assert [row.outcome for row in second.rows] == [Outcome.REFUSED, Outcome.COMPOSED]

    def test_leave_no_image(self, workshop: Workshop) -> None:
        campaign = run(workshop, territories=["US"])
        assert [path.name for path in campaign.folder.iterdir()] == [MANIFEST_FILE]


class TestInput:
    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"subjects": []}, InputError),
            ({"scenes": []}, InputError),
            ({"territories": []}, InputError),
            ({"territories": ["JP", "Japan"]}, FormatError),
            ({"scenes": [*SCENES, "a photo of {fox}"]}, SceneError),
            ({"scenes": [*SCENES, "nobody"]}, SceneError),
            ({"backgrounds": ["demo/pier"]}, SceneError),
            ({"negative_prompt": "{subject}"}, SceneError),
            ({"count": 0}, InputError),
            ({"limit": 0}, InputError),
            ({"limit": "3"}, InputError),
        ],
    )
    def test_what_cannot_be_used_is_refused_before_anything_is_composed(
        self, workshop: Workshop, options: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            run(workshop, **options)
        assert workshop.registry.asked == []

    def test_a_folder_that_cannot_be_made_is_named(self, workshop: Workshop, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigurationError, match="file"):
            run(workshop, folder=tmp_path / "file" / "campaign")


class TestReports:
    def test_progress_counts_rows(self, workshop: Workshop) -> None:
        seen: list[tuple[str, int, int]] = []
        run(workshop, on_row=lambda row, done, total: seen.append((row.variant.territory, done, total)))
        assert seen == [("JP", 1, 4), ("DE", 2, 4), ("JP", 3, 4), ("DE", 4, 4)]

    def test_csv_has_a_line_a_row(self, workshop: Workshop, tmp_path: Path) -> None:
        campaign = run(workshop, territories=["JP", "US"], scenes=['{subject}, "quoted",\nin two lines'])
        campaign.write_csv(tmp_path / "campaign.csv")
        with open(tmp_path / "campaign.csv", encoding="utf-8", newline="") as file:
            composed, refused = csv.DictReader(file)
        assert (composed["outcome"], composed["territory"], composed["versions"]) == ("composed", "JP", "demo/fox@1")
        assert composed["scene"] == '{subject}, "quoted",\nin two lines'
        assert (campaign.folder / composed["images"]).exists()
        assert (refused["outcome"], refused["images"]) == ("refused", "")
        assert "US" in refused["reason"]
