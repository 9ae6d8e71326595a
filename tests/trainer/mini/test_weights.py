"""The shipped weights: what the digest list says, loaded by plain diffusers, drawing pictures of the promised size."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline

from trainer.mini.corpus.captions import every_word
from trainer.mini.train.export import digests

WEIGHTS = Path(__file__).resolve().parents[3] / "trainer" / "mini" / "weights"


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(WEIGHTS / "base", local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded


class TestShippedWeights:
    def test_are_the_pinned_files_and_no_others(self) -> None:
        assert digests(WEIGHTS) == json.loads((WEIGHTS / "digests.json").read_text())

    def test_stay_below_forty_megabytes(self) -> None:
        assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) < 40e6

    def test_load_as_an_ordinary_pipeline_and_draw(self, pipeline: StableDiffusionPipeline) -> None:
        prompt, generator = "a photo of a cat in the snow", torch.Generator().manual_seed(1)
        made = pipeline(prompt, num_inference_steps=4, generator=generator, output_type="np").images
        assert made.shape == (1, 128, 128, 3)
        assert made.std() > 0.05

    def test_predict_velocity(self, pipeline: StableDiffusionPipeline) -> None:
        assert pipeline.scheduler.config.prediction_type == "v_prediction"

    def test_the_tokenizer_knows_the_words_of_the_corpus(self, pipeline: StableDiffusionPipeline) -> None:
        pieces = [pipeline.tokenizer(word, add_special_tokens=False).input_ids for word in every_word()]
        assert sum(len(ids) == 1 for ids in pieces) > 0.9 * len(pieces)

    def test_the_prompt_changes_the_picture(self, pipeline: StableDiffusionPipeline) -> None:
        def draw(prompt: str) -> torch.Tensor:
            generator = torch.Generator().manual_seed(2)
            made = pipeline(prompt, num_inference_steps=6, generator=generator, output_type="pt")
            return made.images[0].float()

        grass, night = draw("grass"), draw("a starry night")
        assert grass.mean() - night.mean() > 0.1
