"""`imprimatur explain` and `compose --explain`: what is said, kept, and not believed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.governed import record_id
from support.workshop import AS_OPTIONS, SCENE, Workshop

from sdk.cli.application import run
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.explanation import ConceptAttention, Explanation, GenerationAttention

GENERATION = record_id("gen")


@pytest.fixture
def folder(app: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Where two images were composed with their attention kept."""
    out = tmp_path / "o"
    assert run(["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS, "--explain", "--out", str(out)]) == 0
    capsys.readouterr()
    return out


class TestCompose:
    def test_keeps_maps_and_a_page_beside_the_images(self, app: Workshop, folder: Path) -> None:
        assert {path.suffix for path in folder.iterdir()} == {".png", ".json", ".html"}
        kept = parse_wire(GenerationAttention, (folder / f"{GENERATION}.attention.json").read_bytes(), "attention")
        (result,) = app.registry.results
        assert kept.digest == result.attention
        assert [attended.image for attended in kept.images] == [image.digest for image in result.images]

    def test_without_it_nothing_is_kept(self, app: Workshop, tmp_path: Path) -> None:
        assert run(["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS, "--out", str(tmp_path / "o")]) == 0
        assert {path.suffix for path in (tmp_path / "o").iterdir()} == {".png"}
        assert app.registry.results[0].attention is None


class TestExplain:
    def test_says_why_who_and_under_which_terms(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["explain", GENERATION, "--images", str(folder)]) == 0
        out = capsys.readouterr().out
        for expected in (
            f"{GENERATION}: permit for demo/app",
            "advertising, JP, web",
            "composition.may-compose about demo/fox",
            "demo/fox@1",
            "approved by demo/reviewer (entry 2)",
            f"{record_id('con')}: advertising",
            f"{record_id('lic')}: advertising",
            "image 1      attended to demo/fox",
        ):
            assert expected in out

    def test_without_the_images_it_explains_the_decision(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["explain", GENERATION]) == 0
        assert "no attention is at hand" in capsys.readouterr().out

    def test_a_folder_without_attention_is_told(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["explain", GENERATION, "--images", str(tmp_path)]) == 1
        assert "compose with --explain keeps it" in capsys.readouterr().err

    def test_as_json_it_is_one_document(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["explain", GENERATION, "--images", str(folder), "--json"]) == 0
        found = Explanation.model_validate(json.loads(capsys.readouterr().out))
        assert [len(attended.concepts) for attended in found.images] == [2, 2]

    def test_the_page_is_self_contained_and_shows_every_image(self, folder: Path, tmp_path: Path) -> None:
        page = tmp_path / "page.html"
        assert run(["explain", GENERATION, "--images", str(folder), "--out", str(page)]) == 0
        text = page.read_text()
        assert text == (folder / f"{GENERATION}.html").read_text()
        assert text.count('alt="The picture"') == 2
        assert text.count('alt="Map of demo/fox"') == 2
        assert "<script" not in text
        assert set(re.findall(r'(?:src|href)="([a-z]+:)', text)) == {"data:"}

    def test_attention_that_was_changed_is_not_believed(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        kept = folder / f"{GENERATION}.attention.json"
        attention = parse_wire(GenerationAttention, kept.read_bytes(), "attention")
        first = attention.images[0]
        turned = first.model_copy(update={"concepts": first.concepts[::-1]})
        kept.write_bytes(encode_canonical(attention.model_copy(update={"images": (turned, *attention.images[1:])})))
        assert run(["explain", GENERATION, "--images", str(folder)]) == 1
        assert "not what was seen while drawing" in capsys.readouterr().err


class TestMaps:
    def test_peak_is_in_fractions_of_the_picture(self) -> None:
        attention = ConceptAttention(share=0.5, rows=2, columns=4, cells=bytes([0, 0, 0, 0, 0, 0, 9, 0]))
        assert attention.peak == (0.625, 0.75)

    def test_a_map_with_too_few_cells_is_refused(self) -> None:
        with pytest.raises(ValueError, match="3 cells"):
            ConceptAttention(share=0.5, rows=2, columns=2, cells=bytes(3))
