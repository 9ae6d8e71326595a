"""All rows of the table by name: our optimiser whole and in parts, and its peers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from benchmarks.concepts import ours
from benchmarks.concepts.baselines import break_a_scene, custom_diffusion, dreambooth_lora, textual_inversion
from benchmarks.concepts.task import Outcome, Settings, Task

QUICK_STEPS, QUICK_PRIOR = 2, 2


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method, what the table calls it, and, for a peer, its published settings and the grid of the sweep.

    Our own rows take their numbers from `EMConfig` with `changes` and are given None. A row with `tuned_as` goes by the
    sweep of that row: the same method on other masks.
    """

    title: str
    learn: Callable[[Task, Settings | None], Outcome]
    published: Settings | None = None
    sweep: tuple[Settings, ...] = ()
    tuned_as: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, tuned: Settings | None, *, quick: bool) -> Settings | None:
        """The numbers to run with: the `tuned` ones or else the published; a quick run has a few steps."""
        chosen = tuned or self.published
        if chosen is None or not quick:
            return chosen
        prior = min(chosen.prior_pictures, QUICK_PRIOR)
        return dataclasses.replace(chosen, steps=QUICK_STEPS, prior_pictures=prior)

    def encode_settings(self, settings: Settings | None, *, quick: bool) -> dict[str, Any]:
        """What results of the row say they were made with, whatever their seed."""
        if settings is not None:
            return dataclasses.asdict(settings)
        config = ours.em_config(self.changes, quick=quick).encode()
        return {name: value for name, value in config.items() if name != "seed"}


def own(title: str, changes: Mapping[str, Any] | None = None, **options: Any) -> Row:
    """A row of our optimiser, with `changes` to its settings; `options` are those of `ours.em`."""
    method = ours.em(changes, **options)
    return Row(title=title, learn=lambda task, _settings: method(task), changes=changes or {})


def peer(
    title: str, learn: Callable[[Task, Settings], Outcome], published: Settings, sweep: tuple[Settings, ...]
) -> Row:
    """A row of another method."""
    return Row(
        title=title, learn=lambda task, settings: learn(task, settings or published), published=published, sweep=sweep
    )


def _with_exact_masks(task: Task, settings: Settings) -> Outcome:
    return break_a_scene.learn(task, settings, ours.given_masks(task.scene))


def _with_our_masks(task: Task, settings: Settings) -> Outcome:
    masks = ours.found_masks(task)
    return dataclasses.replace(break_a_scene.learn(task, settings, masks), masks=masks, given_masks=False)


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "ours": own("ours", followed=True),
        "adapters": own("ours with stage 2 (low-rank keys and values)", ours.WITH_ADAPTERS),
        "first-masks": own("ours, first masks only", ours.FIRST_MASKS_ONLY, first_masks=True),
        "no-crf": own("ours without the CRF", ours.NO_CRF),
        "no-votes": own("ours without the votes of other pictures", ours.NO_VOTES),
        "no-words": own("ours, class words forgotten after the first masks", ours.NO_WORDS),
        "no-copies": own("ours without rearranged copies", ours.NO_COPIES),
        "no-propagation": own("ours without self-attention propagation", ours.NO_PROPAGATION),
        "coarse-propagation": own("ours, propagated along coarse self-attention too", patched=ours.coarse_propagation),
        "whole-pictures": own("ours, every update on whole pictures", ours.WHOLE_PICTURES),
        "mse-attention": own("ours with squared attention loss", patched=ours.mse_attention_loss),
        "no-area": own("ours without area normalisation", patched=ours.no_area_normalisation),
        "textual-inversion": peer(
            "Textual Inversion", textual_inversion.learn, textual_inversion.PUBLISHED, textual_inversion.SWEEP
        ),
        "break-a-scene-exact": peer(
            "Break-A-Scene, exact masks given", _with_exact_masks, break_a_scene.PUBLISHED, break_a_scene.SWEEP
        ),
        "break-a-scene-ours": dataclasses.replace(
            peer("Break-A-Scene, our masks", _with_our_masks, break_a_scene.PUBLISHED, ()),
            tuned_as="break-a-scene-exact",
        ),
        "dreambooth-lora": peer(
            "DreamBooth with LoRA", dreambooth_lora.learn, dreambooth_lora.PUBLISHED, dreambooth_lora.SWEEP
        ),
        "custom-diffusion": peer(
            "Custom Diffusion", custom_diffusion.learn, custom_diffusion.PUBLISHED, custom_diffusion.SWEEP
        ),
    }
)
