"""Export: the trained parts as fp16 safetensors in the diffusers pipeline layout, replaced as a whole, with digests."""

import hashlib
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel

from trainer.mini.train.denoiser import BaseModel


def export_base(model: BaseModel, target: Path) -> None:
    """Write the pipeline to `target` (a folder, replaced) and `digests.json` beside it; the model stays in fp32."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _pipeline(model, torch.float16).save_pretrained(partial, safe_serialization=True)
    _name_loading_type(partial / "text_encoder" / "config.json")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    write_digests(target.parent)


def _name_loading_type(config: Path) -> None:
    """Have transformers load the fp16 file as fp32 unless told otherwise, as diffusers does with the other parts."""
    fields = json.loads(config.read_text())
    config.write_text(json.dumps(fields | {"dtype": "float32"}, indent=2) + "\n")


def write_digests(weights_dir: Path) -> None:
    """`digests.json`: SHA-256 of every file below the folder, by relative path."""
    (weights_dir / "digests.json").write_text(json.dumps(digests(weights_dir), indent=1, sort_keys=True) + "\n")


def digests(weights_dir: Path) -> dict[str, str]:
    """SHA-256 of every file below the folder but the list itself."""
    files = (path for path in sorted(weights_dir.rglob("*")) if path.is_file() and path.name != "digests.json")
    return {path.relative_to(weights_dir).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@torch.no_grad()
def sample_sheet(
    model: BaseModel, prompts: tuple[str, ...], *, seed: int, columns: int = 8, steps: int = 20
) -> Image.Image:
    """One picture a prompt, in a grid, from the unrounded weights."""
    pipeline = _pipeline(model, torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    pictures = []
    for at in range(0, len(prompts), columns):
        pictures += pipeline(
            list(prompts[at : at + columns]), num_inference_steps=steps, guidance_scale=4.0, generator=generator
        ).images
    side = pictures[0].width
    sheet = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * side, index // columns * side))
    return sheet


def _pipeline(model: BaseModel, dtype: torch.dtype) -> StableDiffusionPipeline:
    """The parts as an ordinary pipeline; networks are copied, never converted in place."""
    networks = {"vae": model.vae, "unet": model.denoiser.unet, "text_encoder": model.denoiser.text_encoder}
    copies = {name: _copy(network, dtype) for name, network in networks.items()}
    return StableDiffusionPipeline(
        **copies,
        tokenizer=model.tokenizer,
        scheduler=model.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _copy(
    network: AutoencoderKL | UNet2DConditionModel | CLIPTextModel, dtype: torch.dtype
) -> AutoencoderKL | UNet2DConditionModel | CLIPTextModel:
    config = network.config
    fresh = type(network)(config) if isinstance(network, CLIPTextModel) else type(network).from_config(config)
    fresh.load_state_dict(network.state_dict())
    return fresh.to(dtype=dtype).eval()
