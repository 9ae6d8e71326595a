"""The evaluators: small convolutional namers, stored as safetensors.

All read 64-pixel pictures. `colour` names by the picture as it is, `shape` by gray values whose contrast is inverted
at random, so that colour cannot pass for shape; `scene` names the place. Training is in `fit.py`; the image-text
encoder that is trained with them lives in `trainer.encoders`, since it measures real trainings too.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.encoders import PictureTower, shrink

_NAMERS = ("colour", "shape", "scene")


@dataclass(frozen=True, kw_only=True)
class Evaluators:
    """The trained networks, and the names that their outputs stand for."""

    namers: dict[str, PictureTower]
    labels: dict[str, tuple[str, ...]]

    @torch.no_grad()
    def scores(self, namer: str, pictures: Tensor) -> Tensor:
        """Logits (n, labels) of one namer for pictures (n, 3, s, s) in [-1, 1]."""
        small = shrink(pictures)
        return self.namers[namer](small.mean(1, keepdim=True).expand_as(small) if namer == "shape" else small)


def build_evaluators(labels: dict[str, tuple[str, ...]]) -> Evaluators:
    """Untrained networks."""
    return Evaluators(namers={name: PictureTower(len(labels[name])) for name in _NAMERS}, labels=labels)


def save_evaluators(evaluators: Evaluators, folder: Path) -> None:
    """Write `config.json` and one fp16 safetensors file a network."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"labels": evaluators.labels}, indent=1) + "\n")
    for name, network in evaluators.namers.items():
        halves = {key: value.half().contiguous() for key, value in network.state_dict().items()}
        save_file(halves, folder / f"{name}.safetensors")


def load_evaluators(folder: Path) -> Evaluators:
    """Read what `save_evaluators` wrote, in fp32, ready to judge."""
    config = json.loads((folder / "config.json").read_text())
    evaluators = build_evaluators({name: tuple(names) for name, names in config["labels"].items()})
    for name, network in evaluators.namers.items():
        network.load_state_dict(
            {key: value.float() for key, value in load_file(folder / f"{name}.safetensors").items()}
        )
        network.eval()
    return evaluators
