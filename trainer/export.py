"""What was learned, as files that others read: embeddings and adapters as safetensors, masks as PNG.

Stable Diffusion 1.x/2.x: one file a concept with exactly one tensor [k, d] float32 under the placeholder token, the
one layout that diffusers `load_textual_inversion`, AUTOMATIC1111, ComfyUI and InvokeAI all load (InvokeAI's importer
asks for the name `emb_params` first, docs/training.md). SDXL: `clip_l` and `clip_g` in one file, as the latter three
read it (for diffusers pass each tensor with `token=` and its encoder).
Facts about the training are strings in the header, never extra tensors. Equal contents give equal bytes.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional

from trainer.backbone import Backbone, BackboneFamily
from trainer.data import Picture, is_spatial, placeholder_tokens
from trainer.em.adapters import LowRank, adapter_tensors
from trainer.em.e_step import winners
from trainer.em.scene import Scene, class_word
from trainer.em.state import EMState

EMBEDDING_FILE = "learned_embeds.safetensors"
ADAPTERS_FILE = "pytorch_lora_weights.safetensors"  # the name that diffusers looks for in a folder
_TRAINING = "imprimatur.training"
MASK_SIDE = 1024  # pixels; finest side at which a mask's edge is computed, before it is scaled to its picture


def encode_safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The safetensors bytes of float32 `tensors`; names and metadata sorted, so equal contents give equal bytes."""
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    body = b""
    for name, tensor in sorted(tensors.items()):
        data = tensor.detach().cpu().float().contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    encoded += b" " * (-len(encoded) % 8)
    return struct.pack("<Q", len(encoded)) + encoded + body


def embedding_tensors(family: BackboneFamily, token: str, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one embedding file, from tower key to [k, d]."""
    if family is BackboneFamily.SDXL:
        return {key: vectors[key] for key in ("clip_l", "clip_g")}
    return {token: vectors["clip_l"]}


def concept_vectors(state: EMState, scene: Scene, concept: str) -> dict[str, Tensor]:
    """The rows [k, d] that were learned for `concept`, by tower key."""
    index = list(scene.slots[concept].rows)
    return {key: rows[index].detach().cpu().float() for key, rows in state.rows.items()}


def write_embeddings(
    out_dir: Path, backbone: Backbone, scene: Scene, state: EMState, facts: Mapping[str, str]
) -> dict[str, Path]:
    """Write `out_dir/<concept>/learned_embeds.safetensors` for every concept; `facts` go into each header."""
    tokens = placeholder_tokens(concept.name for concept in scene.concepts)
    written = {}
    for concept in scene.concepts:
        vectors = concept_vectors(state, scene, concept.name)
        metadata = {
            "format": "pt",
            "imprimatur.concept": concept.name,
            "imprimatur.placeholder_token": tokens[concept.name],
            "imprimatur.kind": concept.kind.value,
            "imprimatur.class_word": class_word(concept),
            "imprimatur.vectors": str(concept.vectors),
            "imprimatur.base_model": backbone.digest,
            **facts,
        }
        tensors = embedding_tensors(backbone.family, tokens[concept.name], vectors)
        path = Path(out_dir) / concept.name / EMBEDDING_FILE
        _write(path, encode_safetensors(tensors, metadata))
        written[concept.name] = path
    return written


def write_adapters(folder: Path, adapters: Mapping[str, LowRank], backbone: Backbone, fingerprint: str) -> Path:
    """Write stage 2's adapters of the training `fingerprint` under `folder`, as `load_lora_weights` reads them."""
    metadata = {"format": "pt", _TRAINING: fingerprint, "imprimatur.base_model": backbone.digest}
    path = folder / ADAPTERS_FILE
    _write(path, encode_safetensors(adapter_tensors(adapters), metadata))
    return path


def is_adapters_of(folder: Path, fingerprint: str) -> bool:
    """Whether `folder` holds whole adapters of the training `fingerprint`."""
    path = folder / ADAPTERS_FILE
    if not path.exists():
        return False
    with safe_open(path, framework="pt") as stored:
        return (stored.metadata() or {}).get(_TRAINING) == fingerprint


def write_masks(out_dir: Path, scene: Scene, state: EMState) -> dict[str, dict[str, Path]]:
    """Write `out_dir/masks/<concept>/<picture>.png` at each picture's own size, white where the concept is.

    What lies outside the square that was trained on is black. Concept name to picture name to path.
    """
    written: dict[str, dict[str, Path]] = {c.name: {} for c in scene.concepts if is_spatial(c.kind)}
    for index, picture in enumerate(scene.pictures):
        masks = picture_masks(state.posterior[index], picture)
        for label in scene.present(index):
            name = scene.labels[label]
            if name in written:
                path = Path(out_dir) / "masks" / name / f"{picture.name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(masks[label]).save(path, format="PNG", optimize=True)
                written[name][picture.name] = path
    return written


def picture_masks(posterior: Tensor, picture: Picture) -> list[np.ndarray]:
    """Masks uint8 [H, W] (0 or 255) of every label, at the size of the upright original, from `posterior` [K, G, G]."""
    left, top, side = picture.crop
    fine = min(side, MASK_SIDE)
    grown = functional.interpolate(posterior[None].cpu(), size=(fine, fine), mode="bilinear", align_corners=False)[0]
    winner = winners(grown[None])[0].numpy()
    if fine != side:
        winner = np.asarray(Image.fromarray(winner).resize((side, side), Image.Resampling.NEAREST))
    masks = []
    for label in range(len(posterior)):
        canvas = np.zeros((picture.size[1], picture.size[0]), np.uint8)
        canvas[top : top + side, left : left + side] = np.where(winner == label, 255, 0)
        masks.append(canvas)
    return masks


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
