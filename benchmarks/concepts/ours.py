"""The EM optimiser, and the same without each of its parts.

What has a setting is switched off by it; what has none is replaced here for the time of one training, terms of the
objective by what Break-A-Scene does in their place. Nothing in `trainer` knows of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.concepts.learned import Learned, Rows, adapter_changes
from benchmarks.concepts.scenes import NOBODY, BenchScene
from benchmarks.concepts.task import Method, Outcome, Stage, Task
from trainer.em import batches, e_step, m_step
from trainer.em.adapters import train_adapters
from trainer.em.config import EMConfig, parse_config
from trainer.em.latents import resize
from trainer.em.loop import fit
from trainer.em.problem import prepare
from trainer.em.scene import Scene, layout_scene
from trainer.em.state import EMState

QUICK = {"max_rounds": 2, "e_step": {"timesteps": 2}, "crf": {"grid": 16}, "m_step": {"steps": 2, "batch_size": 2}}
_DEFAULT = EMConfig()
_ALL_STEPS = _DEFAULT.max_rounds * _DEFAULT.m_step.steps
FIRST_MASKS_ONLY = {"max_rounds": 1, "e_step": {"soft_rounds": 0}, "m_step": {"steps": _ALL_STEPS}}
NO_CRF = {"crf": {"iterations": 0}}
WITH_ADAPTERS = {"adapters": {"steps": 120}}
NO_VOTES = {"appearance": {"weight": 0.0}}
NO_WORDS = {"e_step": {"word_weight": 0.0}}
NO_COPIES = {"m_step": {"rearranged": 0}}
WHOLE_PICTURES = {"m_step": {"windows": ((1.0, 1.0),)}}
NO_PROPAGATION = {"e_step": {"propagation_power": 0}}


def em(
    changes: Mapping[str, Any] | None = None,
    *,
    patched: Callable[[], AbstractContextManager[object]] = nullcontext,
    first_masks: bool = False,
    followed: bool = False,
) -> Method:
    """The optimiser with `changes` to its settings, trained while `patched` is open.

    With `first_masks` the masks it is judged by are those it began with; `followed`, it tells of every round.
    """

    def learn(task: Task) -> Outcome:
        config = em_config(changes or {}, quick=task.quick, seed=task.seed)
        training = task.scene.training_set()
        layout = layout_scene(training)
        stages: list[Stage] = []
        started = time.monotonic()

        def on_round(state: EMState) -> None:
            learned = Learned(tokens=tokens_of(layout, state))
            stages.append(Stage(seconds=time.monotonic() - started, learned=learned))

        with patched():
            state = fit(task.backbone, training, config, on_round=on_round)
        fitted = time.monotonic() - started
        adapters = train_adapters(prepare(task.backbone, training, config), state) if config.adapters.steps else {}
        e_seconds = sum(record.seconds_e_step for record in state.records)
        return Outcome(
            learned=Learned(tokens=tokens_of(layout, state), changes=adapter_changes(adapters)),
            stages=tuple(stages) if followed else (),
            steps=state.step,
            step_seconds=sum(record.seconds_m_step for record in state.records),
            masks=winners(task.scene, layout, state.history[0 if first_masks else -1]),
            notes={"rounds": float(state.round), "e_step_share": e_seconds / fitted},
        )

    return learn


def tokens_of(layout: Scene, state: EMState) -> dict[str, Rows]:
    """What a state of the optimiser learned so far, by concept."""
    return {
        spec.name: {key: rows[list(layout.slots[spec.name].rows)] for key, rows in state.rows.items()}
        for spec in layout.concepts
    }


def em_config(changes: Mapping[str, Any], *, quick: bool, seed: int = 0) -> EMConfig:
    """The default settings with `changes`; a quick run has fewer of everything."""
    merged: dict[str, Any] = {
        group: dict(value) if isinstance(value, dict) else value for group, value in changes.items()
    }
    for group, value in QUICK.items() if quick else ():
        merged[group] = {**merged.get(group, {}), **value} if isinstance(value, dict) else value
    return parse_config({"seed": seed, **merged})


def winners(scene: BenchScene, layout: Scene, history: Tensor) -> Tensor:
    """Winning labels [N, G, G] as positions in the scene's concepts, uint8 [N, S, S]."""
    names = [spec.name for spec in scene.concepts]
    position = torch.tensor([names.index(label) if label in names else NOBODY for label in layout.labels] + [NOBODY])
    label = history.long().cpu().clamp(max=len(layout.labels))  # the last stands for a cell that no label won
    one_hot = torch.nn.functional.one_hot(label, len(position)).permute(0, 3, 1, 2).float()
    return position[resize(one_hot, scene.resolution).argmax(dim=1)].to(torch.uint8)


@contextmanager
def coarse_propagation() -> Iterator[None]:
    """Maps carried along self-attention that is no finer than they are, too."""
    with mock.patch.object(e_step, "carrying_layers", lambda layers, _config: layers.own):
        yield


@contextmanager
def mse_attention_loss() -> Iterator[None]:
    """Each token's map pulled towards its mask by itself, as in Break-A-Scene, equation 3."""
    with mock.patch.object(m_step, "attention_loss", squared_attention_loss):
        yield


def squared_attention_loss(attended: Tensor, masks: Tensor, shown: Tensor) -> Tensor:
    """Mean squared difference of maps [B, K, H, W], scaled to a peak of 1, and masks, over the labels `shown` [B, K]."""
    peak = attended.amax(dim=(2, 3), keepdim=True).clamp_min(1e-8)
    error = (attended / peak - masks).square().mean(dim=(2, 3))
    return (error * shown).sum() / shown.sum().clamp_min(1)


@contextmanager
def no_area_normalisation() -> Iterator[None]:
    """Every cell of a mask weighs the same, whatever the mask's area."""
    with mock.patch.object(batches, "area_normalised_weights", plain_weights):
        yield


def plain_weights(masks: Tensor, shares: Tensor) -> Tensor:
    """Cell weights [B, H, W]: the shares [B, K] of what covers the cell, evenly, summing to 1 over a sample."""
    weights = (masks * shares[:, :, None, None]).sum(dim=1)
    return weights / weights.sum(dim=(1, 2), keepdim=True).clamp_min(1e-8)


def given_masks(scene: BenchScene) -> Tensor:
    """The exact masks in the form that methods draw theirs."""
    return scene.owner.clone()


def found_masks(task: Task) -> Tensor:
    """The masks that our optimiser finds for the task's scene."""
    masks = em()(task).masks
    assert masks is not None
    return masks
