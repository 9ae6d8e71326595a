"""Boxes for concepts: what is read, which prompts the regions have, and that cross-attention follows them."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.governed import NOW
from support.pictures import damaged_inside
from support.tiny_backbone import RESOLUTION, make_backbone_dir
from support.workshop import USE, make_workshop

from sdk.compose import compose
from sdk.errors import SceneError
from sdk.generate.drawing import generate_images
from sdk.generate.layout import (
    MAX_SEPARATED_CELLS,
    coupled_regions,
    region_parts,
    region_weights,
    separated_regions,
    separation_bias,
)
from sdk.generate.pipeline import LoadedPipeline, load_pipeline
from sdk.generate.places import SMALLEST_SIDE, mask_picture, parse_layout
from sdk.generate.scene import parse_scene
from sdk.generate.tokens import LearnedToken
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Box, Mask, Sampling

FOX, PIER, OWL = ConceptId("demo/fox"), ConceptId("demo/pier"), ConceptId("demo/owl")
NAMES = {"fox": FOX, "pier": PIER, "owl": OWL}
SCENE = parse_scene("a photo of {fox} and {owl} at {pier}", NAMES)
LEFT, RIGHT, ALL = Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1), Box(0, 0, 1, 1)
WIDTHS = {"sd": (16,), "sdxl": (16, 24)}


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedPipeline:
    torch.set_num_threads(1)
    return load_pipeline(make_backbone_dir(tmp_path_factory.mktemp("base") / request.param, request.param))


def tokens(loaded: LoadedPipeline) -> dict[ConceptId, LearnedToken]:
    widths = WIDTHS["sd" if len(loaded.towers) == 1 else "sdxl"]
    made = {}
    for seed, concept in enumerate(NAMES.values()):
        generator = torch.Generator().manual_seed(seed)
        rows = tuple(torch.randn(2, width, generator=generator) for width in widths)
        made[concept] = LearnedToken(concept=concept, rows=rows)
    return made


def draw(loaded: LoadedPipeline, text: str, layout: dict[ConceptId, Box], **options: Any) -> torch.Tensor:
    names = {name: concept for name, concept in NAMES.items() if f"{{{name}}}" in text}
    sampling = Sampling(**{"seed": 7, "steps": 2, "guidance": 3.0, "layout": layout} | options)
    (image,) = generate_images(loaded, parse_scene(text, names), tokens(loaded), sampling, count=1)
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).float()


class TestBoxes:
    def test_are_read_by_the_names_of_the_scene(self) -> None:
        assert parse_layout({"fox": (0, 0, 0.5, 1)}, NAMES) == {FOX: LEFT}

    @pytest.mark.parametrize(
        "box",
        [
            (0, 0, 1),
            (0, 0, 1, 1, 1),
            None,
            ("a", 0, 1, 1),
            (-0.1, 0, 1, 1),
            (0, 0, 1.1, 1),
            (0.5, 0, 0.5, 1),
            (0, 0.6, 1, 0.4),
            (0, 0, SMALLEST_SIDE / 2, 1),
            (math.nan, 0, 1, 1),
            (0, 0, math.inf, 1),
            (0, 0, 10**400, 1),
        ],
    )
    def test_that_are_no_place_are_refused(self, box: Any) -> None:
        with pytest.raises(SceneError, match="'fox'"):
            parse_layout({"fox": box}, NAMES)

    def test_of_nobody_are_refused(self) -> None:
        with pytest.raises(SceneError, match="places 'bear'"):
            parse_layout({"bear": (0, 0, 1, 1)}, NAMES)


def half_white(side: str = "left", size: tuple[int, int] = (40, 20)) -> Image.Image:
    """A mask whose left or right half is white."""
    picture = Image.new("L", size)
    start = 0 if side == "left" else size[0] // 2
    picture.paste(255, (start, 0, start + size[0] // 2, size[1]))
    return picture


class TestMasks:
    def test_cover_what_is_white(self) -> None:
        layout = parse_layout({"fox": half_white()}, NAMES)
        assert torch.equal(region_weights(layout, 2, 4), region_weights({FOX: LEFT}, 2, 4))

    def test_are_read_from_a_file_and_keep_nothing_but_their_pixels(self, tmp_path: Path) -> None:
        half_white(size=(2000, 1000)).convert("RGB").save(tmp_path / "mask.png")
        (mask,) = parse_layout({"fox": tmp_path / "mask.png"}, NAMES).values()
        assert isinstance(mask, Mask)
        assert mask_picture(mask).size == (512, 256)

    def test_are_read_from_a_path_in_words(self, tmp_path: Path) -> None:
        half_white().save(tmp_path / "mask.png")
        assert parse_layout({"fox": str(tmp_path / "mask.png")}, NAMES) == parse_layout({"fox": half_white()}, NAMES)

    @pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
    def test_are_as_grey_as_they_are_whatever_their_depth(self, tmp_path: Path, dtype: type) -> None:
        picture = Image.fromarray(np.full((64, 64), 30_000, dtype))
        picture.save(tmp_path / "mask.tiff")
        for place in (picture, tmp_path / "mask.tiff"):
            (mask,) = parse_layout({"fox": place}, NAMES).values()
            assert isinstance(mask, Mask)
            assert mask_picture(mask).getcolors() == [(64 * 64, 117)]

    def test_that_came_over_the_wire_are_as_grey_as_they_are(self) -> None:
        content = io.BytesIO()
        Image.fromarray(np.full((64, 64), 30_000, np.uint16)).save(content, "PNG")
        assert mask_picture(Mask(png=content.getvalue())).getcolors() == [(64 * 64, 117)]

    def test_of_whole_numbers_up_to_255_are_white_there(self) -> None:
        assert parse_layout({"fox": half_white().convert("I")}, NAMES) == parse_layout({"fox": half_white()}, NAMES)

    @pytest.mark.parametrize(
        ("make", "fault"),
        [
            (lambda folder: folder / "none.png", "cannot be read"),
            (lambda folder: "left", "cannot be read at left"),
            (lambda folder: write(folder / "text.png", b"text"), "cannot be read"),
            (lambda folder: write(folder / "damaged.png", damaged_inside()), "cannot be read"),
            (lambda folder: Image.new("L", (100, 100)), "white on 0.00% of the canvas"),
            (lambda folder: Image.new("1", (4097, 4097), 1), "pixels; at most"),
        ],
    )
    def test_that_are_no_place_are_refused(self, tmp_path: Path, make: Any, fault: str) -> None:
        with pytest.raises(SceneError, match=fault):
            parse_layout({"fox": make(tmp_path)}, NAMES)

    def test_that_came_over_the_wire_and_are_no_picture_are_refused(self) -> None:
        with pytest.raises(SceneError, match="no PNG"):
            mask_picture(Mask(png=b"GIF89a"))
        with pytest.raises(SceneError, match="no PNG"):
            mask_picture(Mask(png=damaged_inside()))


class TestSeparation:
    def test_other_places_are_seen_less_and_everything_else_as_before(self) -> None:
        layout = {FOX: Box(0, 0, 0.25, 1), OWL: Box(0.75, 0, 1, 1)}
        bias = separation_bias(layout, 1, 4, 0.25)
        far = math.log(0.25)
        assert torch.allclose(bias, torch.tensor([[0, 0, 0, far], [0] * 4, [0] * 4, [far, 0, 0, 0]]), atol=1e-5)

    def test_shared_cells_are_seen_by_both(self) -> None:
        bias = separation_bias({FOX: Box(0, 0, 1, 1), OWL: Box(0, 0, 1, 1)}, 1, 2, 0.0)
        assert float(bias.min()) >= math.log(0.5) - 1e-5

    def layer(self, loaded: LoadedPipeline, leakage: float, other: float) -> torch.Tensor:
        """What a self-attention layer answers for the left half when the right half is `other`."""
        unet = loaded.pipeline.unet
        name = next(name for name in unet.attn_processors if name.endswith("attn1.processor"))
        layer = unet.get_submodule(name.removesuffix(".processor"))
        picture = torch.randn(2, 16, layer.query_dim, generator=torch.Generator().manual_seed(0))
        right = (torch.arange(16) % 4) >= 2
        picture[:, right] = other
        with torch.no_grad(), separated_regions(unet, {FOX: LEFT, OWL: RIGHT}, (8, 8), leakage):
            return layer(picture)[:, ~right]

    def test_nothing_leaks_at_zero(self, loaded: LoadedPipeline) -> None:
        assert torch.allclose(self.layer(loaded, 0.0, 5.0), self.layer(loaded, 0.0, -5.0), atol=0.02)
        assert not torch.allclose(self.layer(loaded, 1.0, 5.0), self.layer(loaded, 1.0, -5.0), atol=0.02)

    def test_large_layers_are_left_alone(self, loaded: LoadedPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        before = self.layer(loaded, 1.0, 5.0)
        monkeypatch.setattr("sdk.generate.layout.MAX_SEPARATED_CELLS", 15)
        assert MAX_SEPARATED_CELLS == 32 * 32
        assert torch.equal(self.layer(loaded, 0.0, 5.0), before)

    def test_the_layers_are_as_before_afterwards(self, loaded: LoadedPipeline) -> None:
        before = dict(loaded.pipeline.unet.attn_processors)
        with pytest.raises(ZeroDivisionError), separated_regions(loaded.pipeline.unet, {FOX: LEFT}, (8, 8), 0.0):
            raise ZeroDivisionError
        assert loaded.pipeline.unet.attn_processors == before


class TestRegions:
    def test_have_the_scene_without_the_other_boxed_concepts(self) -> None:
        assert region_parts(SCENE, {FOX: LEFT, OWL: RIGHT}) == [
            ("a photo of", "and", "at", PIER),
            ("a photo of", FOX, "and", "at", PIER),
            ("a photo of", "and", OWL, "at", PIER),
        ]

    def test_keep_plain_words_that_read_like_an_id(self) -> None:
        scene = parse_scene("{fox}demo/owl{owl}", NAMES | {"pier": OWL})
        assert scene.parts == (FOX, "demo/owl", OWL)
        assert region_parts(scene, {OWL: LEFT})[0] == (FOX, "demo/owl")

    def test_weights_follow_the_boxes(self) -> None:
        rest, left, right = region_weights({FOX: LEFT, OWL: Box(0.5, 0.5, 1, 1)}, 2, 4)
        assert left.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
        assert right.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1]]
        assert rest.tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]

    def test_a_cell_that_is_covered_in_part_is_in_part_the_boxs(self) -> None:
        rest, box = region_weights({FOX: Box(0, 0, 0.25, 1)}, 1, 2)
        assert (box.tolist(), rest.tolist()) == ([[0.5, 0]], [[0.5, 1]])

    def test_boxes_that_overlap_share(self) -> None:
        _, first, second = region_weights({FOX: ALL, OWL: ALL}, 2, 2)
        assert torch.equal(first, second)
        assert float(first[0, 0]) == 0.5

    @given(
        boxes=st.lists(st.tuples(*[st.floats(0, 0.9)] * 2, *[st.floats(0.05, 1)] * 2), min_size=1, max_size=3),
        rows=st.integers(1, 20),
        columns=st.integers(1, 20),
    )
    def test_fill_the_canvas(self, boxes: list[tuple[float, ...]], rows: int, columns: int) -> None:
        placed = [Box(x, y, min(1, x + width), min(1, y + height)) for x, y, width, height in boxes]
        layout = {ConceptId(f"demo/c{index}"): box for index, box in enumerate(placed)}
        weights = region_weights(layout, rows, columns)
        assert weights.shape == (len(boxes) + 1, rows, columns)
        assert bool((weights >= 0).all())
        assert torch.allclose(weights.sum(0), torch.ones(rows, columns), atol=1e-5)
        assert all(float(region.sum()) > 0 for region in weights[1:])


class TestAttention:
    def run(self, loaded: LoadedPipeline, prompts: torch.Tensor, layout: dict[ConceptId, Box] | None) -> torch.Tensor:
        """What one cross-attention layer of 4 x 4 cells answers to the same picture."""
        name = next(name for name in loaded.pipeline.unet.attn_processors if name.endswith("attn2.processor"))
        layer = loaded.pipeline.unet.get_submodule(name.removesuffix(".processor"))
        generator = torch.Generator().manual_seed(0)
        picture = torch.randn(1, 16, layer.query_dim, generator=generator).expand(2, -1, -1)
        text = torch.cat([torch.zeros_like(prompts[:1]), prompts[:1]])
        with torch.no_grad():
            if layout is None:
                return layer(picture, encoder_hidden_states=text)
            with coupled_regions(loaded.pipeline.unet, prompts, layout, (8, 8)):
                return layer(picture, encoder_hidden_states=text)

    def test_every_cell_follows_the_prompt_of_its_region(self, loaded: LoadedPipeline) -> None:
        width = int(loaded.pipeline.unet.config.cross_attention_dim)
        prompts = torch.randn(3, 5, width, generator=torch.Generator().manual_seed(1))
        coupled = self.run(loaded, prompts, {FOX: LEFT, OWL: Box(0.5, 0.5, 1, 1)})
        plain = [self.run(loaded, prompts[region : region + 1], None) for region in range(3)]
        rows = torch.arange(16) // 4
        columns = torch.arange(16) % 4
        region = torch.where(columns < 2, 1, torch.where(rows >= 2, 2, 0))
        for cell in range(16):
            assert torch.allclose(coupled[1, cell], plain[int(region[cell])][1, cell], atol=1e-5)
        assert torch.allclose(coupled[0], plain[0][0], atol=1e-5)  # the negative prompt has no regions

    def test_the_layers_are_as_before_afterwards(self, loaded: LoadedPipeline) -> None:
        before = dict(loaded.pipeline.unet.attn_processors)
        width = int(loaded.pipeline.unet.config.cross_attention_dim)
        with (
            pytest.raises(ZeroDivisionError),
            coupled_regions(loaded.pipeline.unet, torch.ones(2, 5, width), {FOX: LEFT}, (8, 8)),
        ):
            assert loaded.pipeline.unet.attn_processors != before
            raise ZeroDivisionError
        assert loaded.pipeline.unet.attn_processors == before


class TestPictures:
    def test_a_box_of_the_whole_canvas_changes_nothing(self, loaded: LoadedPipeline) -> None:
        plain = draw(loaded, "a photo of {fox}", {})
        placed = draw(loaded, "a photo of {fox}", {FOX: ALL})
        assert float((plain - placed).abs().max()) <= 1

    def test_it_matters_who_stands_where(self, loaded: LoadedPipeline) -> None:
        text = "a photo of {fox} and {owl}"
        one = draw(loaded, text, {FOX: LEFT, OWL: RIGHT})
        other = draw(loaded, text, {FOX: RIGHT, OWL: LEFT})
        assert float((one - other).abs().max()) > 1

    @pytest.mark.parametrize("options", [{"guidance": 1.0}, {"size": (RESOLUTION + 8, RESOLUTION)}, {"steps": 1}])
    def test_without_guidance_and_in_other_shapes(self, loaded: LoadedPipeline, options: dict[str, Any]) -> None:
        picture = draw(loaded, "{fox} and {owl}", {FOX: LEFT, OWL: RIGHT}, **options)
        assert picture.isfinite().all()

    def test_less_leakage_is_another_picture_and_full_leakage_the_same(self, loaded: LoadedPipeline) -> None:
        text, layout = "{fox} and {owl}", {FOX: LEFT, OWL: RIGHT}
        plain = draw(loaded, text, layout)
        assert torch.equal(draw(loaded, text, layout, leakage=1.0), plain)
        assert not torch.equal(draw(loaded, text, layout, leakage=0.0), plain)

    def test_nothing_is_left_behind(self, loaded: LoadedPipeline) -> None:
        plain = draw(loaded, "a photo of {fox}", {})
        draw(loaded, "a photo of {fox}", {FOX: LEFT})
        assert torch.equal(draw(loaded, "a photo of {fox}", {}), plain)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_layout_goes_through_the_compose_call(tmp_path: Path) -> None:
    workshop = make_workshop(tmp_path)
    with workshop.registry.client() as client:
        call = USE | {"steps": 1, "profile": workshop.profile, "client": client, "clock": lambda: NOW}
        plain = compose({"hero": "demo/fox"}, "a photo of {hero}", **call)
        placed = compose({"hero": "demo/fox"}, "a photo of {hero}", layout={"hero": (0, 0, 0.5, 0.5)}, **call)
        assert plain.images[0].image.tobytes() != placed.images[0].image.tobytes()
        asked = len(workshop.registry.asked)
        with pytest.raises(SceneError, match="places 'villain'"):
            compose({"hero": "demo/fox"}, "a photo of {hero}", layout={"villain": (0, 0, 1, 1)}, **call)
        assert len(workshop.registry.asked) == asked
