"""TrainingCheckpoint files: everything a training run needs to go on, in one safetensors file, replaced atomically.

Batches are drawn from generators seeded by (seed, step), so a run that resumes at step n sees the same data, in the
same order, as one that was never stopped.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, safe_open, save_file
from torch import nn


def save_checkpoint(path: Path, *, step: int, networks: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Write weights, averages and optimiser moments after `step` steps."""
    tensors = {
        f"{name}/{key}": value.detach().clone()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": value.detach().clone() for key, value in moments.items()}
    partial = path.with_suffix(".partial")
    save_file({key: value.contiguous() for key, value in tensors.items()}, partial, {"step": str(step)})
    partial.replace(path)


def load_checkpoint(path: Path, *, networks: dict[str, nn.Module], optimizer: torch.optim.Optimizer) -> int:
    """Restore what `save_checkpoint` wrote, in place; returns the number of steps done (0 when there is no file)."""
    if not path.exists():
        return 0
    with safe_open(path, "pt") as opened:
        step = int(opened.metadata()["step"])
    tensors = load_file(path)
    for name, network in networks.items():
        own = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        network.load_state_dict(own)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, field = key.split("/")
            moments.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return step


@torch.no_grad()
def average(ema: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """One step of the exponential moving average, with a warm-up so that early weights are forgotten."""
    rate = min(decay, (step + 1) / (step + 10))
    mine, theirs = list(ema.parameters()), [value.detach() for value in network.parameters()]
    torch._foreach_lerp_(mine, theirs, 1 - rate)
