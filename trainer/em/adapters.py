"""Stage 2, off by default: low-rank adapters on the keys and values of cross-attention, after the tokens are learned.

Keys and values of cross-attention are what a network changes most to take in a concept (Custom Diffusion, Kumari et
al., arXiv 2212.04488); low rank keeps them small (Hu et al., arXiv 2106.09685). The objective is the M-step's, masks
and rows as the alternation left them. Adapters belong to a training, not to one of its concepts: they are written to a
file of their own, in the layout of diffusers' `load_lora_weights`, and no concept's embedding needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.em.batches import draw_batch
from trainer.em.e_step import harden
from trainer.em.latents import resize
from trainer.em.m_step import Ask, batch_losses
from trainer.em.problem import Problem
from trainer.em.state import EMState

PROJECTIONS = ("attn2.to_k", "attn2.to_v")


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """A change `up @ down` of a linear layer's weight: `down` [r, in], `up` [out, r]."""

    down: Tensor
    up: Tensor


def train_adapters(
    problem: Problem, state: EMState, on_step: Callable[[int, Tensor], None] = lambda step, loss: None
) -> dict[str, LowRank]:
    """Make `config.adapters.steps` updates of Adam; adapters by module name of the U-Net, float32 on its device.

    Equal states give equal bits on the same machine. The network is as before when this returns.
    """
    config = problem.config.adapters
    generator = torch.Generator().manual_seed(problem.config.seed)
    adapters = first_adapters(problem.backbone.unet, PROJECTIONS, config.rank, generator)
    masks = resize(harden(state.posterior.to(problem.backbone.device)), problem.observed.latent_size)
    rows = {key: row.to(problem.backbone.device) for key, row in state.rows.items()}
    factors = trained_factors(adapters)
    optimizer = torch.optim.Adam(factors, lr=config.learning_rate)
    with adapted(problem.backbone.unet, adapters):
        for step in range(config.steps):
            loss = concept_loss(problem, rows, masks, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(factors, problem.config.m_step.gradient_clip)
            optimizer.step()
            on_step(step + 1, loss.detach())
    return {name: LowRank(down=a.down.detach(), up=a.up.detach()) for name, a in adapters.items()}


def first_adapters(
    unet: nn.Module, endings: tuple[str, ...], rank: int, generator: torch.Generator
) -> dict[str, LowRank]:
    """Adapters that change nothing yet, of linear layers whose name ends so: `up` is zero, `down` normal / rank."""
    adapters = {}
    for name, module in unet.named_modules():
        if name.endswith(endings) and isinstance(module, nn.Linear):
            down = torch.randn(rank, module.in_features, generator=generator) / rank
            up = torch.zeros(module.out_features, rank)
            device = module.weight.device
            adapters[name] = LowRank(down=down.to(device), up=up.to(device))
    return adapters


def trained_factors(adapters: Mapping[str, LowRank]) -> list[Tensor]:
    """Both factors of every adapter, as an optimiser's parameters."""
    return [factor.requires_grad_() for adapter in adapters.values() for factor in (adapter.down, adapter.up)]


def concept_loss(
    problem: Problem, rows: Mapping[str, Tensor], cell_masks: Tensor, generator: torch.Generator
) -> Tensor:
    """The M-step's objective on one random batch under `cell_masks` [N, K, h, w], for whatever part is trained."""
    (loss,) = batch_losses((Ask(problem=problem, batch=draw_batch(problem, cell_masks, generator), rows=rows),))
    return loss


@contextmanager
def adapted(unet: nn.Module, adapters: Mapping[str, LowRank]) -> Iterator[None]:
    """While open, each named linear layer of `unet` adds its adapter's answer; its own weight is not touched."""
    handles = [unet.get_submodule(name).register_forward_hook(_adding(each)) for name, each in adapters.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _adding(adapter: LowRank) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        change = functional.linear(functional.linear(inputs[0].float(), adapter.down), adapter.up)
        return output + change.to(output.dtype)

    return hook


def adapter_tensors(adapters: Mapping[str, LowRank]) -> dict[str, Tensor]:
    """Tensors by the names that `load_lora_weights` reads; with no alpha stated the scale is 1."""
    tensors = {}
    for name, adapter in adapters.items():
        tensors[f"unet.{name}.lora_A.weight"] = adapter.down
        tensors[f"unet.{name}.lora_B.weight"] = adapter.up
    return tensors
