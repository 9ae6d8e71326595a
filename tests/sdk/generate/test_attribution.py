"""Attention read while drawing: it lies on the object, changes no pixel, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.tiny_backbone import RESOLUTION, make_backbone_dir

from sdk.errors import BackboneError
from sdk.generate.attribution import AttendedPrompts, AttentionMap, recorded_attention
from sdk.generate.drawing import Watch, generate_images
from sdk.generate.layout import latent_grid
from sdk.generate.pipeline import LoadedPipeline, load_pipeline
from sdk.generate.scene import parse_scene
from sdk.generate.tokens import LearnedToken
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Box, Sampling

ROOT = Path(__file__).resolve().parents[3]
FOX, PIER = ConceptId("demo/fox"), ConceptId("demo/pier")
NAMES = {"fox": FOX, "pier": PIER}
WIDTHS = {"sd": (16,), "sdxl": (16, 24)}
LEFT, RIGHT = Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedPipeline:
    torch.set_num_threads(1)
    return load_pipeline(make_backbone_dir(tmp_path_factory.mktemp("base") / request.param, request.param))


@pytest.fixture(scope="module")
def mini() -> LoadedPipeline:
    torch.set_num_threads(1)
    return load_pipeline(ROOT / "trainer/mini/weights/base")


def tokens(loaded: LoadedPipeline) -> dict[ConceptId, LearnedToken]:
    widths = WIDTHS["sd" if len(loaded.towers) == 1 else "sdxl"]
    made = {}
    for seed, concept in enumerate(NAMES.values()):
        generator = torch.Generator().manual_seed(seed)
        rows = tuple(torch.randn(2, width, generator=generator) for width in widths)
        made[concept] = LearnedToken(concept=concept, rows=rows)
    return made


def draw(
    loaded: LoadedPipeline, text: str, bound: dict[ConceptId, LearnedToken], *, watch: bool = True, **options: Any
) -> tuple[list[Image.Image], list[dict[ConceptId | None, AttentionMap]]]:
    count = options.pop("count", 1)
    sampling = Sampling(**{"seed": 7, "steps": 2, "guidance": 3.0} | options)
    scene = parse_scene(text, {name: concept for name, concept in NAMES.items() if f"{{{name}}}" in text})
    seen: list[dict[ConceptId | None, AttentionMap]] = []
    on_attention = (lambda _image, maps: seen.append({each.concept: each for each in maps})) if watch else None
    return list(
        generate_images(loaded, scene, bound, sampling, count=count, watch=Watch(on_attention=on_attention))
    ), seen


class TestReading:
    def test_of_every_place_the_words_share_all(self, loaded: LoadedPipeline) -> None:
        _, (maps,) = draw(loaded, "a photo of {fox} at {pier}", tokens(loaded))
        assert list(maps) == [FOX, PIER, None]
        assert sum(each.share for each in maps.values()) == pytest.approx(1)
        assert torch.allclose(sum(each.cells for each in maps.values()), torch.ones(()))

    def test_changes_no_pixel(self, loaded: LoadedPipeline) -> None:
        with_it, without = (
            draw(loaded, "a photo of {fox}", tokens(loaded), watch=watch)[0][0].tobytes() for watch in (True, False)
        )
        assert with_it == without

    def test_a_picture_does_not_depend_on_those_before_it(self, loaded: LoadedPipeline) -> None:
        _, both = draw(loaded, "{fox} at {pier}", tokens(loaded), count=2)
        _, (second,) = draw(loaded, "{fox} at {pier}", tokens(loaded), seed=8)
        assert torch.allclose(both[1][FOX].cells, second[FOX].cells)
        assert not torch.allclose(both[0][FOX].cells, both[1][FOX].cells)

    def test_without_guidance_there_is_one_prompt(self, loaded: LoadedPipeline) -> None:
        _, (maps,) = draw(loaded, "{fox} at {pier}", tokens(loaded), guidance=1.0)
        assert set(maps) == {FOX, PIER, None}

    def test_in_a_layout_a_concept_is_seen_in_its_box(self, loaded: LoadedPipeline) -> None:
        _, (maps,) = draw(loaded, "{fox} and {pier}", tokens(loaded), layout={FOX: LEFT, PIER: RIGHT})
        columns = maps[FOX].cells.shape[1]
        left, right = maps[FOX].cells[:, : columns // 2].mean(), maps[FOX].cells[:, columns // 2 :].mean()
        assert left > 0.1
        assert right < 0.2 * left  # what coarse layers bring over the edge

    def test_a_place_that_no_word_is_for_attends_to_none(self, loaded: LoadedPipeline) -> None:
        _, (maps,) = draw(loaded, "{fox}", tokens(loaded), layout={FOX: LEFT})
        assert list(maps) == [FOX]
        assert maps[FOX].share == pytest.approx(1)
        assert (maps[FOX].cells[:, 0] == 1).all()
        assert not maps[FOX].cells[:, -1].any()

    def test_maps_have_the_shape_of_the_picture(self, loaded: LoadedPipeline) -> None:
        _, (maps,) = draw(loaded, "{fox}", tokens(loaded), size=(2 * RESOLUTION, RESOLUTION))
        rows, columns = maps[FOX].cells.shape
        assert columns == 2 * rows

    def test_nothing_is_hooked_afterwards_not_even_by_an_error(self, loaded: LoadedPipeline) -> None:
        unet = loaded.pipeline.unet
        attended = AttendedPrompts(owners=((FOX,),))
        with pytest.raises(RuntimeError, match="boom"), recorded_attention(unet, attended, (8, 8)):
            assert any(module._forward_hooks for module in unet.modules())
            raise RuntimeError("boom")
        assert not any(module._forward_hooks for module in unet.modules())

    def test_nothing_is_hooked_when_nobody_asks(self, loaded: LoadedPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sdk.generate.drawing.recorded_attention", None)
        draw(loaded, "{fox}", tokens(loaded), watch=False)

    def test_a_network_that_was_not_run_says_nothing(self, loaded: LoadedPipeline) -> None:
        with recorded_attention(loaded.pipeline.unet, AttendedPrompts(owners=((FOX,),)), (8, 8)) as recorder:
            with pytest.raises(BackboneError, match="no cross-attention that was read"):
                recorder.maps()

    def test_a_layer_of_another_shape_is_told(self) -> None:
        with pytest.raises(BackboneError, match="no halving"):
            latent_grid((8, 8), 15)


class TestTruth:
    """On the base model that ships, with tokens that are words it knows."""

    @pytest.mark.parametrize("word", ["pumpkin", "basketball"])
    def test_the_map_lies_on_the_object(self, mini: LoadedPipeline, word: str) -> None:
        tokenizer, encoder = mini.towers[0]
        ids = tokenizer(word, add_special_tokens=False).input_ids
        rows = encoder.get_input_embeddings().weight[ids].detach()
        bound = {FOX: LearnedToken(concept=FOX, rows=(rows,))}
        (picture,), (maps,) = draw(mini, "a photo of a {fox} on grass", bound, seed=2, steps=12, guidance=5.0)
        colours = np.asarray(picture).astype(int)
        on_object = colours[..., 0] > colours[..., 1] + 25  # both are orange, on green grass under a blue sky
        assert 0.1 < on_object.mean() < 0.6
        cells = maps[FOX].cells.numpy()
        spread = np.kron(cells, np.ones([side // n for side, n in zip(on_object.shape, cells.shape, strict=True)]))
        assert spread[on_object].mean() > 1.7 * spread[~on_object].mean()
        assert (
            on_object[np.unravel_index(spread.argmax(), spread.shape)] or on_object[spread > 0.98 * spread.max()].any()
        )
