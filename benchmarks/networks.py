"""Randomly initialised networks of exactly the shapes of Stable Diffusion 1.5 and SDXL; speed does not depend on weights.

The tokenizer is the small base model's, since only the number of tokens matters; the encoders have their own full
vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sdk.spec.digest import Digest
from trainer.backbone import Backbone, BackboneFamily, TextTower
from trainer.mini.evaluate.fit import WEIGHTS

VOCABULARY, TEXT_LENGTH = 49_408, 77


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The configs of one network. `side` is the picture side it was made for, pixels."""

    family: BackboneFamily
    side: int
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    towers: tuple[Mapping[str, Any], ...]


_CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
_CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
_KL_F8 = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
_SMALL_KL_F8 = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}
_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}

SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "sd15": Shape(
            family=BackboneFamily.SD,
            side=512,
            unet={
                "block_out_channels": (320, 640, 1280, 1280),
                "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
                "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
                "layers_per_block": 2,
                "cross_attention_dim": 768,
                "attention_head_dim": 8,
            },
            vae=_KL_F8,
            towers=(_CLIP_L,),
        ),
        "sdxl": Shape(
            family=BackboneFamily.SDXL,
            side=1024,
            unet={
                "block_out_channels": (320, 640, 1280),
                "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
                "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
                "layers_per_block": 2,
                "cross_attention_dim": 2048,
                "attention_head_dim": (5, 10, 20),
                "transformer_layers_per_block": (1, 2, 10),
                "use_linear_projection": True,
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": 2816,
            },
            vae=_KL_F8,
            towers=(_CLIP_L, _CLIP_G),
        ),
        "tiny": Shape(
            family=BackboneFamily.SD,
            side=64,
            unet={
                "block_out_channels": (16, 32),
                "down_block_types": ("CrossAttnDownBlock2D",) * 2,
                "up_block_types": ("CrossAttnUpBlock2D",) * 2,
                "layers_per_block": 1,
                "cross_attention_dim": 32,
                "attention_head_dim": 4,
                "norm_num_groups": 4,
            },
            vae=_SMALL_KL_F8,
            towers=(_SMALL,),
        ),
    }
)


def build_unet(shape: Shape) -> UNet2DConditionModel:
    """The U-Net on the default device."""
    return UNet2DConditionModel(sample_size=shape.side // 8, in_channels=4, out_channels=4, **shape.unet)


def random_backbone(shape: Shape, *, device: torch.device | str, dtype: torch.dtype) -> Backbone:
    """A frozen network of `shape` with random weights."""
    torch.manual_seed(0)
    with torch.device(device):
        unet = build_unet(shape).to(dtype)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            **shape.vae,
        ).to(dtype)
        towers = tuple(_tower(number, config, dtype) for number, config in enumerate(shape.towers))
    for module in (unet, vae, *(tower.encoder for tower in towers)):
        module.requires_grad_(False).eval()
    return Backbone(
        family=shape.family,
        towers=towers,
        unet=unet,
        vae=vae,
        noise_scheduler=DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
        directory=WEIGHTS,
        digest=Digest.of(repr(shape).encode()),
        zero_empty_prompt=shape.family is BackboneFamily.SDXL,
    )


def _tower(number: int, config: Mapping[str, Any], dtype: torch.dtype) -> TextTower:
    kind = CLIPTextModelWithProjection if number else CLIPTextModel
    whole = CLIPTextConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=TEXT_LENGTH,
        projection_dim=config["hidden_size"],
        eos_token_id=2,  # as Stable Diffusion's configs have it: transformers then pools at the largest id
        **config,
    )
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "base" / "tokenizer", local_files_only=True)
    return TextTower(key=("clip_l", "clip_g")[number], tokenizer=tokenizer, encoder=kind(whole).to(dtype))
