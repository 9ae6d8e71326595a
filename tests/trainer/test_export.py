"""trainer.export: embedding files by the rules of the programs that read them, and masks at the pictures' own size.

The rules of AUTOMATIC1111, ComfyUI and InvokeAI are stated here as they stand in those programs: which names a file
may hold, and which tensor is taken for which text encoder.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from tests.support.tiny_backbone import BEACH, FOX, make_backbone_dir, make_picture, make_training_set, tiny_backbone
from trainer.backbone import BackboneFamily
from trainer.data import ConceptSpec, TrainingSet
from trainer.em import EMConfig, EMState
from trainer.em.config import CRFConfig
from trainer.em.loop import first_state
from trainer.em.problem import prepare
from trainer.em.scene import layout_scene
from trainer.export import (
    EMBEDDING_FILE,
    concept_vectors,
    embedding_tensors,
    encode_safetensors,
    write_embeddings,
    write_masks,
)

VECTORS = 3
FOX_OF_THREE = ConceptSpec(name=FOX.name, kind=FOX.kind, class_word="fox", vectors=VECTORS)
TOKEN = "<demo-fox>"


def training_set() -> TrainingSet:
    return make_training_set((FOX_OF_THREE, BEACH))


def state_of(family: str, training: TrainingSet) -> EMState:
    problem = prepare(tiny_backbone(family), training, EMConfig(crf=CRFConfig(grid=16)))
    return first_state(problem, "test")


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, EMState]:
    """A family, the fox's file, and the state it was written from."""
    training, state = training_set(), state_of(request.param, training_set())
    written = write_embeddings(
        tmp_path_factory.mktemp("out"), tiny_backbone(request.param), layout_scene(training), state, {"fact": "told"}
    )
    return request.param, written[FOX.name], state


def as_automatic1111(tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """`string_to_param` first; `clip_g` and `clip_l` together are SDXL; else exactly one tensor under any name."""
    assert "string_to_param" not in tensors
    if {"clip_g", "clip_l"} <= set(tensors):
        return tensors["clip_l"], tensors["clip_g"]
    assert len(tensors) == 1, "embedding file has multiple terms in it"
    (only,) = tensors.values()
    return (only.unsqueeze(0) if only.ndim == 1 else only,)


def as_comfyui(tensors: Mapping[str, Tensor], widths: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Each text encoder looks for its own key, and else takes the first tensor; widths must be its own."""
    read = []
    for key, width in zip(("clip_l", "clip_g"), widths, strict=False):
        found = tensors.get(key, next(iter(tensors.values())))
        assert found.shape[-1] == width
        read.append(found)
    return tuple(read)


def as_invokeai(tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """No `string_to_param`, no `emb_params`; `clip_g` with `clip_l` for SDXL; else the first tensor."""
    assert not {"string_to_param", "emb_params"} & set(tensors)
    if "clip_g" in tensors and "clip_l" in tensors:
        return tensors["clip_l"], tensors["clip_g"]
    return (next(iter(tensors.values())),)


def as_invokeai_importer(tensors: Mapping[str, Tensor]) -> int:
    """The width by which its importer tells the base model: by three names, else the first side of the first tensor."""
    if "emb_params" in tensors:
        return tensors["emb_params"].shape[-1]
    return tensors["clip_g"].shape[-1] if "clip_g" in tensors else next(iter(tensors.values())).shape[0]


class TestReaders:
    @pytest.mark.parametrize("read", [as_automatic1111, as_invokeai], ids=lambda reader: reader.__name__)
    def test_reads_the_rows_that_were_learned(
        self, exported: tuple[str, Path, EMState], read: Callable[[Mapping[str, Tensor]], tuple[Tensor, ...]]
    ) -> None:
        _, path, state = exported
        vectors = concept_vectors(state, layout_scene(training_set()), FOX.name)
        found = read(load_file(path))
        assert len(found) == len(vectors)
        assert all(torch.equal(one, vectors[key]) for one, key in zip(found, ("clip_l", "clip_g"), strict=False))

    def test_comfyui_finds_each_encoders_width(self, exported: tuple[str, Path, EMState]) -> None:
        family, path, _ = exported
        widths = tuple(tower.width for tower in tiny_backbone(family).towers)
        assert all(len(each) == VECTORS for each in as_comfyui(load_file(path), widths))

    def test_invokeai_imports_it_under_the_name_that_the_guide_gives_it(
        self, exported: tuple[str, Path, EMState]
    ) -> None:
        family, path, _ = exported
        width, tensors = tiny_backbone(family).towers[-1].width, load_file(path)
        if family == "sd":
            assert as_invokeai_importer(tensors) == VECTORS  # for which it knows no base model
            (rows,) = tensors.values()
            tensors = {"emb_params": rows}
        assert as_invokeai_importer(tensors) == width

    def test_diffusers_binds_every_vector_under_the_placeholder_token(self, tmp_path: Path) -> None:
        training, state = training_set(), state_of("sd", training_set())
        written = write_embeddings(tmp_path / "out", tiny_backbone("sd"), layout_scene(training), state, {})
        pipeline = StableDiffusionPipeline.from_pretrained(make_backbone_dir(tmp_path / "base", "sd"))
        pipeline.load_textual_inversion(written[FOX.name])
        ids = pipeline.tokenizer.convert_tokens_to_ids([TOKEN, f"{TOKEN}_1", f"{TOKEN}_2"])
        rows = pipeline.text_encoder.get_input_embeddings().weight[torch.tensor(ids)].detach()
        assert torch.equal(rows, concept_vectors(state, layout_scene(training), FOX.name)["clip_l"])

    def test_diffusers_takes_each_tensor_of_sdxl_for_its_encoder(self, tmp_path: Path) -> None:
        training, state = training_set(), state_of("sdxl", training_set())
        written = write_embeddings(tmp_path / "out", tiny_backbone("sdxl"), layout_scene(training), state, {})
        pipeline = StableDiffusionXLPipeline.from_pretrained(make_backbone_dir(tmp_path / "base", "sdxl"))
        tensors = load_file(written[FOX.name])
        parts = {
            "clip_l": (pipeline.text_encoder, pipeline.tokenizer),
            "clip_g": (pipeline.text_encoder_2, pipeline.tokenizer_2),
        }
        for key, (encoder, tokenizer) in parts.items():
            pipeline.load_textual_inversion(tensors[key], token=TOKEN, text_encoder=encoder, tokenizer=tokenizer)
            row = encoder.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids(TOKEN)].detach()
            assert torch.equal(row, tensors[key][0])


class TestEmbeddingFile:
    def test_one_file_a_concept_with_facts_in_the_header(self, exported: tuple[str, Path, EMState]) -> None:
        family, path, _ = exported
        assert path.name == EMBEDDING_FILE
        assert path.parent.as_posix().endswith(FOX.name)
        with safe_open(path, framework="pt") as stored:
            assert sorted(stored.keys()) == (["clip_g", "clip_l"] if family == "sdxl" else [TOKEN])
            facts = stored.metadata()
        assert facts["imprimatur.placeholder_token"] == TOKEN
        assert facts["imprimatur.base_model"] == tiny_backbone(family).digest
        assert facts["fact"] == "told"

    def test_equal_contents_give_equal_bytes(self) -> None:
        one, two = torch.rand(2, 4), torch.rand(1, 4)
        first = encode_safetensors({"a": one, "b": two}, {"x": "1", "y": "2"})
        assert first == encode_safetensors({"b": two, "a": one}, {"y": "2", "x": "1"})

    def test_values_are_float32_whatever_was_learned(self) -> None:
        tensors = embedding_tensors(BackboneFamily.SD, TOKEN, {"clip_l": torch.rand(1, 4, dtype=torch.float64)})
        assert b'"F32"' in encode_safetensors(tensors, {})


class TestMasks:
    def test_a_mask_has_its_pictures_size_and_is_black_outside_the_crop(self, tmp_path: Path) -> None:
        wide = make_picture("wide", [FOX.name, BEACH.name], size=(96, 64), crop=(16, 0, 64))
        training = make_training_set((FOX_OF_THREE, BEACH), pictures=[wide])
        written = write_masks(tmp_path, layout_scene(training), state_of("sd", training))
        masks = {name: np.asarray(Image.open(paths["wide"])) for name, paths in written.items()}
        assert set(masks) == {FOX.name, BEACH.name}
        for mask in masks.values():
            assert mask.shape == (64, 96)
            assert not mask[:, :16].any()
            assert not mask[:, 80:].any()
        assert (masks[FOX.name].astype(int) + masks[BEACH.name] == 255)[:, 16:80].all()
