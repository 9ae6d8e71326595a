"""`python -m benchmarks.throughput`: the M-step and the E-step on networks of Stable Diffusion's exact shapes.

Seconds alone say little about code, so each is divided by the arithmetic floor: the multiply-adds that the U-Net cannot
do without, at the speed that a plain matrix product reaches on the same device, at the same precision, in the same run.
The floor of an update is the U-Net's forward pass and its backward pass to the text, over the window that an update
sees; of an E-step, a full forward pass for each noised latent (it ends early, so it may take less). Losses, optimiser,
text encoder and CRF are in the seconds.
The M-step is also held against the plain Textual Inversion loop, as the concepts benchmark has it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.concepts.baselines import textual_inversion
from benchmarks.concepts.scenes import BenchScene
from benchmarks.concepts.task import PriorPictures, Settings, Task
from benchmarks.networks import SHAPES, TEXT_LENGTH, Shape, build_unet, random_backbone
from sdk.spec.manifest import ConceptKind
from trainer.backbone import Backbone, BackboneFamily
from trainer.data import ConceptSpec, Picture, TrainingSet
from trainer.em.config import EMConfig, EStepConfig, MStepConfig
from trainer.em.m_step import Answer, Ask, Learned, answered, m_step
from trainer.em.problem import Problem, estimate_masks, first_rows, prepare
from trainer.em.together import answered_together
from trainer.em.windows import window_shape

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
PICTURES = 4


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One network at one size. Ratios are measured seconds over the floor's; 1 is as fast as the device multiplies."""

    network: str
    side: int  # pixels
    device: str
    precision: str
    batch: int
    matmul_tflops: float  # of the device, measured
    window: tuple[int, int]  # that an update sees, pixels
    forward_gmac: float  # one whole latent through the U-Net
    update_tflop: float  # one window, forward and backward to the text
    m_step_seconds: float  # one update
    m_step_ratio: float
    trainings: int
    together_seconds: float  # one update of each of `trainings`, in one pass
    together_ratio: float
    plain_seconds: float  # one update of plain Textual Inversion at the same batch
    against_plain: float  # that over `m_step_seconds`: how many times the updates a second
    e_step_seconds: float  # all pictures at all noise levels, with the CRF
    e_step_ratio: float


def measure(
    name: str, side: int, device: torch.device, precision: str, *, batch: int, steps: int, trainings: int
) -> Speed:
    """Time both steps of one network at `side` pixels."""
    shape, dtype = SHAPES[name], PRECISIONS[precision]
    peak = matmul_speed(device, dtype, size=256 if name == "tiny" else 4096)
    backbone = random_backbone(shape, device=device, dtype=dtype)
    problem = make_problem(backbone, side, batch=batch, steps=steps)
    window = window_shape(problem.observed.latent_size, backbone.latent_multiple, problem.config.m_step.windows[0])
    (forward, _), (_, update) = (count_flops(shape, cells) for cells in ((side // backbone.cell,) * 2, window))
    rows = {key: value.to(device) for key, value in first_rows(backbone, problem.scene).items()}
    m_seconds = seconds_of(lambda: run_m_step(problem, rows), device) / steps
    all_seconds = seconds_of(lambda: run_together(problem, rows, trainings), device) / steps
    plain_seconds = seconds_of(lambda: run_plain(backbone, side, batch=batch, steps=steps), device) / steps
    e_seconds = seconds_of(lambda: estimate_masks(problem, rows), device)
    passes = PICTURES * problem.config.e_step.timesteps
    return Speed(
        network=name,
        side=side,
        device=torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu, {torch.get_num_threads()} threads",
        precision=precision,
        batch=batch,
        matmul_tflops=peak / 1e12,
        window=(window[0] * backbone.cell, window[1] * backbone.cell),
        forward_gmac=forward / 2e9,
        update_tflop=update / 1e12,
        m_step_seconds=m_seconds,
        m_step_ratio=m_seconds * peak / (update * batch),
        trainings=trainings,
        together_seconds=all_seconds,
        together_ratio=all_seconds * peak / (update * batch * trainings),
        plain_seconds=plain_seconds,
        against_plain=plain_seconds / m_seconds,
        e_step_seconds=e_seconds,
        e_step_ratio=e_seconds * peak / (forward * passes),
    )


def count_flops(shape: Shape, cells: tuple[int, int]) -> tuple[float, float]:
    """Floating-point operations of one latent of this height and width: forward, and forward with the backward pass to the text.

    Counted on the meta device: nothing is computed and no memory is taken.
    """
    with torch.device("meta"):
        unet = build_unet(shape).requires_grad_(False)
        noisy = torch.zeros(1, 4, *cells)
        text = torch.zeros(1, TEXT_LENGTH, unet.config.cross_attention_dim, requires_grad=True)
        added = None
        if shape.family is BackboneFamily.SDXL:
            added = {"text_embeds": torch.zeros(1, 1280), "time_ids": torch.zeros(1, 6)}
        timestep = torch.zeros(1, dtype=torch.long)
    with FlopCounterMode(display=False) as forward:
        result = unet(noisy, timestep, text, added_cond_kwargs=added, return_dict=False)[0]
    with FlopCounterMode(display=False) as backward:
        torch.autograd.grad(result.sum(), text)
    once = float(forward.get_total_flops())
    return once, once + float(backward.get_total_flops())


def matmul_speed(device: torch.device, dtype: torch.dtype, *, size: int) -> float:
    """Operations a second of a square matrix product, the best of five."""
    one, two = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(seconds_of(lambda: one @ two, device) for _ in range(5))


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds of the second of two runs."""
    elapsed = 0.0
    for _ in range(2):
        _wait(device)
        started = time.perf_counter()
        work()
        _wait(device)
        elapsed = time.perf_counter() - started
    return elapsed


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def random_pictures(side: int) -> TrainingSet:
    """Random pictures of one subject."""
    generator = torch.Generator().manual_seed(0)
    concept = ConceptSpec(name="bench/thing", kind=ConceptKind.SUBJECT, class_word="animal")
    pictures = tuple(
        Picture(
            name=f"{number}",
            concepts=(concept.name,),
            caption=None,
            pixels=torch.randint(0, 256, (3, side, side), generator=generator, dtype=torch.uint8),
            masks={},
            size=(side, side),
            crop=(0, 0, side),
        )
        for number in range(PICTURES)
    )
    return TrainingSet(pictures=pictures, concepts=(concept,), resolution=side, warnings=())


def make_problem(backbone: Backbone, side: int, *, batch: int, steps: int) -> Problem:
    """Random pictures, with the settings' defaults but for `batch` and `steps`."""
    config = EMConfig(m_step=MStepConfig(steps=steps, batch_size=batch), e_step=EStepConfig(batch_size=batch))
    return prepare(backbone, random_pictures(side), config)


def run_plain(backbone: Backbone, side: int, *, batch: int, steps: int) -> None:
    """As many updates of plain Textual Inversion: whole pictures through the VAE, the whole embedding matrix in AdamW.

    Laying the matrix out is in the seconds, once for all `steps`: ask for many of them on a fast device.
    """
    training = random_pictures(side)
    owner = torch.zeros(PICTURES, side, side, dtype=torch.uint8)
    scene = BenchScene(name="random", concepts=training.concepts, pictures=training.pictures, owner=owner)
    task = Task(backbone=backbone, scene=scene, seed=0, prior=PriorPictures(folder=Path("unused")))
    textual_inversion.learn(task, Settings(steps=steps, learning_rate=2e-3, batch_size=batch))


def run_m_step(problem: Problem, rows: dict[str, torch.Tensor]) -> None:
    """The updates of one round, from `rows`, under even masks."""
    answered(updates(problem, rows, seed=0))


def run_together(problem: Problem, rows: dict[str, torch.Tensor], trainings: int) -> None:
    """The updates of one round of several trainings, which happen to have the same pictures."""
    for outcome in answered_together([updates(problem, rows, seed=seed) for seed in range(trainings)]):
        if isinstance(outcome, Exception):
            raise outcome


def updates(
    problem: Problem, rows: dict[str, torch.Tensor], *, seed: int
) -> Generator[Ask, Answer, tuple[Learned, torch.Tensor]]:
    """An M-step that has yet to be answered."""
    count, labels = problem.scene.presence.shape
    grid = problem.config.crf.grid
    zeros = {key: torch.zeros_like(value) for key, value in rows.items()}
    masks = torch.full((count, labels, grid, grid), 1 / labels, device=problem.backbone.device)
    learned = Learned(rows=rows, first=zeros, second=zeros)
    generator = torch.Generator().manual_seed(seed)
    return m_step(problem, masks, learned, generator, first_step=0, on_step=lambda _step, _loss: None)


def main(words: Sequence[str] | None = None) -> None:
    """Print one line of JSON for each network and size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=sorted(set(SHAPES) - {"tiny"}), default=["sd15", "sdxl"])
    parser.add_argument("--sides", nargs="+", type=int, choices=(512, 768, 1024), help="pixels; each network's own")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=sorted(PRECISIONS), default="fp32")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3, help="updates that are timed")
    parser.add_argument("--trainings", type=int, default=4, help="that share a pass")
    parser.add_argument("--tiny", action="store_true", help="a very small network instead: does it run?")
    arguments = parser.parse_args(words)
    for name in ["tiny"] if arguments.tiny else arguments.networks:
        for side in [64] if arguments.tiny else arguments.sides or [SHAPES[name].side]:
            speed = measure(
                name,
                side,
                torch.device(arguments.device),
                arguments.precision,
                batch=arguments.batch,
                steps=arguments.steps,
                trainings=arguments.trainings,
            )
            print(json.dumps(asdict(speed)))


if __name__ == "__main__":
    main()
