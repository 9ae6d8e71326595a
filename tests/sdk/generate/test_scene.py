"""Scene text: what becomes a concept, and that nothing else can."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.errors import SceneError
from sdk.generate.scene import concept_of, name_concepts, parse_scene, plain_text
from sdk.spec.ids import ConceptId

FOX, PIER = ConceptId("demo/fox"), ConceptId("demo/pier")
NAMES = {"demo/fox": FOX, "demo/pier": PIER}


class TestNames:
    def test_a_list_names_concepts_by_themselves(self) -> None:
        assert name_concepts(["demo/fox", "demo/pier@3"]) == {"demo/fox": "demo/fox", "demo/pier": "demo/pier@3"}

    def test_a_mapping_gives_short_names(self) -> None:
        assert name_concepts({"hero": "demo/fox@stable"}) == {"hero": "demo/fox@stable"}

    @pytest.mark.parametrize(
        "concepts", [[], {}, ["demo/fox", "demo/fox"], ["demo/fox", "demo/fox@2"], {"a": "demo/fox", "b": "demo/fox@1"}]
    )
    def test_refuses_none_and_twice(self, concepts: object) -> None:
        with pytest.raises(SceneError):
            name_concepts(concepts)

    def test_refuses_more_than_an_intent_can_name(self) -> None:
        references = [f"demo/fox-{number}" for number in range(17)]
        assert len(name_concepts(references[:16])) == 16
        for many in (references, dict(zip("abcdefghijklmnopq", references, strict=True))):
            with pytest.raises(SceneError, match="17 concepts are given; a picture has at most 16"):
                name_concepts(many)

    def test_refuses_a_text_where_a_list_belongs(self) -> None:
        with pytest.raises(SceneError, match=r"\['demo/fox'\]"):
            name_concepts("demo/fox")

    def test_refuses_what_is_no_text(self) -> None:
        for concepts in ([1], {"fox": None}):
            with pytest.raises(SceneError, match="a concept is a text"):
                name_concepts(concepts)

    def test_refuses_what_is_no_concept(self) -> None:
        with pytest.raises(SceneError, match="concept id"):
            concept_of("fox")


class TestParse:
    def test_cuts_text_and_concepts(self) -> None:
        scene = parse_scene("a photo of {demo/fox} at {demo/pier}, {demo/fox}", NAMES)
        assert scene.parts == ("a photo of", FOX, "at", PIER, ",", FOX)

    def test_short_names(self) -> None:
        assert parse_scene("{hero}", {"hero": FOX}).parts == (FOX,)

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("a {demo/owl} and {demo/fox} {demo/pier}", r"\{demo/owl\}, which is none"),
            ("a {demo/fox}", r"where \{demo/pier\} is"),
            ("a {demo/fox} {demo/pier} {", "without its partner"),
            ("a {demo/fox} {demo/pier}}", "without its partner"),
            ("{demo/fox} {demo/pier} <demo-owl>", "holds the token '<demo-owl>'"),
            ("{demo/fox} {demo/pier} <DEMO-OWL>_1", "holds the token"),
            ("{demo/fox} {demo/pier} <|endoftext|>", "holds the token"),
            ("{demo/fox} {demo/pier} {}", "none of the concepts"),
            ("x" * 2001, "2001 characters"),
            ("{demo/fox} {demo/pier} \ud800", "half of a character at position 23"),
            (None, "which is no text"),
        ],
    )
    def test_refuses_and_says_why(self, text: str, fault: str) -> None:
        with pytest.raises(SceneError, match=fault):
            parse_scene(text, NAMES)

    @given(st.text(alphabet="{}<>|abc/ demo-fox_1", max_size=40))
    def test_no_text_brings_in_what_was_not_given(self, text: str) -> None:
        try:
            scene = parse_scene(text + "{demo/fox}", {"demo/fox": FOX})
        except SceneError:
            return
        assert {part for part in scene.parts if isinstance(part, ConceptId)} == {FOX}
        assert not any(re.search(r"<[a-z0-9-]+>", part) for part in scene.parts if not isinstance(part, ConceptId))


class TestPlainText:
    def test_is_kept(self) -> None:
        assert plain_text(" blurry, dark ") == "blurry, dark"

    @pytest.mark.parametrize("text", ["{demo/fox}", "<demo-fox>", "x" * 2001, "\ud800", 5])
    def test_may_hold_no_concept(self, text: str) -> None:
        with pytest.raises(SceneError):
            plain_text(text)


def test_an_id_in_plain_words_is_no_concept() -> None:
    with pytest.raises(SceneError, match="does not say where"):
        parse_scene("demo/fox", {"demo/fox": ConceptId("demo/fox")})
