"""Every number of the optimiser, named, with its unit and its default. No behaviour but validation.

The paper (Rahman et al., arXiv 2402.11487) publishes no hyper-parameters. These defaults are our own: swept on the
small base model in `trainer/mini`; for a Stable Diffusion class base see the notes at each group.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from sdk.errors import TrainingInputError


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise TrainingInputError(f"training configuration: {what}")


@dataclass(frozen=True, kw_only=True)
class EStepConfig:
    """How masks are read from the network."""

    timesteps: int = 6  # noise levels a picture, stratified
    timestep_low: int = 100  # of the scheduler's `num_train_timesteps`, inclusive
    timestep_high: int = 700  # inclusive
    map_size: int = 16  # side of the cross-attention maps wanted; the nearest the network has is read
    self_map_size: int = 32  # side of the self-attention wanted for propagation; never extends the forward pass
    propagation_power: int = 2  # how often self-attention finer than the maps is applied to them; 0 turns it off
    sharpness: float = 6.0  # inverse temperature of the softmax over labels, on maps scaled to [0, 1]
    word_weight: float = 1.0  # exponent of what the class words said, beside what learned tokens say; 0 forgets it
    batch_size: int = 16  # noised latents a forward pass
    soft_rounds: int = 1  # rounds whose masks stay posteriors; hard masks afterwards

    def __post_init__(self) -> None:
        _require(self.timesteps >= 1 and self.batch_size >= 1, "e_step.timesteps and batch_size must be at least 1")
        _require(0 <= self.timestep_low <= self.timestep_high, "e_step.timestep_low must not exceed timestep_high")
        _require(self.map_size >= 1 and self.self_map_size >= 1, "e_step.map_size and self_map_size must be at least 1")
        _require(self.word_weight >= 0, "e_step.word_weight must not be negative")
        _require(self.sharpness > 0, "e_step.sharpness must be positive")
        _require(self.propagation_power >= 0, "e_step.propagation_power must not be negative")


@dataclass(frozen=True, kw_only=True)
class AppearanceConfig:
    """How pictures vote on one another's labels. Swept on scenes that no benchmark uses."""

    weight: float = 2.0  # exponent of the likelihood against attention's posterior; 0 turns the votes off
    absence: float = 10.0  # how much the look of pictures that do not list a label counts against it; 0 forgets them
    sharpness: float = 10.0  # of the kernel exp(sharpness * (cosine - 1))
    iterations: int = 8  # votes an E-step
    timestep: int = 30  # noise under which features are read, of the scheduler's `num_train_timesteps`
    grid: int = 16  # largest side of the cells that are compared

    def __post_init__(self) -> None:
        _require(min(self.weight, self.absence) >= 0, "appearance.weight and absence must not be negative")
        _require(self.sharpness > 0, "appearance.sharpness must be positive")
        _require(self.iterations >= 1 and self.timestep >= 0, "appearance.iterations must be at least 1, timestep 0")
        _require(2 <= self.grid <= 64, "appearance.grid must be between 2 and 64 cells")


@dataclass(frozen=True, kw_only=True)
class CRFConfig:
    """The dense CRF. Distances are fractions of the picture's side, so that the grid may change."""

    grid: int = 64  # side of the grid that masks live on, cells; the exact kernel takes grid^4 * 4 bytes a picture
    iterations: int = 8  # mean-field updates
    appearance_weight: float = 12.0  # log-odds a unanimous, alike-looking neighbourhood gives; 0 turns the term off
    appearance_distance: float = 0.20  # standard deviation in space, fraction of the side
    appearance_colour: float = 20.0  # standard deviation in colour, levels of 0..255
    smoothness_weight: float = 1.0  # log-odds a unanimous neighbourhood gives; 0 turns the term off
    smoothness_distance: float = 0.03  # standard deviation in space, fraction of the side

    def __post_init__(self) -> None:
        _require(4 <= self.grid <= 128, "crf.grid must be between 4 and 128 cells")
        _require(self.iterations >= 0, "crf.iterations must not be negative")
        deviations = (self.appearance_distance, self.appearance_colour, self.smoothness_distance)
        _require(min(deviations) > 0, "crf standard deviations must be positive")
        _require(min(self.appearance_weight, self.smoothness_weight) >= 0, "crf weights must not be negative")


@dataclass(frozen=True, kw_only=True)
class MStepConfig:
    """How embeddings are learned under the masks. A Stable Diffusion class base wants `learning_rate` near 5e-4."""

    steps: int = 100  # updates a round
    batch_size: int = 4  # noised latents an update
    learning_rate: float = 2e-3  # Adam
    final_rate: float = 0.3  # fraction of `learning_rate` reached in the last round, linearly
    betas: tuple[float, float] = (0.9, 0.99)
    averaged: int = 50  # last updates of a round whose mean is what the round learned; 1: the last one alone
    timestep_low: float = 0.0  # fraction of `num_train_timesteps`
    timestep_high: float = 1.0  # fraction of `num_train_timesteps`
    attention_weight: float = 0.01  # cross-entropy over tokens; 0 turns the term off
    background_weight: float = 0.1  # share of a background that the user did not name, against 1 for a concept
    anchor_weight: float = 0.0  # pull of a token towards its class word, relative to its squared length
    subset_chance: float = 0.5  # chance that a sample shows a random subset of the picture's concepts (union sampling)
    flip_chance: float = 0.5  # chance of a mirrored sample
    windows: tuple[tuple[float, float], ...] = ((0.625, 0.75), (0.5, 0.875))
    """Sides of what an update may see of a picture, as shares of its own, lying or standing; ((1, 1),): all of it."""
    rearranged: int = 1  # cut-and-paste copies of each picture an M-step has beside it, once masks are hard; 0: none
    gradient_clip: float = 1.0  # largest norm of the gradient
    templates: tuple[str, ...] = ("a photo of {}", "a picture of {}", "{}")  # captions around the concepts

    def __post_init__(self) -> None:
        _require(self.steps >= 1 and self.batch_size >= 1, "m_step.steps and batch_size must be at least 1")
        _require(self.averaged >= 1, "m_step.averaged must be at least 1")
        _require(
            self.learning_rate > 0 and self.final_rate >= 0, "m_step.learning_rate must be positive, final_rate >= 0"
        )
        _require(self.gradient_clip > 0, "m_step.gradient_clip must be positive")
        weights = (self.attention_weight, self.background_weight, self.anchor_weight)
        _require(min(weights) >= 0 and self.rearranged >= 0, "m_step weights and rearranged must not be negative")
        chances = (self.subset_chance, self.flip_chance)
        _require(min(chances) >= 0 and max(chances) <= 1, "m_step.subset_chance and flip_chance must be in [0, 1]")
        _require(0 <= self.timestep_low < self.timestep_high <= 1, "m_step timesteps must be fractions, low < high")
        _require(bool(self.templates), "m_step.templates must hold at least one caption")
        _require(all(t.count("{}") == 1 for t in self.templates), "each m_step template holds one {}")
        _require(len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "m_step.betas are two numbers in [0, 1)")
        shares = [share for window in self.windows for share in window]
        _require(bool(shares) and len(shares) == 2 * len(self.windows), "each of m_step.windows is two shares")
        _require(all(0 < share <= 1 for share in shares), "m_step.windows are shares in (0, 1]")
        object.__setattr__(self, "betas", tuple(self.betas))
        object.__setattr__(self, "windows", tuple(tuple(window) for window in self.windows))
        object.__setattr__(self, "templates", tuple(self.templates))


@dataclass(frozen=True, kw_only=True)
class GuardConfig:
    """When a new mask is refused and the old one kept."""

    warm_up: int = 2  # rounds in which masks may still jump, and labels change places
    jump_iou: float = 0.8  # a new mask must overlap the old one this much after the warm-up
    min_area: float = 0.01  # smallest share of a picture; below it the mask has collapsed
    max_area: float = 0.90  # largest share of a picture for anything but a background

    def __post_init__(self) -> None:
        _require(0 <= self.min_area < self.max_area <= 1, "guards.min_area must be below max_area, both in [0, 1]")
        _require(0 <= self.jump_iou <= 1, "guards.jump_iou must be in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class StopConfig:
    """When the alternation has converged."""

    min_rounds: int = 3
    mask_iou: float = 0.97  # masks count as still when their mean overlap with the last round's reaches this
    loss_gain: float = 0.01  # fraction by which a round must better the evaluation loss to count as progress
    patience: int = 1  # rounds without progress, masks still, before stopping
    evaluation_timesteps: int = 4  # noise levels a picture in the fixed evaluation batch

    def __post_init__(self) -> None:
        _require(self.min_rounds >= 1 and self.patience >= 1, "stop.min_rounds and patience must be at least 1")
        _require(self.evaluation_timesteps >= 1, "stop.evaluation_timesteps must be at least 1")


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Stage 2. A Stable Diffusion class base wants `learning_rate` near 1e-4."""

    steps: int = 0  # updates after the alternation; 0 leaves stage 2 out
    rank: int = 4
    learning_rate: float = 1e-3  # Adam

    def __post_init__(self) -> None:
        _require(self.steps >= 0, "adapters.steps must not be negative")
        _require(1 <= self.rank <= 128, "adapters.rank must be between 1 and 128")
        _require(self.learning_rate > 0, "adapters.learning_rate must be positive")


@dataclass(frozen=True, kw_only=True)
class EMConfig:
    """All settings of one training. Two runs with equal settings, pictures, base and machine give equal bits."""

    seed: int = 0
    max_rounds: int = 6
    e_step: EStepConfig = field(default_factory=EStepConfig)
    appearance: AppearanceConfig = field(default_factory=AppearanceConfig)
    crf: CRFConfig = field(default_factory=CRFConfig)
    m_step: MStepConfig = field(default_factory=MStepConfig)
    guards: GuardConfig = field(default_factory=GuardConfig)
    stop: StopConfig = field(default_factory=StopConfig)
    adapters: AdapterConfig = field(default_factory=AdapterConfig)

    def __post_init__(self) -> None:
        _require(self.max_rounds >= 1, "max_rounds must be at least 1")
        _require(0 <= self.seed < 2**53, "seed must be between 0 and 2^53 - 1, which JSON carries exactly")

    def encode(self) -> dict[str, Any]:
        """Return plain JSON values; `parse_config` reads them back."""
        return dataclasses.asdict(self)


_GROUPS = {
    "e_step": EStepConfig,
    "appearance": AppearanceConfig,
    "crf": CRFConfig,
    "m_step": MStepConfig,
    "guards": GuardConfig,
    "stop": StopConfig,
    "adapters": AdapterConfig,
}


def parse_config(values: dict[str, Any]) -> EMConfig:
    """Read settings from plain values; what is left out keeps its default.

    Raises:
        TrainingInputError: a name is unknown or a value is out of range.
    """
    chosen: dict[str, Any] = dict(values)
    try:
        for name, value in values.items():
            group = _GROUPS.get(name)
            _require(isinstance(value, dict) == (group is not None), f"{name} is {'a group' if group else 'no group'}")
            chosen[name] = group(**value) if group else value
        config = EMConfig(**chosen)
    except (TypeError, AttributeError, OverflowError) as exc:
        raise TrainingInputError(f"training configuration: {exc}; see trainer/em/config.py for the names") from exc
    _check_numbers(config, "")
    return config


def _check_numbers(group: Any, prefix: str) -> None:
    """Counts are whole and every number is finite: a step of 2.5 or nan would be found out in the middle of a training."""
    for each in dataclasses.fields(group):
        name, value = prefix + each.name, getattr(group, each.name)
        if dataclasses.is_dataclass(value):
            _check_numbers(value, f"{name}.")
        elif each.type == "int":
            _require(type(value) is int, f"{name} must be a whole number, found {value!r}")
        elif each.type == "float":
            _require(type(value) in (int, float) and math.isfinite(value), f"{name} must be a number, found {value!r}")
