"""Binding learned tokens and generating, with real tiny networks: what changes, what must not, what stays behind."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from support.tiny_backbone import LATENT_SIZE, RESOLUTION, make_backbone_dir

import sdk.generate.pipeline as loading
from sdk.errors import BackboneError, FormatError, SceneError
from sdk.generate.base_model import base_model_digest
from sdk.generate.drawing import Watch, generate_images
from sdk.generate.pipeline import LoadedPipeline, load_pipeline
from sdk.generate.scene import Scene, parse_scene
from sdk.generate.tokens import LearnedToken, bound_tokens, compile_prompt, parse_token, placeholder_token
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import EmbeddingFacts
from sdk.spec.sampling import Sampling, Scheduler

FOX, PIER = ConceptId("demo/fox"), ConceptId("demo/pier")
WIDTHS = {"sd": (16,), "sdxl": (16, 24)}


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def directory(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_backbone_dir(tmp_path_factory.mktemp("base") / family, family)


@pytest.fixture(scope="module")
def loaded(directory: Path) -> LoadedPipeline:
    return load_pipeline(directory)


def token(family: str, concept: ConceptId = FOX, vectors: int = 2, seed: int = 1) -> LearnedToken:
    generator = torch.Generator().manual_seed(seed)
    rows = tuple(torch.randn(vectors, width, generator=generator) for width in WIDTHS[family])
    return LearnedToken(concept=concept, rows=rows)


def scene(text: str = "a photo of {demo/fox}") -> Scene:
    return parse_scene(text, {name: ConceptId(name) for name in ("demo/fox", "demo/pier") if f"{{{name}}}" in text})


def draw(
    loaded: LoadedPipeline, tokens: list[LearnedToken], text: str = "a photo of {demo/fox}", **options: Any
) -> list:
    count = options.pop("count", 1)
    sampling = Sampling(**{"seed": 7, "steps": 2, "guidance": 3.0} | options)
    bound = {each.concept: each for each in tokens}
    return [image.tobytes() for image in generate_images(loaded, scene(text), bound, sampling, count=count)]


class TestTokenFiles:
    FACTS = EmbeddingFacts(placeholder_token="<demo-fox>", vectors=2, dimensions=(16,), class_word="fox")
    XL = EmbeddingFacts(placeholder_token="<demo-fox>", vectors=2, dimensions=(16, 24), class_word="fox")

    def test_one_encoder_is_one_tensor_under_the_token(self) -> None:
        read = parse_token(save({"<demo-fox>": torch.ones(2, 16)}), self.FACTS, FOX)
        assert [tuple(rows.shape) for rows in read.rows] == [(2, 16)]
        assert read.vectors == 2

    def test_two_encoders_are_clip_l_and_clip_g(self) -> None:
        read = parse_token(save({"clip_g": torch.ones(2, 24), "clip_l": torch.zeros(2, 16)}), self.XL, FOX)
        assert [float(rows.sum()) for rows in read.rows] == [0, 48]

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            (b"not a file", "no safetensors file"),
            (save({"<demo-owl>": torch.ones(2, 16)}), "expected"),
            (save({"<demo-fox>": torch.ones(2, 16), "more": torch.ones(1)}), "expected"),
            (save({"<demo-fox>": torch.ones(3, 16)}), "shape"),
            (save({"<demo-fox>": torch.ones(2, 8)}), "shape"),
            (save({"<demo-fox>": torch.full((2, 16), float("nan"))}), "not finite"),
        ],
    )
    def test_refuses_other_files(self, content: bytes, fault: str) -> None:
        with pytest.raises(FormatError, match=fault):
            parse_token(content, self.FACTS, FOX)

    def test_placeholder(self) -> None:
        assert placeholder_token(FOX) == "<demo-fox>"


class TestBinding:
    def test_the_encoder_sees_the_rows_and_forgets_them(self, loaded: LoadedPipeline, family: str) -> None:
        tokenizer, encoder = loaded.towers[0]
        prompt = compile_prompt(
            scene().parts,
            {FOX: token(family)},
            tower=0,
            tokenizer=tokenizer,
            length=encoder.config.max_position_embeddings,
        )
        embeddings, ids = encoder.get_input_embeddings(), torch.tensor([prompt.ids])
        plain = embeddings(ids)
        with bound_tokens(encoder, prompt):
            bound = embeddings(ids)
        columns = list(prompt.columns)
        assert torch.equal(bound[0, columns], token(family).rows[0])
        others = [column for column in range(len(prompt.ids)) if column not in columns]
        assert torch.equal(bound[0, others], plain[0, others])
        assert torch.equal(embeddings(ids), plain)
        assert not embeddings._forward_hooks

    def test_nothing_is_left_behind_by_an_error(self, loaded: LoadedPipeline, family: str) -> None:
        tokenizer, encoder = loaded.towers[0]
        prompt = compile_prompt(scene().parts, {FOX: token(family)}, tower=0, tokenizer=tokenizer, length=24)
        with pytest.raises(RuntimeError, match="boom"), bound_tokens(encoder, prompt):
            raise RuntimeError("boom")
        assert not encoder.get_input_embeddings()._forward_hooks

    def test_refuses_rows_of_another_width(self, loaded: LoadedPipeline) -> None:
        tokenizer, encoder = loaded.towers[0]
        wrong = LearnedToken(concept=FOX, rows=(torch.ones(2, 7),))
        prompt = compile_prompt(scene().parts, {FOX: wrong}, tower=0, tokenizer=tokenizer, length=24)
        with pytest.raises(BackboneError, match="width 7"), bound_tokens(encoder, prompt):
            pass

    def test_refuses_a_text_that_would_be_cut(self, loaded: LoadedPipeline, family: str) -> None:
        with pytest.raises(SceneError, match="shorten it"):
            draw(loaded, [token(family)], "a photo of " * 10 + "{demo/fox}")


class TestGeneration:
    def test_the_same_seed_gives_the_same_pixels(self, loaded: LoadedPipeline, family: str) -> None:
        assert draw(loaded, [token(family)]) == draw(loaded, [token(family)])

    def test_the_concept_changes_the_picture(self, loaded: LoadedPipeline, family: str) -> None:
        assert draw(loaded, [token(family, seed=1)]) != draw(loaded, [token(family, seed=2)])

    def test_two_concepts_at_once(self, loaded: LoadedPipeline, family: str) -> None:
        text = "{demo/fox} at {demo/pier}"
        tokens = [token(family), token(family, PIER, vectors=1, seed=2)]
        assert draw(loaded, tokens, text) != draw(loaded, [tokens[0], token(family, PIER, vectors=1, seed=3)], text)

    def test_negative_prompt_changes_the_picture(self, loaded: LoadedPipeline, family: str) -> None:
        assert draw(loaded, [token(family)], negative_prompt="a red house") != draw(loaded, [token(family)])

    def test_leaves_the_pipeline_as_it_was(self, loaded: LoadedPipeline, family: str) -> None:
        before = {name: value.clone() for name, value in loaded.towers[0][1].state_dict().items()}
        words = len(loaded.towers[0][0])
        draw(loaded, [token(family)])
        after = loaded.towers[0][1].state_dict()
        assert all(torch.equal(after[name], value) for name, value in before.items())
        assert len(loaded.towers[0][0]) == words
        assert not loaded.lock.locked()

    def test_holds_the_pipeline_until_it_is_done(self, loaded: LoadedPipeline, family: str) -> None:
        sampling = Sampling(seed=1, steps=1, guidance=3.0)
        pictures = generate_images(loaded, scene(), {FOX: token(family)}, sampling, count=2)
        next(pictures)
        assert loaded.lock.locked()
        pictures.close()
        assert not loaded.lock.locked()

    def test_reports_every_step(self, loaded: LoadedPipeline, family: str) -> None:
        seen: list[tuple[range, int]] = []
        sampling = Sampling(seed=1, steps=2, guidance=3.0)
        tokens = {FOX: token(family)}
        watch = Watch(on_step=lambda images, step: seen.append((images, step)))
        for _ in generate_images(loaded, scene(), tokens, sampling, count=2, watch=watch):
            pass
        assert seen == [(range(2), 0), (range(2), 1)]

    def test_every_scheduler_draws_its_own_picture_again(self, loaded: LoadedPipeline, family: str) -> None:
        own, used, drawn, tokens = loaded.pipeline.scheduler, [], {}, {FOX: token(family)}
        for name in Scheduler:
            sampling = Sampling(seed=7, steps=4, guidance=3.0, scheduler=name)
            watch = Watch(on_step=lambda *_: used.append(type(loaded.pipeline.scheduler)))
            first, second = (
                [image.tobytes() for image in generate_images(loaded, scene(), tokens, sampling, count=1, watch=watch)]
                for _ in range(2)
            )
            assert first == second
            drawn[name] = first
        assert len(set(used)) == len(Scheduler)
        assert drawn[Scheduler.DDIM] != drawn[Scheduler.EULER_ANCESTRAL]
        assert loaded.pipeline.scheduler is own

    def test_the_scheduler_is_its_own_again_after_an_error(self, loaded: LoadedPipeline, family: str) -> None:
        own = loaded.pipeline.scheduler
        with pytest.raises(SceneError):
            draw(loaded, [token(family)], "a photo of " * 10 + "{demo/fox}", scheduler=Scheduler.EULER)
        assert loaded.pipeline.scheduler is own

    def test_previews_are_small_and_change_nothing(self, loaded: LoadedPipeline, family: str) -> None:
        seen: list[tuple[int, int, tuple[int, int]]] = []
        sampling = Sampling(seed=7, steps=4, guidance=3.0)
        watch = Watch(on_preview=lambda *of: seen.append((*of[:2], of[2].size)), preview_every=2)
        (image,) = generate_images(loaded, scene(), {FOX: token(family)}, sampling, count=1, watch=watch)
        assert seen == [(0, 1, (LATENT_SIZE, LATENT_SIZE)), (0, 3, (LATENT_SIZE, LATENT_SIZE))]
        assert [image.tobytes()] == draw(loaded, [token(family)], steps=4)

    def test_draws_the_size_asked_for(self, loaded: LoadedPipeline, family: str) -> None:
        (pixels,) = draw(loaded, [token(family)], size=(64, 32))
        assert len(pixels) == 64 * 32 * 3
        assert RESOLUTION == 32

    def test_two_threads_do_not_see_each_others_concepts(self, loaded: LoadedPipeline, family: str) -> None:
        alone = {seed: draw(loaded, [token(family, seed=seed)]) for seed in (1, 2)}
        together: dict[int, list[bytes]] = {}
        threads = [
            threading.Thread(target=lambda s=seed: together.update({s: draw(loaded, [token(family, seed=s)])}))
            for seed in (1, 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert together == alone


class TestLoading:
    def test_is_loaded_once(self, directory: Path, loaded: LoadedPipeline) -> None:
        assert load_pipeline(directory) is loaded
        assert loaded.digest == base_model_digest(directory)

    def test_refuses_a_folder_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(BackboneError, match=r"model_index\.json is missing"):
            load_pipeline(tmp_path)

    @pytest.mark.parametrize("index", ['{"_class_name": "FluxPipeline"}', "[]", "not json"])
    def test_refuses_another_class(self, tmp_path: Path, index: str) -> None:
        (tmp_path / "model_index.json").write_text(index)
        with pytest.raises(BackboneError, match=r"expected one of|as JSON"):
            load_pipeline(tmp_path)

    def test_refuses_a_folder_with_a_part_missing(self, tmp_path: Path) -> None:
        make_backbone_dir(tmp_path / "base", "sd", seed=3)
        (tmp_path / "base/unet/diffusion_pytorch_model.safetensors").unlink()
        with pytest.raises(BackboneError, match="cannot be loaded"):
            load_pipeline(tmp_path / "base")

    @pytest.mark.parametrize("put_back", [False, True])
    def test_refuses_a_folder_that_changes_while_it_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, put_back: bool
    ) -> None:
        directory = make_backbone_dir(tmp_path / "base", "sd", seed=4)
        file = directory / "scheduler/scheduler_config.json"
        before, read = file.read_text(), loading._load

        def read_another(*asked: Any) -> Any:
            rewrite(file, before.replace("100,", "101,"))
            pipeline = read(*asked)
            if put_back:
                rewrite(file, before)
            return pipeline

        monkeypatch.setattr(loading, "_loaded", {})
        monkeypatch.setattr(loading, "_load", read_another)
        with pytest.raises(BackboneError, match="changed while it was loaded"):
            load_pipeline(directory)
        monkeypatch.setattr(loading, "_load", read)
        assert load_pipeline(directory).digest == base_model_digest(directory)

    def test_refuses_a_folder_that_changed_since_it_was_digested(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        directory = make_backbone_dir(tmp_path / "base", "sd", seed=5)
        file = directory / "scheduler/scheduler_config.json"
        monkeypatch.setattr(
            loading, "_device", lambda: rewrite(file, file.read_text().replace("100,", "101,")) or "cpu"
        )
        with pytest.raises(BackboneError, match="changed while it was loaded"):
            load_pipeline(directory)


def rewrite(file: Path, text: str) -> None:
    """Write as much into `file` as is in it, and leave its time as it is."""
    times = file.stat()
    assert len(text) == times.st_size
    file.write_text(text)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


class TestBaseModelDigest:
    def test_names_content_not_place(self, tmp_path: Path) -> None:
        first, second, other = (
            make_backbone_dir(tmp_path / name, "sd", seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
        )
        assert base_model_digest(first) == base_model_digest(second) != base_model_digest(other)

    def test_notices_a_changed_file(self, tmp_path: Path) -> None:
        directory = make_backbone_dir(tmp_path / "a", "sd")
        before = base_model_digest(directory)
        (directory / "scheduler/scheduler_config.json").write_text("{}")
        assert base_model_digest(directory) != before

    def test_notices_a_file_of_the_same_size_and_time(self, tmp_path: Path) -> None:
        directory = make_backbone_dir(tmp_path / "a", "sd")
        before = base_model_digest(directory)
        file = directory / "scheduler/scheduler_config.json"
        rewrite(file, file.read_text().replace("100,", "101,"))
        assert base_model_digest(directory) != before
