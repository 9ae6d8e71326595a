"""The benchmark of concept learning: its pictures are exact, its rows differ, and a run can be taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from support.bench import disc_bank, make_bench_backbone

from benchmarks.concepts.__main__ import main
from benchmarks.concepts.baselines.training import started_rows
from benchmarks.concepts.detection import shows, two_parts
from benchmarks.concepts.learned import Change, Learned, applied, load_learned, save_learned, trainable
from benchmarks.concepts.measures import mask_iou
from benchmarks.concepts.ours import winners
from benchmarks.concepts.rows import ROWS
from benchmarks.concepts.runner import Run
from benchmarks.concepts.scenes import NOBODY, RECIPES, SWEEP_RECIPES, BenchScene, draw_scenes, places
from benchmarks.concepts.sweep import encode_score, grid, read_tuned
from benchmarks.concepts.table import seconds_to_reach
from benchmarks.concepts.task import PriorPictures, Task, draw_prior
from trainer.backbone import Backbone
from trainer.em import e_step
from trainer.em.scene import layout_scene
from trainer.loading import load_backbone
from trainer.mini.corpus.vocabulary import held_out

pytestmark = pytest.mark.long
SIDE = 32


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bench_backbone(tmp_path_factory.mktemp("network") / "base")


@pytest.fixture(scope="module")
def backbone(network: Path) -> Backbone:
    torch.set_num_threads(1)
    return load_backbone(network)


@pytest.fixture(scope="module")
def scene() -> BenchScene:
    return draw_scenes(disc_bank(), SIDE, RECIPES[:1])[0]


@pytest.fixture
def task(backbone: Backbone, scene: BenchScene, tmp_path: Path) -> Task:
    return Task(
        backbone=backbone, scene=scene, seed=1, prior=PriorPictures(folder=tmp_path, sampling_steps=2), quick=True
    )


class TestScenes:
    def test_there_are_twelve_of_held_out_names_with_three_to_five_pictures(self) -> None:
        assert len({recipe.name for recipe in RECIPES}) == len(RECIPES) == 12
        assert all(2 <= len(recipe.concepts) <= 4 and 3 <= len(recipe.shown) <= 5 for recipe in RECIPES)
        assert {name for recipe in RECIPES for name in recipe.concepts} <= {*held_out(), *places()}

    def test_no_object_of_a_sweep_is_in_the_table(self) -> None:
        swept, shown = (
            {n for r in recipes for n in r.concepts if n in held_out()} for recipes in (SWEEP_RECIPES, RECIPES)
        )
        assert swept
        assert not swept & shown

    def test_drawing_again_gives_the_same_bits(self) -> None:
        for one, other in zip(draw_scenes(disc_bank(), SIDE), draw_scenes(disc_bank(), SIDE), strict=True):
            assert torch.equal(one.owner, other.owner)
            assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(one.pictures, other.pictures, strict=True))

    def test_every_listed_concept_is_visible_and_no_other(self) -> None:
        for drawn in draw_scenes(disc_bank(), 64):
            for number, picture in enumerate(drawn.pictures):
                seen = {drawn.concepts[at].name for at in drawn.owner[number].unique().tolist() if at != NOBODY}
                assert seen == set(picture.concepts), f"{drawn.name}, picture {number}"

    def test_objects_hide_one_another_somewhere(self) -> None:
        covered = [float((drawn.owner == at).float().mean()) for drawn in draw_scenes(disc_bank(), 64) for at in (0, 1)]
        assert max(covered) > 2 * min(covered)


class TestLearned:
    def test_a_file_gives_back_what_was_saved(self, tmp_path: Path) -> None:
        change = Change(left=torch.randn(3, 2), right=torch.randn(2, 4))
        learned = Learned(tokens={"bench/fox": {"clip_l": torch.randn(2, 5)}}, changes={"unet.x": (change,)})
        size = save_learned(learned, tmp_path / "learned.safetensors")
        read = load_learned(tmp_path / "learned.safetensors")
        assert size > 0
        assert torch.equal(read.tokens["bench/fox"]["clip_l"], learned.tokens["bench/fox"]["clip_l"])
        assert torch.equal(read.changes["unet.x"][0].dense(), change.dense())

    def test_changes_of_both_are_added_and_taken_back(self, backbone: Backbone) -> None:
        name = "unet.conv_in.bias"
        before = trainable(backbone)[name].clone()
        one = Learned(tokens={}, changes={name: (Change(left=torch.ones_like(before)),)})
        with applied(backbone, one.with_other(one)):
            assert torch.allclose(trainable(backbone)[name], before + 2)
        assert torch.equal(trainable(backbone)[name], before)


class TestRows:
    @pytest.mark.parametrize("row", ["textual-inversion", "break-a-scene-exact", "dreambooth-lora", "custom-diffusion"])
    def test_a_peer_learns_something_and_leaves_the_network_as_it_was(self, task: Task, row: str) -> None:
        before = {name: value.clone() for name, value in trainable(task.backbone).items()}
        settings = ROWS[row].settings(None, quick=True)
        draw_prior(task, settings)
        drawn = sorted(task.prior.folder.iterdir())
        learned = ROWS[row].learn(task, settings).learned
        assert sorted(task.prior.folder.iterdir()) == drawn, "pictures of the class were drawn while time was taken"
        assert set(learned.tokens) == {spec.name for spec in task.scene.concepts}
        moved = [float(change.dense().abs().max()) for changes in learned.changes.values() for change in changes]
        assert max(moved, default=1.0) > 0
        for name, value in trainable(task.backbone).items():
            assert torch.equal(value, before[name]), name
            assert not value.requires_grad
            assert value.grad is None

    @pytest.mark.parametrize("row", ["textual-inversion", "break-a-scene-exact"])
    def test_tokens_leave_their_class_words(self, task: Task, row: str) -> None:
        learned = ROWS[row].learn(task, ROWS[row].settings(None, quick=True)).learned
        for name, rows in started_rows(task).items():
            assert not torch.allclose(learned.tokens[name]["clip_l"], rows["clip_l"], atol=1e-4)

    @pytest.mark.parametrize(
        "row", ["no-crf", "coarse-propagation", "whole-pictures", "mse-attention", "no-area", "first-masks"]
    )
    def test_leaving_a_part_out_changes_what_is_learned(self, task: Task, row: str) -> None:
        whole, part = (ROWS[name].learn(task, None).learned.tokens for name in ("ours", row))
        name = task.scene.concepts[0].name
        assert not torch.equal(whole[name]["clip_l"], part[name]["clip_l"])

    def test_stage_2_adds_changes_to_the_same_tokens(self, task: Task) -> None:
        plain, adapted = (ROWS[name].learn(task, None).learned for name in ("ours", "adapters"))
        name = task.scene.concepts[0].name
        assert torch.equal(plain.tokens[name]["clip_l"], adapted.tokens[name]["clip_l"])
        assert not plain.changes
        assert max(float(c.dense().abs().max()) for changes in adapted.changes.values() for c in changes) > 0


class TestTable:
    STAGES: ClassVar = [{"seconds": 2.0, "identity": 0.3}, {"seconds": 5.0, "identity": 0.6}]

    def test_seconds_to_reach_are_the_first_good_stage_over_the_plain_loop(self) -> None:
        assert seconds_to_reach(self.STAGES, {"seconds": 50.0, "identity": 0.5}) == pytest.approx(0.1)

    def test_there_are_none_where_it_was_never_reached_or_not_measured(self) -> None:
        assert seconds_to_reach(self.STAGES, {"seconds": 50.0, "identity": 0.7}) is None
        assert seconds_to_reach(self.STAGES, None) is None


class TestMeasures:
    def test_exact_masks_score_one_and_swapped_ones_zero(self, scene: BenchScene) -> None:
        assert mask_iou(scene, scene.owner) == 1.0
        assert mask_iou(scene, 1 - scene.owner) == 0.0

    def test_a_cut_shows_the_concept_it_is_like_and_no_other(self) -> None:
        fox, pie = torch.tensor([[1.0, 0.1], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.1, 1.0]])
        known = {"fox": torch.nn.functional.normalize(fox, dim=1), "pie": torch.nn.functional.normalize(pie, dim=1)}
        cuts = torch.nn.functional.normalize(torch.tensor([[1.0, 0.05], [0.05, 1.0], [-1.0, -1.0]]), dim=1)
        assert shows(cuts, "fox", known).tolist() == [True, False, False]

    def test_a_cell_that_no_label_won_is_no_concepts(self, scene: BenchScene) -> None:
        layout = layout_scene(scene.training_set())
        history = torch.full((len(scene.pictures), 2, 2), layout.labels.index(scene.concepts[1].name))
        history[0] = e_step.NOBODY
        found = winners(scene, layout, history.to(torch.uint8))
        assert (found[0] == NOBODY).all()
        assert (found[1:] == 1).all()

    def test_two_things_that_touch_are_parted_by_place_and_colour(self) -> None:
        picture, left, right = torch.zeros(3, 32, 32, dtype=torch.uint8), torch.zeros(32, 32), torch.zeros(32, 32)
        left[10:20, 4:16], right[12:24, 16:28] = 1, 1
        picture[0, left > 0], picture[1, right > 0] = 200, 200
        parts = two_parts(picture, (left + right) > 0)
        assert {tuple(part.flatten().tolist()) for part in parts} == {
            tuple((each > 0).flatten().tolist()) for each in (left, right)
        }

    def test_where_nothing_is_found_there_is_nothing_to_part(self) -> None:
        assert not two_parts(torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(8, 8, dtype=torch.bool)).any()


class TestRun:
    def test_a_quick_run_fills_the_table_and_is_taken_up_where_it_stopped(self, network: Path, tmp_path: Path) -> None:
        words = ["--quick", "--rows", "ours,dreambooth-lora", "--base-model", str(network), "--out", str(tmp_path)]
        main(words, bank=disc_bank())
        table = json.loads((tmp_path / "published" / "table.json").read_text())
        assert set(table["rows"]) == {"ours", "dreambooth-lora"}
        assert {"mask_iou", "identity", "place", "leakage", "composition", "seconds"} <= set(table["rows"]["ours"])
        results = sorted((tmp_path / "published" / "results").rglob("*.json"))
        written = {path: path.stat().st_mtime_ns for path in results}
        results[0].unlink()
        main(words, bank=disc_bank())
        again = {path: path.stat().st_mtime_ns for path in results}
        assert [path for path in results if again[path] != written[path]] == results[:1]

    def test_results_without_what_was_learned_are_kept_and_not_composed(self, network: Path, tmp_path: Path) -> None:
        words = ["--quick", "--scenes", "2", "--rows", "ours", "--base-model", str(network), "--out", str(tmp_path)]
        main(words, bank=disc_bank())
        folder = tmp_path / "published" / "results" / "ours"
        kept = {path: json.loads(path.read_text()) for path in folder.glob("*.json")}
        for path, values in kept.items():
            path.write_text(json.dumps({name: value for name, value in values.items() if name != "composition"}))
            path.with_suffix(".safetensors").unlink()
        main(words, bank=disc_bank())
        again = [json.loads(path.read_text()) for path in kept]
        assert [each["identity"] for each in again] == [each["identity"] for each in kept.values()]
        assert not any("composition" in each for each in again)

    def test_results_of_another_precision_are_not_mixed_in(self, network: Path, tmp_path: Path) -> None:
        words = ["--quick", "--scenes", "1", "--rows", "ours", "--base-model", str(network), "--out", str(tmp_path)]
        main(words, bank=disc_bank())
        with pytest.raises(ValueError, match="precision differ"):
            main([*words, "--precision", "bf16"], bank=disc_bank())

    def test_a_sweep_goes_on_where_it_was_cut_off_and_a_tuned_run_takes_its_best(
        self, network: Path, tmp_path: Path
    ) -> None:
        words = ["--quick", "--scenes", "1", "--rows", "dreambooth-lora", "--base-model", str(network)]
        words += ["--out", str(tmp_path)]
        path = tmp_path / "sweep.json"
        main([*words, "--sweep"], bank=disc_bank())
        whole = json.loads(path.read_text())
        first, *others = whole["dreambooth-lora"]
        path.write_text(json.dumps({"dreambooth-lora": [{**first, "score": 9.0}]}))
        with pytest.raises(ValueError, match="again to its end"):
            main([*words, "--settings", "tuned"], bank=disc_bank())
        main([*words, "--sweep"], bank=disc_bank())
        assert json.loads(path.read_text())["dreambooth-lora"] == [{**first, "score": 9.0}, *others]
        main([*words, "--settings", "tuned"], bank=disc_bank())
        (kept,) = (tmp_path / "tuned" / "results" / "dreambooth-lora").glob("*.json")
        assert json.loads(kept.read_text())["settings"]["learning_rate"] == first["settings"]["learning_rate"]
        path.write_text(json.dumps({"dreambooth-lora": [first, {**others[0], "score": 99.0}, *others[1:]]}))
        with pytest.raises(ValueError, match="is of other settings"):
            main([*words, "--settings", "tuned"], bank=disc_bank())

    def test_scores_of_a_quick_sweep_are_not_taken_for_those_of_a_whole_one(
        self, network: Path, tmp_path: Path
    ) -> None:
        words = ["--scenes", "1", "--rows", "custom-diffusion", "--base-model", str(network), "--out", str(tmp_path)]
        main([*words, "--quick", "--sweep"], bank=disc_bank())
        for asked in (["--sweep"], ["--settings", "tuned"]):
            with pytest.raises(ValueError, match="quick differ"):
                main([*words, *asked], bank=disc_bank())

    def test_results_under_other_defaults_are_refused(self, network: Path, tmp_path: Path) -> None:
        words = ["--quick", "--scenes", "1", "--rows", "ours", "--base-model", str(network), "--out", str(tmp_path)]
        main(words, bank=disc_bank())
        (kept,) = (tmp_path / "published" / "results" / "ours").glob("*.json")
        values = json.loads(kept.read_text())
        values["settings"]["m_step"]["learning_rate"] *= 2
        kept.write_text(json.dumps(values))
        with pytest.raises(ValueError, match="is of other settings"):
            main(words, bank=disc_bank())

    def test_a_composition_with_another_scene_is_measured_anew(self, network: Path, tmp_path: Path) -> None:
        words = ["--quick", "--rows", "ours", "--base-model", str(network), "--out", str(tmp_path)]
        names = [recipe.name for recipe in RECIPES[:3]]
        for scenes, composed in (("2", [names[1], names[0]]), ("3", [names[1], names[2], names[0]])):
            main([*words, "--scenes", scenes], bank=disc_bank())
            folder = tmp_path / "published" / "results" / "ours"
            told = [json.loads((folder / f"{name}-1.json").read_text()) for name in names[: len(composed)]]
            assert [each["composed_with"] for each in told] == composed

    def test_break_a_scene_on_our_masks_goes_by_the_sweep_on_exact_ones(
        self, backbone: Backbone, tmp_path: Path
    ) -> None:
        path = tmp_path / "sweep.json"
        tried = [encode_score(settings, float(number)) for number, settings in enumerate(grid("break-a-scene-exact"))]
        path.write_text(json.dumps({"break-a-scene-exact": tried}))
        best = grid("break-a-scene-exact")[-1]
        run = Run(backbone=backbone, scenes=(), out=tmp_path, prior_folder=tmp_path / "prior")
        assert read_tuned(run) == {"break-a-scene-exact": best, "break-a-scene-ours": best}
        assert grid("break-a-scene-ours") == ()

    def test_what_a_sweep_found_holds_on_any_machine_but_for_one_network_only(
        self, backbone: Backbone, tmp_path: Path
    ) -> None:
        run = Run(backbone=backbone, scenes=(), out=tmp_path, prior_folder=tmp_path / "prior")
        tried = [encode_score(settings, float(number)) for number, settings in enumerate(grid("textual-inversion"))]
        (tmp_path / "sweep.json").write_text(json.dumps({"textual-inversion": tried}))
        facts = {**run.facts(), "device": "cuda", "hardware": "another"}
        (tmp_path / "run.json").write_text(json.dumps(facts))
        assert read_tuned(run) == {"textual-inversion": grid("textual-inversion")[-1]}
        (tmp_path / "run.json").write_text(json.dumps({**facts, "base_model": "sha256:" + "0" * 64}))
        with pytest.raises(ValueError, match="base_model differ"):
            read_tuned(run)
