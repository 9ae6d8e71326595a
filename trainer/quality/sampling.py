"""Generating pictures with learned tokens bound, to show a reviewer what was learned.

The diffusers pipeline of the backbone's class runs on prompt embeddings made by `trainer.em.prompts`: no tokenizer
and no embedding matrix is changed. Governed generation, with its checks and credentials, is `sdk.compose`; not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor

from trainer.backbone import Backbone, BackboneFamily, TextConditioning
from trainer.em.prompts import PromptCompiler, Slot, encode_prompts, parse_prompt

SAMPLE_STEPS = 30  # denoising steps
SAMPLE_GUIDANCE = 5.0  # classifier-free guidance scale
SAMPLE_BATCH = 4  # pictures a pipeline call


@torch.no_grad()
def sample_pictures(
    backbone: Backbone,
    prompts: Sequence[str],
    slots: Mapping[str, Slot],
    rows: Mapping[str, Tensor],
    *,
    seed: int,
    steps: int = SAMPLE_STEPS,
    guidance: float = SAMPLE_GUIDANCE,
) -> Tensor:
    """One picture for each of `prompts` ("a photo of {tenant/name} on a beach"), uint8 [B, 3, S, S].

    Picture i depends on `seed`, i and its prompt, not on what else is in the list.
    """
    compiler = PromptCompiler(backbone.towers)
    text = encode_prompts(backbone, [compiler.compile(parse_prompt(p, slots)) for p in prompts], rows)
    empty = encode_prompts(backbone, [compiler.compile(())], rows).select(torch.zeros(1, dtype=torch.long))
    shape = (backbone.unet.config.in_channels, backbone.latent_size, backbone.latent_size)
    noise = torch.stack(
        [torch.randn(shape, generator=torch.Generator().manual_seed(seed + i)) for i in range(len(prompts))]
    )
    pipeline = _pipeline(backbone)
    pictures = []
    for part in torch.arange(len(prompts)).split(SAMPLE_BATCH):
        output = pipeline(
            **_conditions(backbone, text.select(part.to(backbone.device)), empty),
            latents=noise[part].to(backbone.device, backbone.dtype),
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="np",
        )
        pictures.append(torch.from_numpy((output.images * 255).round().clip(0, 255).astype(np.uint8)))
    return torch.cat(pictures).permute(0, 3, 1, 2).contiguous()


def _conditions(backbone: Backbone, text: TextConditioning, empty: TextConditioning) -> dict[str, Tensor]:
    count = len(text.hidden)
    zero = 0.0 if backbone.zero_empty_prompt else 1.0
    conditions = {
        "prompt_embeds": text.hidden.to(backbone.dtype),
        "negative_prompt_embeds": (empty.hidden * zero).expand(count, -1, -1).to(backbone.dtype),
    }
    if text.pooled is not None and empty.pooled is not None:
        conditions["pooled_prompt_embeds"] = text.pooled.to(backbone.dtype)
        conditions["negative_pooled_prompt_embeds"] = (empty.pooled * zero).expand(count, -1).to(backbone.dtype)
    return conditions


def _pipeline(backbone: Backbone) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    parts = {
        "vae": backbone.vae,
        "unet": backbone.unet,
        "text_encoder": backbone.towers[0].encoder,
        "tokenizer": backbone.towers[0].tokenizer,
        "scheduler": DDIMScheduler.from_config(backbone.noise_scheduler.config),
    }
    if backbone.family is BackboneFamily.SDXL:
        parts |= {"text_encoder_2": backbone.towers[1].encoder, "tokenizer_2": backbone.towers[1].tokenizer}
        pipeline = StableDiffusionXLPipeline(**parts, add_watermarker=False)
    else:
        parts |= {"safety_checker": None, "feature_extractor": None}
        pipeline = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
