"""trainer.data: what is refused, with the file and the mend named; what is honoured; what is only warned of."""

import dataclasses
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter

from sdk.errors import TrainingInputError
from sdk.spec.manifest import ArtefactName, ConceptKind
from trainer.data import (
    MAX_BYTES,
    MAX_PICTURES,
    ConceptSpec,
    PictureSpec,
    TrainingSet,
    load_training_set,
    placeholder_tokens,
)

FOX = ConceptSpec(name="demo/fox", kind=ConceptKind.SUBJECT, class_word="fox")
BIRD = ConceptSpec(name="demo/bird", kind=ConceptKind.SUBJECT, class_word="bird")
PIER = ConceptSpec(name="demo/pier", kind=ConceptKind.BACKGROUND, class_word="pier")
SIDE = 32


def save(path: Path, size: tuple[int, int] = (96, 96), mode: str = "RGB", **options: object) -> Path:
    Image.new(mode, size, 120 if mode in ("L", "I;16") else None).save(path, **options)
    return path


def of(path: Path, *concepts: ConceptSpec, **changes: object) -> PictureSpec:
    return PictureSpec(path=path, concepts=tuple(c.name for c in concepts or (FOX,)), **changes)  # type: ignore[arg-type]


def load(*pictures: PictureSpec, concepts: tuple[ConceptSpec, ...] = (FOX,), **limits: int) -> TrainingSet:
    return load_training_set(pictures, concepts, resolution=SIDE, **limits)


class TestRefusals:
    def refused(self, *pictures: PictureSpec, match: str, concepts: tuple[ConceptSpec, ...] = (FOX,)) -> None:
        with pytest.raises(TrainingInputError, match=match):
            load(*pictures, concepts=concepts)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        self.refused(of(tmp_path / "none.png"), match=r"none\.png: there is no such file; correct the path")

    def test_a_file_that_is_no_picture(self, tmp_path: Path) -> None:
        (tmp_path / "text.png").write_text("not a picture")
        self.refused(of(tmp_path / "text.png"), match=r"text\.png: this is not a JPEG, PNG or WebP picture")

    def test_a_format_that_is_not_listed(self, tmp_path: Path) -> None:
        self.refused(of(save(tmp_path / "moving.gif")), match=r"moving\.gif: this is not a JPEG, PNG or WebP")

    def test_a_truncated_picture(self, tmp_path: Path) -> None:
        whole = save(tmp_path / "half.jpg", (200, 200)).read_bytes()
        (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
        self.refused(of(tmp_path / "half.jpg"), match=r"half\.jpg: the picture is damaged .* export it again")

    def test_a_picture_that_is_too_small(self, tmp_path: Path) -> None:
        self.refused(of(save(tmp_path / "tiny.png", (200, 63))), match=r"tiny\.png: 200 x 63 pixels is too small.*64")

    def test_a_picture_over_the_pixel_limit_is_refused_before_it_is_decoded(self, tmp_path: Path) -> None:
        path = save(tmp_path / "huge.png", (100, 100))
        path.write_bytes(path.read_bytes()[:60])  # only the header is there: decoding would say damaged
        with pytest.raises(TrainingInputError, match=r"huge\.png: 100 x 100 is over the limit of 9999 pixels"):
            load(of(path), max_pixels=9999)

    def test_a_picture_of_far_too_many_pixels_is_told_to_be_too_large(self, tmp_path: Path) -> None:
        path = save(tmp_path / "bomb.png", (100, 100))
        header = bytearray(path.read_bytes())
        header[16:24] = struct.pack(">II", 20_000, 20_000)
        header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
        path.write_bytes(header)
        self.refused(of(path), match=r"bomb\.png: it is over the limit of 40000000 pixels; scale it down")

    def test_a_file_of_too_many_bytes(self, tmp_path: Path) -> None:
        path = save(tmp_path / "heavy.png")
        with path.open("r+b") as file:
            file.truncate(MAX_BYTES + 1)
        self.refused(of(path), match=rf"heavy\.png: {MAX_BYTES + 1} bytes is over the limit of {MAX_BYTES}")

    def test_too_many_pictures(self, tmp_path: Path) -> None:
        path = save(tmp_path / "one.png")
        self.refused(*[of(path)] * (MAX_PICTURES + 1), match=f"expected 1 to {MAX_PICTURES} pictures")

    def test_a_concept_that_is_in_no_picture(self, tmp_path: Path) -> None:
        picture = of(save(tmp_path / "one.png"), FOX)
        self.refused(picture, concepts=(FOX, BIRD), match="concept demo/bird is in no picture")

    def test_a_picture_that_lists_an_unknown_concept(self, tmp_path: Path) -> None:
        self.refused(of(save(tmp_path / "one.png"), BIRD), match=r"one\.png: concept demo/bird is not among .*demo/fox")

    def test_a_picture_that_lists_none(self, tmp_path: Path) -> None:
        picture = PictureSpec(path=save(tmp_path / "one.png"), concepts=())
        self.refused(picture, match=r"one\.png: no concept is listed")

    def test_a_picture_that_lists_one_twice(self, tmp_path: Path) -> None:
        self.refused(of(save(tmp_path / "one.png"), FOX, FOX), match=r"one\.png: a concept is listed twice for it")

    def test_a_mask_of_what_the_picture_does_not_list(self, tmp_path: Path) -> None:
        pictures = [
            of(save(tmp_path / "one.png"), masks={BIRD.name: tmp_path / "m.png"}),
            of(tmp_path / "one.png", BIRD),
        ]
        self.refused(
            *pictures, concepts=(FOX, BIRD), match=r"one\.png: a mask is given for demo/bird, which is not listed"
        )

    @pytest.mark.parametrize(
        ("concepts", "fault"),
        [
            ((FOX, FOX), "concept demo/fox is listed 2 times; list it once"),
            ((dataclasses.replace(FOX, vectors=5),), "concept demo/fox asks for 5 vectors; give it 1 to 4"),
            ((dataclasses.replace(FOX, name="fox"),), "concept name: "),
            ((), "expected 1 to 8 concepts, found 0"),
        ],
    )
    def test_concepts_that_cannot_be_learned(
        self, tmp_path: Path, concepts: tuple[ConceptSpec, ...], fault: str
    ) -> None:
        self.refused(of(save(tmp_path / "one.png")), concepts=concepts, match=fault)

    def test_a_caption_that_leaves_a_concept_out(self, tmp_path: Path) -> None:
        picture = of(save(tmp_path / "one.png"), caption="a photo of a fox")
        self.refused(picture, match=r"its caption should hold \{demo/fox\} once")

    def test_a_caption_that_names_something_else(self, tmp_path: Path) -> None:
        picture = of(save(tmp_path / "one.png"), caption="a photo of {demo/fox} and {demo/owl}")
        self.refused(picture, match="names something in braces that is not listed")

    def test_a_mask_of_what_is_everywhere(self, tmp_path: Path) -> None:
        ink = ConceptSpec(name="demo/ink", kind=ConceptKind.STYLE, class_word="ink")
        picture = of(save(tmp_path / "one.png"), FOX, ink, masks={ink.name: tmp_path / "m.png"})
        self.refused(picture, concepts=(FOX, ink), match="a mask is given for demo/ink, a style, which is everywhere")

    def test_a_mask_of_another_size(self, tmp_path: Path) -> None:
        mask = save(tmp_path / "mask.png", (64, 64), "L")
        picture = of(save(tmp_path / "one.png"), masks={FOX.name: mask})
        self.refused(picture, match=r"mask\.png: the mask is 64 x 64 pixels, its picture .* 96 x 96")

    @pytest.mark.parametrize(("mode", "colour"), [("L", 0), ("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))])
    def test_an_empty_mask(self, tmp_path: Path, mode: str, colour: Any) -> None:
        Image.new(mode, (96, 96), colour).save(tmp_path / "mask.png")
        picture = of(save(tmp_path / "one.png"), masks={FOX.name: tmp_path / "mask.png"})
        self.refused(picture, match=r"mask\.png: the mask is empty")

    def test_two_names_that_give_one_token(self) -> None:
        with pytest.raises(TrainingInputError, match="both give the token <a-b-c>; rename one"):
            placeholder_tokens(["a-b/c", "a/b-c"])


class TestPictures:
    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
    def test_the_three_formats_are_read(self, tmp_path: Path, suffix: str) -> None:
        picture = load(of(save(tmp_path / f"one.{suffix}"))).pictures[0]
        assert picture.pixels.shape == (3, SIDE, SIDE)
        assert picture.pixels.dtype == torch.uint8

    @pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
    def test_every_mode_becomes_rgb(self, tmp_path: Path, mode: str) -> None:
        suffix = "jpg" if mode == "CMYK" else "png"
        assert load(of(save(tmp_path / f"one.{suffix}", mode=mode))).pictures[0].pixels.shape == (3, SIDE, SIDE)

    def test_of_sixteen_bits_the_upper_eight_are_kept(self, tmp_path: Path) -> None:
        for name, options in (("deep.png", {}), ("clear.png", {"transparency": 1})):  # one level of grey is transparent
            Image.new("I;16", (96, 96), 0x7800).save(tmp_path / name, **options)
            assert (load(of(tmp_path / name)).pictures[0].pixels == 0x78).all()

    def test_transparency_becomes_white(self, tmp_path: Path) -> None:
        Image.new("RGBA", (96, 96), (255, 0, 0, 0)).save(tmp_path / "clear.png")
        assert (load(of(tmp_path / "clear.png")).pictures[0].pixels == 255).all()

    def test_the_camera_s_rotation_is_honoured(self, tmp_path: Path) -> None:
        image = Image.new("RGB", (96, 64), "blue")
        image.paste("red", (0, 0, 96, 8))
        exif = Image.Exif()
        exif[0x0112] = 6  # the top of what was seen is at the right of what is stored
        image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
        picture = load(of(tmp_path / "turned.jpg")).pictures[0]
        assert picture.size == (64, 96)
        assert picture.pixels[0, :, -2:].float().mean() > 180
        assert picture.pixels[0, :, :8].float().mean() < 60

    @pytest.mark.parametrize("odd", [(0x0100, 1, 1), (0x010E, 5, 1), (0x011A, 1, 1)])  # tag, type, count
    def test_the_camera_s_rotation_is_honoured_beside_an_entry_of_another_type_than_its_tag_has(
        self, tmp_path: Path, odd: tuple[int, int, int]
    ) -> None:
        entries = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", *odd, 8)
        exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0" + entries + bytes(4)
        Image.new("RGB", (96, 64), "blue").save(tmp_path / "odd.jpg", exif=exif)
        assert load(of(tmp_path / "odd.jpg")).pictures[0].size == (64, 96)

    def test_a_picture_whose_exif_cannot_be_read_is_taken_as_it_is(self, tmp_path: Path) -> None:
        Image.new("RGB", (96, 64)).save(tmp_path / "odd.png", exif=b"no TIFF header")
        assert load(of(tmp_path / "odd.png")).pictures[0].size == (96, 64)

    @pytest.mark.parametrize("mode", ["RGBA", "P", "L"])
    def test_a_mask_that_is_cut_out_is_where_it_is_opaque_however_the_file_says_so(
        self, tmp_path: Path, mode: str
    ) -> None:
        mask = Image.new("RGBA", (96, 96), (255, 255, 255, 0))
        mask.paste((0, 0, 0, 255), (0, 0, 48, 96))
        if mode == "P":
            mask.quantize(4).save(tmp_path / "mask.png")
        elif mode == "L":
            mask.getchannel("A").point(lambda level: 255 - level).save(tmp_path / "mask.png", transparency=255)
        else:
            mask.save(tmp_path / "mask.png")
        with Image.open(tmp_path / "mask.png") as saved:
            assert saved.mode == mode
        shown = (
            load(of(save(tmp_path / "one.png"), masks={FOX.name: tmp_path / "mask.png"})).pictures[0].masks[FOX.name]
        )
        assert (bool(shown[:, : SIDE // 2].all()), bool(shown[:, SIDE // 2 :].any())) == (True, False)

    def test_files_of_one_name_get_different_names(self, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
        specs = [of(save(tmp_path / folder / "my photo.png")) for folder in ("a", "b")]
        assert [picture.name for picture in load(*specs).pictures] == ["my-photo", "my-photo-2"]

    def test_a_number_that_another_file_has_in_its_name_is_passed_over(self, tmp_path: Path) -> None:
        specs = [of(save(tmp_path / name)) for name in ("photo.jpg", "photo.png", "photo-2.jpg", "photo.webp")]
        names = [picture.name for picture in load(*specs).pictures]
        assert names == ["photo", "photo-2", "photo-2-2", "photo-3"]

    def test_long_names_are_cut_so_that_every_file_named_after_them_has_an_artefact_name(self, tmp_path: Path) -> None:
        specs = [of(save(tmp_path / f"{'a' * 190}{end}.png")) for end in "xy"]
        names = [picture.name for picture in load(*specs).pictures]
        longest = f"{'t' * 63}/{'n' * 63}"
        assert len(set(names)) == 2
        for name in names:
            for file in (f"pictures/{name}.png", f"masks/{longest}/{name}.png"):
                assert TypeAdapter(ArtefactName).validate_python(file) == file


class TestWarnings:
    def warned(self, make: Callable[[], TrainingSet]) -> str:
        return " ".join(make().warnings)

    def test_two_concepts_that_nothing_tells_apart(self, tmp_path: Path) -> None:
        twin = ConceptSpec(name="demo/vixen", kind=ConceptKind.SUBJECT, class_word="fox")
        pictures = [of(save(tmp_path / f"{n}.png", (96, 96 + n)), FOX, twin) for n in range(2)]
        said = self.warned(lambda: load(*pictures, concepts=(FOX, twin)))
        assert "demo/fox and demo/vixen are always together and nothing tells them apart" in said
        assert "different class words, a picture of one alone, or their masks in one picture" in said

    @pytest.mark.parametrize("other", [BIRD, PIER])
    def test_different_words_or_a_place_tell_them_apart(self, tmp_path: Path, other: ConceptSpec) -> None:
        pictures = [of(save(tmp_path / f"{n}.png", (96, 96)), FOX, other) for n in range(2)]
        assert "always together" not in self.warned(lambda: load(*pictures, concepts=(FOX, other)))

    def test_a_long_picture_is_cut_to_its_middle(self, tmp_path: Path) -> None:
        assert "only the central square of 300 x 96" in self.warned(
            lambda: load(of(save(tmp_path / "w.png", (300, 96))))
        )

    def test_the_same_picture_twice(self, tmp_path: Path) -> None:
        pictures = [of(save(tmp_path / f"{n}.png")) for n in range(2)]
        assert "0 and 1 are the same picture" in self.warned(lambda: load(*pictures))


class TestPlaceholderTokens:
    def test_no_token_is_a_prefix_of_another(self) -> None:
        tokens = list(placeholder_tokens(["demo/fox", "demo/fox-cub", "demo/fo"]).values())
        assert not any(a != b and b.startswith(a) for a in tokens for b in tokens)
