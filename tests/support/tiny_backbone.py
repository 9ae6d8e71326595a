"""Real tiny networks of each supported class, seeded, in the diffusers layout. For tests only; they know nothing.

`make_backbone_dir(path, "sd")` writes a Stable Diffusion 1.x class pipeline that predicts noise, "sd-v" one that
predicts velocity, "sdxl" one with two text encoders. Each takes well under a second and about a megabyte.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone
from trainer.data import ConceptSpec, Picture, TrainingSet
from trainer.loading import load_backbone

WORDS = [
    "a",
    "an",
    "the",
    "photo",
    "picture",
    "image",
    "of",
    "and",
    "in",
    "style",
    "background",
    "object",
    "person",
    "logo",
    "fox",
    "bird",
    "cat",
    "dog",
    "house",
    "beach",
    "forest",
    "red",
    "green",
    "blue",
    "white",
    "black",
    "teddy",
    "bear",
    "at",
    "with",
    "on",
]
LATENT_SIZE = 8  # cells
CELL = 4  # pixels
RESOLUTION = LATENT_SIZE * CELL


def make_backbone_dir(directory: Path, family: str, *, seed: int = 0) -> Path:
    """Write a tiny pipeline folder of `family` ("sd", "sd-v" or "sdxl") and return its path."""
    torch.manual_seed(seed)
    directory.mkdir(parents=True, exist_ok=True)
    xl = family == "sdxl"
    make_tokenizer(directory / "tokenizer")
    _text_encoder(CLIPTextModel, width=16).save_pretrained(directory / "text_encoder")
    if xl:
        make_tokenizer(directory / "tokenizer_2")
        _text_encoder(CLIPTextModelWithProjection, width=24).save_pretrained(directory / "text_encoder_2")
    _unet(xl).save_pretrained(directory / "unet")
    _vae().save_pretrained(directory / "vae")
    prediction = "v_prediction" if family == "sd-v" else "epsilon"
    DDPMScheduler(
        num_train_timesteps=100,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        clip_sample=False,
        steps_offset=1,
    ).save_pretrained(directory / "scheduler")
    (directory / "model_index.json").write_text(json.dumps(_index(xl)), "utf-8")
    return directory


def make_tokenizer(directory: Path) -> None:
    """A CLIP tokenizer that knows letters and `WORDS`."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,-!")
    tokens = ["!"] + [t for t in letters if t != "!"] + [f"{t}</w>" for t in letters]
    merges: list[str] = []
    for word in WORDS:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            pair, pieces = pieces[:2], [pieces[0] + pieces[1], *pieces[2:]]
            if " ".join(pair) not in merges:
                merges.append(" ".join(pair))
                tokens.append(pieces[0])
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    vocabulary |= {"<|startoftext|>": len(vocabulary), "<|endoftext|>": len(vocabulary) + 1}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    (directory / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    CLIPTokenizer.from_pretrained(directory, model_max_length=24, local_files_only=True).save_pretrained(directory)


def _text_encoder(kind: type, *, width: int) -> torch.nn.Module:
    config = CLIPTextConfig(
        vocab_size=400,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=24,
        projection_dim=width,
        bos_token_id=0,
        eos_token_id=2,  # as Stable Diffusion's configs have it: transformers then pools at the largest id
        pad_token_id=1,
    )
    return kind(config)


def _unet(xl: bool) -> UNet2DConditionModel:
    extra = (
        {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 6 * 8 + 24,
        }
        if xl
        else {}
    )
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=40 if xl else 16,
        attention_head_dim=4,
        norm_num_groups=4,
        **extra,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=RESOLUTION,
    )


def _index(xl: bool) -> dict[str, object]:
    suffixes = ("", "_2") if xl else ("",)
    towers: dict[str, object] = {}
    for suffix in suffixes:
        towers[f"tokenizer{suffix}"] = ["transformers", "CLIPTokenizer"]
        towers[f"text_encoder{suffix}"] = ["transformers", "CLIPTextModelWithProjection" if suffix else "CLIPTextModel"]
    return {
        "_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        **towers,
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", "DDPMScheduler"],
        **({} if xl else {"safety_checker": [None, None], "feature_extractor": [None, None]}),
    }


@cache
def tiny_backbone(family: str = "sd") -> Backbone:
    """The loaded network of `family`; one for all tests, which must leave it as they found it."""
    with TemporaryDirectory() as directory:
        return load_backbone(make_backbone_dir(Path(directory) / family, family))


FOX = ConceptSpec(name="demo/fox", kind=ConceptKind.SUBJECT, class_word="fox")
BIRD = ConceptSpec(name="demo/bird", kind=ConceptKind.SUBJECT, class_word="bird")
BEACH = ConceptSpec(name="demo/beach", kind=ConceptKind.BACKGROUND, class_word="beach")


def make_picture(name: str, concepts: Sequence[str], *, shift: int = 0, **changes: object) -> Picture:
    """An orange square on blue, `shift` pixels to the right."""
    pixels = torch.tensor([40, 80, 160], dtype=torch.uint8)[:, None, None].repeat(1, RESOLUTION, RESOLUTION)
    pixels[:, 8:20, 6 + shift : 18 + shift] = torch.tensor([220, 90, 30], dtype=torch.uint8)[:, None, None]
    plain: dict[str, object] = {
        "name": name,
        "concepts": tuple(concepts),
        "caption": None,
        "pixels": pixels,
        "masks": {},
        "size": (RESOLUTION, RESOLUTION),
        "crop": (0, 0, RESOLUTION),
    }
    return Picture(**{**plain, **changes})  # type: ignore[arg-type]


def make_training_set(
    concepts: Sequence[ConceptSpec] = (FOX, BEACH), *, pictures: Sequence[Picture] | None = None
) -> TrainingSet:
    """Three pictures that show all of `concepts`, or the `pictures` given."""
    names = [concept.name for concept in concepts]
    shown = pictures or [make_picture(f"p{i}", names, shift=4 * i) for i in range(3)]
    return TrainingSet(pictures=tuple(shown), concepts=tuple(concepts), resolution=RESOLUTION, warnings=())
