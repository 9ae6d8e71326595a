"""Pictures drawn together: as many as memory allows, each as it is alone but for rounding, the same call bit by bit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from PIL import Image
from support.pictures import alike
from support.tiny_backbone import RESOLUTION, make_backbone_dir

from sdk.generate.attribution import AttentionMap
from sdk.generate.drawing import MAX_TOGETHER, Watch, batches, generate_images
from sdk.generate.photo import read_photo
from sdk.generate.pipeline import LoadedPipeline, load_pipeline
from sdk.generate.scene import parse_scene
from sdk.generate.tokens import LearnedToken
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Box, Sampling, Scheduler

FOX, PIER = ConceptId("demo/fox"), ConceptId("demo/pier")
SCENE = parse_scene("{fox} at {pier}", {"fox": FOX, "pier": PIER})
PLACES = {FOX: Box(0, 0, 0.5, 1), PIER: Box(0.5, 0, 1, 1)}


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedPipeline:
    torch.set_num_threads(1)
    return load_pipeline(make_backbone_dir(tmp_path_factory.mktemp("base") / request.param, request.param))


@dataclass
class Drawn:
    """Pictures, and everything that was told of them."""

    images: list[Image.Image]
    steps: list[tuple[range, int]]
    previews: list[tuple[int, int, Image.Image]]
    attention: list[tuple[int, tuple[AttentionMap, ...]]]


def draw(loaded: LoadedPipeline, count: int, *, photo: bytes | None = None, **options: Any) -> Drawn:
    widths = (16,) if len(loaded.towers) == 1 else (16, 24)
    tokens = {}
    for seed, concept in enumerate((FOX, PIER)):
        generator = torch.Generator().manual_seed(seed)
        rows = tuple(torch.randn(2, width, generator=generator) for width in widths)
        tokens[concept] = LearnedToken(concept=concept, rows=rows)
    drawn = Drawn([], [], [], [])
    watch = Watch(
        on_step=lambda *told: drawn.steps.append(told),
        on_preview=lambda *told: drawn.previews.append(told),
        preview_every=2,
        on_attention=lambda *told: drawn.attention.append(told),
    )
    mask = options.pop("mask", None)
    into = read_photo(photo, mask, 0.8, None) if photo else None
    sampling = Sampling(**{"seed": 7, "steps": 4, "guidance": 3.0} | options)
    drawn.images += generate_images(loaded, SCENE, tokens, sampling, count=count, watch=watch, photo=into)
    return drawn


def picture_file(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


PHOTO = picture_file(Image.linear_gradient("L").resize((RESOLUTION, RESOLUTION)).convert("RGB"))
MASK = picture_file(Image.linear_gradient("L").resize((RESOLUTION, RESOLUTION)).rotate(90))


class TestHowMany:
    def test_as_many_as_memory_allows_and_no_picture_twice(self) -> None:
        assert batches(1, (512, 512)) == [range(1)]
        assert batches(MAX_TOGETHER, (512, 512)) == [range(MAX_TOGETHER)]
        assert batches(19, (64, 64)) == [range(8), range(8, 16), range(16, 19)]
        assert batches(3, (1024, 1024)) == [range(2), range(2, 3)]
        assert batches(2, (2048, 2048)) == [range(1), range(1, 2)]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="text"),
        pytest.param({"guidance": 1.0}, id="no guidance"),
        pytest.param({"scheduler": Scheduler.EULER_ANCESTRAL}, id="noise at every step"),
        pytest.param({"scheduler": Scheduler.UNIPC}, id="a scheduler that remembers"),
        pytest.param({"layout": PLACES, "leakage": 0.2}, id="layout"),
        pytest.param({"photo": PHOTO}, id="photo"),
        pytest.param({"photo": PHOTO, "mask": MASK}, id="mask of a photo"),
        pytest.param({"photo": PHOTO, "mask": MASK, "layout": PLACES}, id="layout in a photo"),
    ],
)
class TestTogether:
    def test_each_is_as_it_is_alone_but_for_rounding(self, loaded: LoadedPipeline, options: dict[str, Any]) -> None:
        three, alone = draw(loaded, 3, **options), draw(loaded, 1, seed=9, **options)
        assert len({image.tobytes() for image in three.images}) == 3
        assert alike(three.images[2], alone.images[0])
        assert [number for number, _ in three.attention] == [0, 1, 2]
        for one, other in zip(three.attention[2][1], alone.attention[0][1], strict=True):
            assert one.concept == other.concept
            assert torch.allclose(one.cells, other.cells, atol=1e-4)
        previews = [preview for number, _, preview in three.previews if number == 2]
        assert all(map(alike, previews, (preview for _, _, preview in alone.previews)))
        assert {images for images, _ in three.steps} == {range(3)}

    def test_the_same_call_gives_the_same_bits(self, loaded: LoadedPipeline, options: dict[str, Any]) -> None:
        first, second = ([image.tobytes() for image in draw(loaded, 2, **options).images] for _ in range(2))
        assert first == second


class TestSeveralBatches:
    def test_go_on_where_the_last_ended(self, loaded: LoadedPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        together = draw(loaded, 3, layout=PLACES)
        monkeypatch.setattr("sdk.generate.drawing.MAX_TOGETHER", 2)
        apart = draw(loaded, 3, layout=PLACES)
        assert list(dict.fromkeys(images for images, _ in apart.steps)) == [range(2), range(2, 3)]
        assert all(map(alike, together.images, apart.images))
        assert [number for number, _ in apart.attention] == [0, 1, 2]

    def test_seeds_are_of_their_images(self, loaded: LoadedPipeline) -> None:
        both = draw(loaded, 2, seed=9, seeds=(9, 4)).images
        assert alike(both[1], draw(loaded, 1, seed=4).images[0])
