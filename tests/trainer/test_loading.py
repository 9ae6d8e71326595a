"""trainer.loading: every number from the folder's configs, and a folder that lacks a part is named with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sdk.errors import BackboneError
from tests.support.tiny_backbone import LATENT_SIZE, RESOLUTION, make_backbone_dir, tiny_backbone
from trainer.backbone import BackboneFamily
from trainer.loading import load_backbone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_backbone_dir(tmp_path / "base", "sd")


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


class TestLoadBackbone:
    @pytest.mark.parametrize(
        ("family", "expected"), [("sd", BackboneFamily.SD), ("sd-v", BackboneFamily.SD), ("sdxl", BackboneFamily.SDXL)]
    )
    def test_sizes_come_from_the_configs_and_nothing_is_trainable(self, family: str, expected: BackboneFamily) -> None:
        backbone = tiny_backbone(family)
        assert backbone.family is expected
        assert (backbone.latent_size, backbone.resolution, backbone.train_timesteps) == (LATENT_SIZE, RESOLUTION, 100)
        modules = (backbone.unet, backbone.vae, *(tower.encoder for tower in backbone.towers))
        assert not any(p.requires_grad for module in modules for p in module.parameters())
        assert not any(module.training for module in modules)

    def test_a_path_that_is_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(BackboneError, match="is not a folder; give the path of a diffusers pipeline folder"):
            load_backbone(tmp_path / "none")

    def test_a_folder_without_an_index(self, folder: Path) -> None:
        (folder / "model_index.json").unlink()
        with pytest.raises(BackboneError, match=r"has no model_index\.json"):
            load_backbone(folder)

    def test_another_kind_of_pipeline(self, folder: Path) -> None:
        change(folder / "model_index.json", _class_name="FluxPipeline")
        with pytest.raises(BackboneError, match="holds a FluxPipeline; expected one of StableDiffusionPipeline"):
            load_backbone(folder)

    @pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
    def test_a_missing_part_is_named(self, folder: Path, part: str) -> None:
        shutil.rmtree(folder / part)
        with pytest.raises(BackboneError, match=part):
            load_backbone(folder)

    @pytest.mark.parametrize(
        ("part", "pickled"), [("unet", "diffusion_pytorch_model.bin"), ("text_encoder", "pytorch_model.bin")]
    )
    def test_weights_that_are_no_safetensors_are_never_loaded(self, folder: Path, part: str, pickled: str) -> None:
        (weights,) = (folder / part).glob("*.safetensors")
        torch.save(load_file(weights), folder / part / pickled)
        weights.unlink()
        with pytest.raises(BackboneError, match=part):
            load_backbone(folder)

    def test_a_text_encoder_of_another_width(self, folder: Path, tmp_path: Path) -> None:
        other = make_backbone_dir(tmp_path / "xl", "sdxl")
        shutil.rmtree(folder / "unet")
        shutil.copytree(other / "unet", folder / "unet")
        with pytest.raises(BackboneError, match="expects text of width 40, the text encoders give 16"):
            load_backbone(folder)

    def test_a_prediction_that_is_not_supported(self, folder: Path) -> None:
        change(folder / "scheduler" / "scheduler_config.json", prediction_type="sample")
        with pytest.raises(BackboneError, match="predicts 'sample'; expected epsilon or v_prediction"):
            load_backbone(folder)
