"""What a method learned, in one form for all: rows that stand for a concept in prompts, and changes of weights.

A method that trains the network gives its changes as differences, dense or low-rank, so that two concepts learned
apart can be composed by adding both. One safetensors file holds it all; its size is the artefact's size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.backbone import Backbone
from trainer.em.adapters import LowRank
from trainer.em.prompts import Slot

Rows = Mapping[str, Tensor]  # tower key to [k, d]


@dataclass(frozen=True, kw_only=True)
class Change:
    """The difference of one parameter: `left` itself, or `left @ right` when it is of low rank."""

    left: Tensor
    right: Tensor | None = None

    def dense(self) -> Tensor:
        return self.left if self.right is None else self.left @ self.right


@dataclass(frozen=True, kw_only=True)
class Learned:
    """`tokens` by concept name; `changes` by parameter, lists because two concepts may change the same one."""

    tokens: Mapping[str, Rows]
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)

    def with_other(self, other: Learned) -> Learned:
        """Both, for a prompt that names concepts of both."""
        names = {*self.changes, *other.changes}
        changes = {name: self.changes.get(name, ()) + other.changes.get(name, ()) for name in sorted(names)}
        return Learned(tokens={**self.tokens, **other.tokens}, changes=changes)

    def table(self) -> tuple[dict[str, Slot], dict[str, Tensor]]:
        """Slots by concept name, and the rows that they point into, tower key to [R, d]."""
        slots: dict[str, Slot] = {}
        parts: dict[str, list[Tensor]] = {}
        total = 0
        for name, rows in self.tokens.items():
            count = len(next(iter(rows.values())))
            slots[name] = Slot(rows=tuple(range(total, total + count)))
            total += count
            for key, value in rows.items():
                parts.setdefault(key, []).append(value.detach().float().cpu())
        return slots, {key: torch.cat(values) for key, values in parts.items()}


def save_learned(learned: Learned, path: Path) -> int:
    """Write it and return the file's size in bytes."""
    tensors = {f"token|{name}|{key}": rows for name, by_key in learned.tokens.items() for key, rows in by_key.items()}
    for name, changes in learned.changes.items():
        for number, change in enumerate(changes):
            tensors[f"left|{name}|{number}"] = change.left
            if change.right is not None:
                tensors[f"right|{name}|{number}"] = change.right
    save_file({key: value.detach().float().cpu().contiguous() for key, value in tensors.items()}, path)
    return path.stat().st_size


def load_learned(path: Path) -> Learned:
    """Read what `save_learned` wrote."""
    tokens: dict[str, dict[str, Tensor]] = {}
    changes: dict[str, list[Change]] = {}
    tensors = load_file(path)
    for key, value in sorted(tensors.items()):
        what, name, last = key.split("|")
        if what == "token":
            tokens.setdefault(name, {})[last] = value
        elif what == "left":
            changes.setdefault(name, []).append(Change(left=value, right=tensors.get(f"right|{name}|{last}")))
    return Learned(tokens=tokens, changes={name: tuple(listed) for name, listed in changes.items()})


def adapter_changes(adapters: Mapping[str, LowRank]) -> dict[str, tuple[Change, ...]]:
    """Low-rank adapters of the U-Net as changes."""
    return {
        f"unet.{name}.weight": (Change(left=each.up.detach().cpu(), right=each.down.detach().cpu()),)
        for name, each in adapters.items()
    }


def trainable(backbone: Backbone) -> dict[str, nn.Parameter]:
    """Every parameter of the U-Net and the text encoders by a name that is the same in every process."""
    modules = {"unet": backbone.unet} | {tower.key: tower.encoder for tower in backbone.towers}
    return {f"{part}.{name}": value for part, module in modules.items() for name, value in module.named_parameters()}


@contextmanager
def applied(backbone: Backbone, learned: Learned) -> Iterator[None]:
    """While open, the network has the learned changes; its own bits are back afterwards."""
    parameters = trainable(backbone)
    kept = {name: parameters[name].detach().clone() for name in learned.changes}
    try:
        with torch.no_grad():
            for name, changes in learned.changes.items():
                for change in changes:
                    parameters[name].add_(change.dense().to(parameters[name]))
        yield
    finally:
        with torch.no_grad():
            for name, value in kept.items():
                parameters[name].copy_(value)
