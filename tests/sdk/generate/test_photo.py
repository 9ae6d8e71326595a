"""Drawing into a photo: what is read, what changes, what stays, and what the credentials then say."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.governed import NOW
from support.tiny_backbone import RESOLUTION, make_backbone_dir
from support.workshop import SCENE, USE, Workshop, make_workshop

from sdk.compose import Composition, compose
from sdk.credentials.mark import COMPOSITE_SOURCE_TYPE
from sdk.credentials.read import verify_credentials
from sdk.errors import InputError
from sdk.generate.drawing import generate_images
from sdk.generate.photo import read_photo
from sdk.generate.pipeline import LoadedPipeline, load_pipeline
from sdk.generate.scene import parse_scene
from sdk.generate.tokens import LearnedToken
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Sampling

FOX = ConceptId("demo/fox")


def file_of(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def sixteen_bits(level: int) -> Image.Image:
    """A picture of one grey; white is 65535."""
    return Image.fromarray(np.full((64, 64), level, np.uint16))


PHOTO = file_of(Image.linear_gradient("L").resize((RESOLUTION, RESOLUTION)).convert("RGB"))


def left_half() -> bytes:
    mask = Image.new("L", (RESOLUTION, RESOLUTION))
    mask.paste(255, (0, 0, RESOLUTION // 2, RESOLUTION))
    return file_of(mask)


class TestReading:
    def test_is_as_large_as_it_is_in_steps_that_can_be_drawn(self) -> None:
        photo = read_photo(file_of(Image.new("RGB", (100, 51))), None, 0.5, None)
        assert photo.picture.size == (96, 48)
        assert read_photo(PHOTO, None, 0.5, (64, 40)).picture.size == (64, 40)
        assert read_photo(file_of(Image.new("RGB", (4000, 2000))), None, 0.5, None).picture.size == (2048, 1024)

    def test_stands_upright(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # turned by 90 degrees
        photo = read_photo(file_of(Image.new("RGB", (64, 32)), "JPEG", exif=exif), None, 0.5, None)
        assert (photo.picture.size, photo.media_type) == ((32, 64), "image/jpeg")

    def test_is_as_bright_as_it_is_whatever_its_depth(self) -> None:
        photo = read_photo(file_of(sixteen_bits(30_000)), file_of(sixteen_bits(40_000)), 0.5, None)
        assert photo.picture.getcolors() == [(64 * 64, (117, 117, 117))]
        assert photo.mask
        assert photo.mask.getcolors() == [(64 * 64, 156)]

    def test_what_is_recorded_is_digests(self) -> None:
        edit = read_photo(PHOTO, left_half(), 0.5, None).edit
        assert edit.photo == Digest.of(PHOTO)
        assert edit.mask
        assert edit.mask != read_photo(PHOTO, file_of(Image.new("L", (8, 8), 255)), 0.5, None).edit.mask

    @pytest.mark.parametrize(
        ("photo", "mask", "match"),
        [
            (b"GIF89a", None, "no PNG, JPEG or WebP"),
            (Path("none.png"), None, "cannot be read"),
            (PHOTO, b"x", "photo_mask is no"),
            (PHOTO, file_of(Image.new("L", (8, 8))), "black everywhere"),
            (PHOTO[:60], None, "no PNG"),
            (7, None, "path of a picture or its bytes"),
        ],
    )
    def test_what_is_none_is_refused(self, photo: Any, mask: Any, match: str) -> None:
        with pytest.raises(InputError, match=match):
            read_photo(photo, mask, 0.5, None)


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedPipeline:
    torch.set_num_threads(1)
    return load_pipeline(make_backbone_dir(tmp_path_factory.mktemp("base") / request.param, request.param))


def draw(loaded: LoadedPipeline, *, mask: bytes | None = None, strength: float = 0.5, seed: int = 1) -> Image.Image:
    widths = (16,) if len(loaded.towers) == 1 else (16, 24)
    rows = tuple(torch.ones(2, width) for width in widths)
    tokens = {FOX: LearnedToken(concept=FOX, rows=rows)}
    sampling = Sampling(seed=seed, steps=4, guidance=3.0)
    photo = read_photo(PHOTO, mask, strength, None)
    scene = parse_scene("{demo/fox}", {"demo/fox": FOX})
    (image,) = generate_images(loaded, scene, tokens, sampling, count=1, photo=photo)
    return image


class TestDrawing:
    def test_the_same_seed_gives_the_same_pixels_and_another_others(self, loaded: LoadedPipeline) -> None:
        first = draw(loaded)
        assert first.size == (RESOLUTION, RESOLUTION)
        assert first.tobytes() == draw(loaded).tobytes()
        assert first.tobytes() != draw(loaded, seed=2).tobytes()

    def test_outside_the_mask_the_photo_stays_pixel_for_pixel(self, loaded: LoadedPipeline) -> None:
        right = (RESOLUTION // 2 + 1, 0, RESOLUTION, RESOLUTION)
        given = Image.open(io.BytesIO(PHOTO)).convert("RGB")
        drawn = draw(loaded, mask=left_half(), strength=1.0)
        assert drawn.crop(right).tobytes() == given.crop(right).tobytes()
        assert drawn.tobytes() != given.tobytes()

    def test_leaves_the_pipeline_as_it_was(self, loaded: LoadedPipeline) -> None:
        before = (loaded.pipeline.unet.dtype, loaded.pipeline.scheduler, dict(loaded.pipeline.unet.attn_processors))
        draw(loaded)
        after = (loaded.pipeline.unet.dtype, loaded.pipeline.scheduler, dict(loaded.pipeline.unet.attn_processors))
        assert after == before


class TestCompose:
    @pytest.fixture
    def workshop(self, tmp_path: Path) -> Workshop:
        return make_workshop(tmp_path)

    def run(self, workshop: Workshop, **options: Any) -> Composition:
        with workshop.registry.client() as client:
            call = USE | {"steps": 4, "profile": workshop.profile, "client": client, "clock": lambda: NOW} | options
            return compose(["demo/fox"], SCENE, **call)

    def test_credentials_name_the_photo_as_parent_and_a_composite(self, workshop: Workshop) -> None:
        result = self.run(workshop, photo=PHOTO, photo_mask=left_half())
        credentials = verify_credentials(result.images[0].png, [workshop.authority])
        assert credentials.source_type == COMPOSITE_SOURCE_TYPE
        assert credentials.actions == ("c2pa.opened", "c2pa.edited")
        assert (credentials.parent, credentials.ingredients) == ("photo", ("demo/fox@1",))
        assert COMPOSITE_SOURCE_TYPE.encode() in result.images[0].png
        assert PHOTO[40:200] not in result.images[0].png

    def test_a_photo_that_has_credentials_keeps_them_in_the_chain(self, workshop: Workshop) -> None:
        first = self.run(workshop).images[0].png
        second = self.run(workshop, photo=first)
        assert verify_credentials(second.images[0].png, [workshop.authority]).parent == "photo"

    def test_nothing_of_the_photo_is_sent_but_what_the_intents_sampling_names(self, workshop: Workshop) -> None:
        self.run(workshop, photo=PHOTO)
        self.run(workshop)
        photographed, plain = workshop.registry.intents
        assert photographed.sampling != plain.sampling

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"photo": b"x"}, "no PNG"),
            ({"photo_mask": PHOTO}, "without a photo"),
            ({"photo": PHOTO, "strength": 2}, "strength"),
            ({"photo": PHOTO, "strength": 0.1}, "no step at all"),
            ({"photo": "no\0name"}, "null byte"),
            ({"photo": PHOTO, "run": "service"}, "stays with the application"),
        ],
    )
    def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(
        self, workshop: Workshop, options: dict[str, Any], match: str
    ) -> None:
        with pytest.raises(InputError, match=match):
            self.run(workshop, **options)
        assert workshop.registry.asked == []
