"""Image encoders from local folders: real small networks of each kind, and the one that ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, Dinov2Config, Dinov2Model

from sdk.errors import BackboneError
from trainer.encoders import SmallImageText, load_encoder, save_small
from trainer.settings import SHIPPED_BASE_MODEL, SHIPPED_IMAGE_ENCODER

SIDE = 32
TEXTS = ("a cat in the snow", "a dog on the beach")


def pictures(*colours: tuple[int, int, int], height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    return torch.tensor(colours, dtype=torch.uint8)[:, :, None, None].expand(-1, -1, height, width)


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(SHIPPED_BASE_MODEL / "tokenizer", local_files_only=True)


@pytest.fixture
def clip_folder(tmp_path: Path, tokenizer: CLIPTokenizer) -> Path:
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**shape, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 16},
        vision_config={**shape, "image_size": 16, "patch_size": 8},
        projection_dim=12,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(tmp_path / "clip")
    tokenizer.save_pretrained(tmp_path / "clip")
    return with_preprocessor(tmp_path / "clip")


@pytest.fixture
def dino_folder(tmp_path: Path) -> Path:
    config = Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14)
    torch.manual_seed(0)
    Dinov2Model(config).save_pretrained(tmp_path / "dino")
    return with_preprocessor(tmp_path / "dino")


def with_preprocessor(folder: Path) -> Path:
    numbers = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (folder / "preprocessor_config.json").write_text(json.dumps(numbers))
    return folder


def test_a_clip_folder_gives_unit_vectors_of_one_space(clip_folder: Path) -> None:
    encoder = load_encoder(clip_folder)
    seen, said = encoder.encode_images(pictures((255, 0, 0), (0, 0, 255))), encoder.encode_texts(TEXTS)
    assert said is not None
    assert seen.shape == said.shape == (2, 12)
    assert torch.allclose(torch.cat([seen, said]).norm(dim=1), torch.ones(4), atol=1e-5)
    assert not torch.allclose(said[0], said[1])


def test_clip_sees_what_transformers_sees(clip_folder: Path) -> None:
    colour = pictures((255, 0, 64))
    levels = (colour[..., :16, :16].float() / 255 - 0.5) / 0.5
    expected = CLIPModel.from_pretrained(clip_folder).get_image_features(pixel_values=levels).pooler_output
    seen = load_encoder(clip_folder).encode_images(colour)
    assert torch.allclose(seen, torch.nn.functional.normalize(expected, dim=-1), atol=1e-4)


def test_dino_reads_no_text(dino_folder: Path) -> None:
    encoder = load_encoder(dino_folder)
    assert encoder.encode_images(pictures((255, 0, 0), height=40, width=60)).shape == (1, 16)
    assert encoder.encode_texts(TEXTS) is None


def test_the_small_kind_comes_back_as_it_was_saved(tmp_path: Path, tokenizer: CLIPTokenizer) -> None:
    network = SmallImageText(len(tokenizer), 32, width=16).half().float().eval()
    save_small(network, tokenizer, tmp_path / "small")
    seen = load_encoder(tmp_path / "small").encode_images(pictures((255, 128, 0)))
    assert torch.allclose(seen, network.encode_pictures(pictures((255, 128, 0)).float() / 127.5 - 1), atol=1e-5)


def test_the_one_that_ships_knows_a_colour_by_its_name() -> None:
    encoder = load_encoder(SHIPPED_IMAGE_ENCODER)
    names = ("red", "green", "blue", "yellow")
    said = encoder.encode_texts([f"a photo of a {name} background" for name in names])
    assert said is not None
    seen = encoder.encode_images(pictures((219, 51, 51), (77, 173, 84), (64, 115, 224), (247, 217, 77)))
    assert (seen @ said.T).argmax(dim=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        (None, "config.json cannot be read"),
        ("{", "is not JSON"),
        ("[]", "should hold a JSON object"),
        ('{"model_type": "bert"}', "holds a 'bert'"),
        ('{"model_type": "clip"}', "cannot be loaded as an image encoder"),
        ('{"model_type": "imprimatur-image-text"}', "cannot be loaded as an image encoder"),
    ],
)
def test_a_folder_that_is_none_is_named(tmp_path: Path, config: str | None, fault: str) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(BackboneError, match=fault) as caught:
        load_encoder(tmp_path)
    assert str(tmp_path) in caught.value.message
