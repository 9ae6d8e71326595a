"""The console's pages of origins: from a picture to its contract, and from a generation to what its pictures attended to."""

from __future__ import annotations

import io
import re
from html import unescape

import pytest
from PIL import Image
from support.console import Browser
from support.credentials import PICTURE, changed_chunk, credentials_at
from support.pictures import drawings, jpeg
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted

from registry.console.heat import FINEST, heat_of
from sdk.credentials.fingerprint import fingerprints_of_output
from sdk.credentials.mark import encode_png
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.explanation import ConceptAttention, GenerationAttention, ImageAttention
from sdk.spec.ids import RecordId

DRAWN = drawings()[0]
PNG = encode_png(DRAWN)
CELLS = bytes([0, 255, 51, 102])


def attention_of(generation: str) -> GenerationAttention:
    maps = (
        ConceptAttention(concept=FOX, share=0.62, rows=2, columns=2, cells=CELLS),
        ConceptAttention(share=0.38, rows=2, columns=2, cells=bytes(4)),
    )
    image = ImageAttention(image=Digest.of(PNG), concepts=maps)
    return GenerationAttention(generation=RecordId(generation), images=(image,))


@pytest.fixture
def generated(registry: RegistryUnderTest) -> tuple[RegistryUnderTest, str]:
    """A generation of one picture, with attention."""
    steps = Steps(registry)
    fox = steps.approved()
    grant = accepted(steps.compose(fox, count=1))
    result = steps.result(grant["id"], fox, images=(PNG,))
    (image,) = result.images
    image = image.model_copy(update={"fingerprints": fingerprints_of_output(DRAWN)})
    changes = {"images": (image,), "attention": attention_of(grant["id"]).digest}
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", result.model_copy(update=changes)))
    return registry, grant["id"]


def saved(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG")
    return content.getvalue()


def ask(browser: Browser, content: bytes) -> str:
    return unescape(browser.upload("/origins", "/origins", [("picture", ("found.png", content))]).text)


class TestOrigins:
    def test_the_very_file_leads_to_its_contract(self, generated: tuple[RegistryUnderTest, str]) -> None:
        registry, generation = generated
        page = ask(Browser(registry).signed_in("auditor"), PNG)
        assert "The very file that was recorded" in page
        assert f'href="/console/generations/{generation}"' in page
        assert "demo/app" in page
        assert "demo/fox@1" in page
        assert re.search(r"Approved by</dt><dd>demo/reviewer", page)
        assert re.search(r"Consent con_\w+", page)
        assert "It carries no Content Credentials." in page

    @pytest.mark.parametrize(
        ("language", "words"), [("en", "confidence: strong. a lead, not a proof"), ("ja", "高。 手がかり")]
    )
    def test_a_copy_is_a_lead_and_says_how_far_it_is(
        self, generated: tuple[RegistryUnderTest, str], language: str, words: str
    ) -> None:
        registry, generation = generated
        cut = jpeg(75)(DRAWN.crop((6, 3, 120, 125)))
        page = ask(Browser(registry, language=language).signed_in("owner"), saved(cut))
        assert generation in page
        assert words in page.lower()
        assert re.search(r"\d+ of 256|256 ビット中 \d+", page)

    def test_what_is_unknown_or_anothers_is_not_found(self, generated: tuple[RegistryUnderTest, str]) -> None:
        registry, generation = generated
        for name, content in (("auditor", saved(drawings()[1])), ("other-auditor", PNG), ("other-app", PNG)):
            page = ask(Browser(registry).signed_in(name), content)
            assert "No image on record that you may see" in page
            assert generation not in page

    def test_nothing_of_what_is_sent_is_stored_or_shown_as_it_came(
        self, generated: tuple[RegistryUnderTest, str]
    ) -> None:
        registry, _ = generated
        before = Steps(registry).events()
        browser = Browser(registry).signed_in("auditor")
        signed_in = len(Steps(registry).events())
        answer = browser.upload("/origins", "/origins", [("picture", ('"><script>.png', PNG))])
        assert len(Steps(registry).events()) == signed_in == len(before) + 1
        assert "<script" not in answer.text
        assert "img-src 'self' data:;" in answer.headers["content-security-policy"]
        assert "script-src" not in answer.headers["content-security-policy"]

    @pytest.mark.parametrize(
        ("content", "words"), [(b"", "no file was chosen"), (b"no picture", "no picture that can be read")]
    )
    def test_what_is_no_picture_is_refused_in_words(
        self, registry: RegistryUnderTest, content: bytes, words: str
    ) -> None:
        assert words in ask(Browser(registry).signed_in("auditor"), content)

    def test_credentials_that_are_broken_are_told_as_such(self, registry: RegistryUnderTest) -> None:
        broken = PNG[:33] + b"\x00\x00\x00\x00caBX\x00\x00\x00\x00" + PNG[33:]
        broken = changed_chunk(broken, b"caBX", lambda _: b"\x00" * 50)
        assert "broken or forged" in ask(Browser(registry).signed_in("auditor"), broken)

    def test_credentials_at_an_address_are_told_and_not_fetched(self, registry: RegistryUnderTest) -> None:
        found = credentials_at("http://192.0.2.1/c2pa", DRAWN, "JPEG")
        told = ask(Browser(registry).signed_in("auditor"), found)
        assert "at this address, which was not asked: <code>http://192.0.2.1/c2pa</code>" in told

    def test_is_for_who_may_read_generations_and_needs_the_form(self, registry: RegistryUnderTest) -> None:
        reviewer = Browser(registry).signed_in("reviewer")
        assert reviewer.get("/origins").status_code == 403
        answer = reviewer.upload("/origins", "/concepts", [("picture", ("found.png", PNG))])
        assert answer.status_code == 403
        auditor = Browser(registry).signed_in("auditor")
        assert auditor.post("/origins", {"form_token": "x"}).status_code == 403
        assert Browser(registry).post("/origins", {"form_token": "x"}).status_code == 401


class TestExplanation:
    def show(self, browser: Browser, generation: str, kept: bytes, *pictures: bytes) -> str:
        files = [("attention", ("kept.json", kept)), *(("pictures", ("one.png", each)) for each in pictures)]
        path = f"/origins/{generation}/explanation"
        return unescape(browser.upload(path, f"/generations/{generation}", files).text)

    def test_shows_maps_over_the_picture_shares_rules_and_approvals(
        self, generated: tuple[RegistryUnderTest, str]
    ) -> None:
        registry, generation = generated
        page = self.show(
            Browser(registry).signed_in("app"), generation, encode_canonical(attention_of(generation)), PNG
        )
        assert page.count("<svg") == 2
        assert page.count("<image ") == 2
        assert "demo/fox <strong>62 %</strong>" in page
        assert "other words <strong>38 %</strong>" in page
        assert re.findall(r'fill-opacity="([\d.]+)"', page)[:4] == ["0.88", "0.0", "0.704", "0.528"]
        assert "composition.may-compose" in page
        assert "Approved by" in page

    def test_stands_without_the_pictures_and_shows_none_that_is_another(
        self, generated: tuple[RegistryUnderTest, str]
    ) -> None:
        registry, generation = generated
        kept = encode_canonical(attention_of(generation))
        page = self.show(Browser(registry).signed_in("auditor"), generation, kept, encode_png(PICTURE))
        assert page.count("<svg") == 2
        assert "<image " not in page

    def test_attention_that_is_not_the_recorded_one_is_refused(self, generated: tuple[RegistryUnderTest, str]) -> None:
        registry, generation = generated
        browser = Browser(registry).signed_in("auditor")
        kept = attention_of(generation)
        (image,) = kept.images
        forged = kept.model_copy(update={"images": (image.model_copy(update={"concepts": image.concepts[:1]}),)})
        assert "not what was seen while drawing" in self.show(browser, generation, encode_canonical(forged))
        assert "not strict JSON" in self.show(browser, generation, b"<html>")
        assert "no file was chosen" in self.show(browser, generation, b"")

    def test_another_tenant_is_shown_nothing(self, generated: tuple[RegistryUnderTest, str]) -> None:
        registry, generation = generated
        other = Browser(registry).signed_in("other-auditor")
        files = [("attention", ("kept.json", encode_canonical(attention_of(generation))))]
        answer = other.upload(f"/origins/{generation}/explanation", "/origins", files)
        assert answer.status_code == 404


class TestHeat:
    def test_is_clear_at_the_peak_and_dark_where_nothing_was_looked_at(self) -> None:
        heat = heat_of(ConceptAttention(concept=FOX, share=0.625, rows=2, columns=2, cells=CELLS))
        assert [(cell.x, cell.y, cell.shade) for cell in heat.cells[:2]] == [(0, 0, 0.88), (1, 0, 0.0)]
        assert heat.percent == 62

    def test_a_fine_map_is_averaged_and_keeps_its_shape(self) -> None:
        cells = bytes(range(256)) * 32
        heat = heat_of(ConceptAttention(share=1, rows=64, columns=128, cells=cells))
        assert (heat.columns, heat.rows) == (FINEST, FINEST // 2)
        assert len(heat.cells) == heat.columns * heat.rows

    def test_of_nothing_is_dark_everywhere(self) -> None:
        heat = heat_of(ConceptAttention(share=0, rows=3, columns=5, cells=bytes(15)))
        assert {cell.shade for cell in heat.cells} == {0.88}
