"""The demo's page: one file that shows everything, in which every picture says what it is."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.demo import InProcess

from examples.demo import steps
from examples.demo.page import COMPOSED_FOLDER, TRAINING_FOLDER, write_page
from sdk.credentials.read import verify_credentials

ROUNDS = 3


class Reader(HTMLParser):
    """What is in a page: every element with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def told(composed: InProcess, tmp_path_factory: pytest.TempPathFactory) -> tuple[InProcess, Path]:
    """An audited demo, and the folder of its page."""
    out = tmp_path_factory.mktemp("demo-out")
    demo = replace(composed, training_files=out / TRAINING_FOLDER, refusals={"a <b> tries": "no (approval.role)"})
    for picture in demo.story.pictures:
        for place in (f"pictures/{picture.name}", *(f"rounds/{picture.stem}/{n}.png" for n in range(ROUNDS))):
            (demo.training_files / place).parent.mkdir(parents=True, exist_ok=True)
            (demo.training_files / place).write_bytes(picture.read_bytes())
    with demo.stage.step("Audit"):
        steps.audit(demo)
    write_page(demo, out)
    return demo, out


@pytest.fixture(scope="module")
def page(told: tuple[InProcess, Path]) -> Reader:
    return Reader((told[1] / "index.html").read_text("utf-8"))


class TestPage:
    def test_holds_every_picture_and_says_what_it_shows(self, told: tuple[InProcess, Path], page: Reader) -> None:
        demo = told[0]
        learned_from = len(demo.story.pictures)
        images = sum(len(made.composition.images) for made in demo.composed)
        shown = page.all("img")
        assert len(shown) == learned_from * (1 + 1 + ROUNDS) + images
        assert all((each["src"] or "").startswith("data:image/png;base64,") for each in shown)
        assert all(len(each["alt"] or "") > 10 for each in shown)
        assert "Masks of picture 2 after round 1" in {each["alt"] for each in shown}

    def test_needs_no_script_and_nothing_from_elsewhere(self, page: Reader) -> None:
        assert page.all("script") == page.all("link") == page.all("iframe") == []
        assert [each["href"] for each in page.all("a") if ":" in (each["href"] or "")] == []

    def test_follows_the_readers_colour_scheme(self, told: tuple[InProcess, Path]) -> None:
        assert "prefers-color-scheme: dark" in (told[1] / "index.html").read_text("utf-8")

    def test_shows_the_very_files_that_lie_beside_it(self, told: tuple[InProcess, Path], page: Reader) -> None:
        demo, out = told
        sources = {each["src"] for each in page.all("img")}
        files = sorted((out / COMPOSED_FOLDER).iterdir())
        assert {each["href"] for each in page.all("a")} >= {f"{COMPOSED_FOLDER}/{file.name}" for file in files}
        for file in files:
            content = file.read_bytes()
            assert verify_credentials(content, [demo.studio.authority]).use
            assert "data:image/png;base64," + base64.b64encode(content).decode() in sources

    def test_says_what_a_reader_finds_in_each_file(self, told: tuple[InProcess, Path], page: Reader) -> None:
        images = sum(len(made.composition.images) for made in told[0].composed)
        for fact in ("Trusted", "c2pa.created", "trainedAlgorithmicMedia", "demo/app, certified by Demo"):
            assert page.text.count(fact) >= images, fact

    def test_gives_account_of_every_generation(self, told: tuple[InProcess, Path], page: Reader) -> None:
        for account in told[0].accounts:
            assert account.generation in page.text
        assert re.search(r"demo/reviewer\s+\(entry \d+\)", page.text)

    def test_gives_refusals_as_they_were_said(self, page: Reader) -> None:
        assert "a <b> tries" in page.text
        assert "no (approval.role)" in page.text

    def test_says_how_long_each_step_took(self, page: Reader) -> None:
        assert re.search(r"1\s*Audit\s+\d+\.\d s", page.text)
