"""trainer.em.problem: where learning starts from, and what is refused before it starts."""

import dataclasses

import pytest
import torch

from sdk.errors import TrainingInputError
from tests.support.tiny_backbone import BEACH, FOX, make_picture, make_training_set, tiny_backbone
from trainer.em.config import CRFConfig, EMConfig, EStepConfig, MStepConfig
from trainer.em.problem import check_captions, first_masks, first_rows, prepare
from trainer.em.prompts import PromptCompiler, embed_words
from trainer.em.scene import layout_scene

CONFIG = EMConfig(crf=CRFConfig(grid=16), e_step=EStepConfig(timesteps=2, timestep_low=10, timestep_high=70))
OF_THREE = dataclasses.replace(FOX, vectors=3)


class TestFirstRows:
    @pytest.mark.parametrize("family", ["sd", "sdxl"])
    def test_a_row_starts_as_the_mean_of_all_sub_tokens_of_its_class_word(self, family: str) -> None:
        backbone, toy = tiny_backbone(family), dataclasses.replace(FOX, class_word="teddy bear")
        rows = first_rows(backbone, layout_scene(make_training_set((toy, BEACH))))
        for tower in backbone.towers:
            parts = embed_words(tower, "teddy bear")
            assert len(parts) == 2
            torch.testing.assert_close(rows[tower.key][0], parts.mean(dim=0))


class TestFirstMasks:
    def test_they_are_those_of_the_class_words_however_many_vectors_are_to_be_learned(self) -> None:
        one, three = (
            first_masks(prepare(tiny_backbone(), make_training_set((fox, BEACH)), CONFIG)) for fox in (FOX, OF_THREE)
        )
        assert torch.equal(one.posterior, three.posterior)


class TestPrepare:
    def test_a_caption_that_is_too_long_is_refused_with_its_picture_before_any_is_encoded(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trainer.em.problem.observe", lambda *_: pytest.fail("a picture was encoded"))
        long = make_picture("p7", [FOX.name], caption="a photo of " * 8 + "{demo/fox}")
        training = make_training_set((FOX,), pictures=[make_picture("p6", [FOX.name]), long])
        with pytest.raises(TrainingInputError, match=r"^p7: a prompt has over 22 tokens .* shorten the caption, give"):
            prepare(tiny_backbone(), training, CONFIG)

    @pytest.mark.parametrize(
        ("vectors", "count", "caption"),
        [
            (4, 5, "{demo/c0} {demo/c1} {demo/c2} {demo/c3} {demo/c4}"),  # which templates are longer than
            (1, 8, None),  # longer in words, with an article each
        ],
    )
    def test_every_prompt_of_the_training_is_looked_at(self, vectors: int, count: int, caption: str | None) -> None:
        concepts = [dataclasses.replace(FOX, name=f"demo/c{at}", vectors=vectors) for at in range(count)]
        names = [concept.name for concept in concepts]
        training = make_training_set(concepts, pictures=[make_picture("p7", names, caption=caption)])
        scene = layout_scene(training)
        assert len(scene.pictures) == 1
        with pytest.raises(TrainingInputError, match="p7: a prompt has over 22 tokens"):
            check_captions(scene, PromptCompiler(tiny_backbone().towers), MStepConfig().templates)

    def test_a_template_that_is_too_long_is_refused_as_well(self) -> None:
        config = dataclasses.replace(CONFIG, m_step=MStepConfig(templates=("{}", "a photo of " * 8 + "{}")))
        with pytest.raises(TrainingInputError, match="cuts a concept off"):
            prepare(tiny_backbone(), make_training_set((FOX, BEACH)), config)
