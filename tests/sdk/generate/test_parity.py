"""Generation conditions the network exactly as training did, so that what reviewers saw is what applications get."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.tiny_backbone import make_backbone_dir

from sdk.generate import drawing
from sdk.generate.pipeline import load_pipeline
from sdk.generate.scene import parse_scene
from sdk.generate.tokens import LearnedToken
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Sampling
from trainer.em.prompts import PromptCompiler, Slot, encode_prompts, parse_prompt
from trainer.loading import load_backbone
from trainer.quality.sampling import sample_pictures

TEXT = "a photo of {demo/fox} at the beach"
FOX = ConceptId("demo/fox")


@pytest.mark.parametrize(("family", "widths"), [("sd", {"clip_l": 16}), ("sdxl", {"clip_l": 16, "clip_g": 24})])
class TestParityWithTraining:
    def test_text_conditioning_is_the_same(self, family: str, widths: dict[str, int], tmp_path: Path) -> None:
        directory = make_backbone_dir(tmp_path / "base", family)
        generator = torch.Generator().manual_seed(5)
        rows = {key: torch.randn(2, width, generator=generator) for key, width in widths.items()}
        backbone = load_backbone(directory)
        prompt = PromptCompiler(backbone.towers).compile(parse_prompt(TEXT, {"demo/fox": Slot(rows=(0, 1))}))
        trained = encode_prompts(backbone, [prompt], rows)

        token = LearnedToken(concept=FOX, rows=tuple(rows.values()))
        scene = parse_scene(TEXT, {"demo/fox": FOX})
        with torch.no_grad():
            hidden, pooled = drawing._encode(load_pipeline(directory), scene.parts, {FOX: token})
        assert torch.allclose(hidden, trained.hidden, atol=1e-6)
        assert (pooled is None) == (trained.pooled is None)
        if pooled is not None:
            assert torch.allclose(pooled, trained.pooled, atol=1e-6)

    def test_the_reviewers_sample_can_be_drawn_again(self, family: str, widths: dict[str, int], tmp_path: Path) -> None:
        directory = make_backbone_dir(tmp_path / "base", family)
        rows = {key: torch.full((1, width), 0.5) for key, width in widths.items()}
        slots = {"demo/fox": Slot(rows=(0,))}
        (sample,) = sample_pictures(load_backbone(directory), [TEXT], slots, rows, seed=11, steps=2)
        token = LearnedToken(concept=FOX, rows=tuple(rows.values()))
        scene = parse_scene(TEXT, {"demo/fox": FOX})
        sampling = Sampling(seed=11, steps=2, guidance=5.0)
        loaded = load_pipeline(directory)
        (image,) = drawing.generate_images(loaded, scene, {FOX: token}, sampling, count=1)
        drawn = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(*image.size[::-1], 3)
        assert (drawn.permute(2, 0, 1).int() - sample.int()).abs().max() <= 1
