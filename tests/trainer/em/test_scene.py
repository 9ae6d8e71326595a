"""trainer.em.scene."""

import dataclasses

import torch

from sdk.spec.manifest import ConceptKind
from tests.support.tiny_backbone import BEACH, BIRD, FOX, make_picture, make_training_set, tiny_backbone
from trainer.data import ConceptSpec
from trainer.em.prompts import PromptCompiler, Slot
from trainer.em.scene import UNNAMED_BACKGROUND, in_words, label_columns, layout_scene, picture_prompt

INK = ConceptSpec(name="demo/ink", kind=ConceptKind.STYLE, class_word="ink", vectors=2)


class TestLayoutScene:
    def test_every_picture_without_a_named_background_gets_its_own(self) -> None:
        pictures = [make_picture("a", ["demo/fox"]), make_picture("b", ["demo/fox", "demo/beach"])]
        scene = layout_scene(make_training_set((FOX, BEACH), pictures=[*pictures, make_picture("c", ["demo/fox"])]))
        assert scene.labels == ("demo/fox", "demo/beach", UNNAMED_BACKGROUND)
        assert scene.unnamed == (Slot(rows=(2,)), None, Slot(rows=(3,)))
        assert scene.presence.tolist() == [[True, False, True], [True, True, False], [True, False, True]]
        assert scene.row_words == ("fox", "beach", "background", "background")

    def test_a_named_background_everywhere_leaves_no_unnamed_label(self) -> None:
        assert layout_scene(make_training_set((FOX, BEACH))).labels == ("demo/fox", "demo/beach")

    def test_a_style_has_rows_but_no_label(self) -> None:
        scene = layout_scene(make_training_set((FOX, INK)))
        assert scene.labels == ("demo/fox", UNNAMED_BACKGROUND)
        assert scene.slots["demo/ink"] == Slot(rows=(1, 2))
        assert scene.styles(0) == ("demo/ink",)


class TestInWords:
    def test_says_what_a_person_would_say(self) -> None:
        animal = dataclasses.replace(FOX, class_word="animal", vectors=3)
        scene = in_words(layout_scene(make_training_set((animal, BEACH))))
        fox, beach = scene.slots[FOX.name], scene.slots[BEACH.name]
        assert (fox, beach) == (Slot(rows=(0,)), Slot(rows=(1,)))
        assert picture_prompt(scene, 0, (0, 1), "a photo of {}") == ("a photo of", "an", fox, "in", "a", beach)


class TestPicturePrompt:
    def test_joins_things_then_the_background_then_the_style(self) -> None:
        scene = layout_scene(make_training_set((FOX, BIRD, BEACH, INK)))
        prompt = picture_prompt(scene, 0, (0, 1, 2), "a photo of {}")
        fox, bird, beach, ink = (scene.slots[c.name] for c in (FOX, BIRD, BEACH, INK))
        assert prompt == ("a photo of", fox, "and", bird, "in", beach, "in the style of", ink)

    def test_shows_a_subset(self) -> None:
        scene = layout_scene(make_training_set((FOX, BEACH)))
        assert picture_prompt(scene, 0, (1,), "{}") == (scene.slots["demo/beach"],)

    def test_a_caption_is_used_when_everything_is_shown(self) -> None:
        picture = make_picture("a", ["demo/fox"], caption="a red {demo/fox}")
        scene = layout_scene(make_training_set((FOX,), pictures=[picture]))
        assert picture_prompt(scene, 0, (0, 1), "{}") == ("a red", scene.slots["demo/fox"], "in", scene.unnamed[0])
        assert picture_prompt(scene, 0, (0,), "{}") == (scene.slots["demo/fox"],)


class TestLabelColumns:
    def test_averages_over_a_labels_own_tokens(self) -> None:
        fox = ConceptSpec(name="demo/fox", kind=ConceptKind.SUBJECT, class_word="fox", vectors=2)
        scene = layout_scene(make_training_set((fox, BEACH)))
        compiler = PromptCompiler(tiny_backbone().towers)
        compiled = compiler.compile(picture_prompt(scene, 0, (0, 1), "a photo of {}"))
        weights = label_columns(scene, [0], [compiled])
        expected = torch.zeros(1, 2, len(compiled.ids[0]))
        expected[0, 0, 4:6] = 0.5
        expected[0, 1, 7] = 1.0
        assert torch.equal(weights, expected)

    def test_a_label_that_is_not_shown_has_no_columns(self) -> None:
        scene = layout_scene(make_training_set((FOX, BEACH)))
        compiled = PromptCompiler(tiny_backbone().towers).compile(picture_prompt(scene, 0, (0,), "{}"))
        assert label_columns(scene, [0], [compiled])[0, 1].sum() == 0
