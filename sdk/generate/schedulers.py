"""The schedulers of diffusers by their names in `sdk.spec.sampling`. Needs the extra `imprimatur[generate]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from sdk.spec.sampling import Scheduler

_CLASSES: Final[Mapping[Scheduler, tuple[str, Mapping[str, Any]]]] = {
    Scheduler.DDIM: ("DDIMScheduler", {}),
    Scheduler.EULER: ("EulerDiscreteScheduler", {}),
    Scheduler.EULER_ANCESTRAL: ("EulerAncestralDiscreteScheduler", {}),
    Scheduler.DPM: ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    Scheduler.UNIPC: ("UniPCMultistepScheduler", {}),
}


def make_scheduler(name: Scheduler, config: Mapping[str, Any]) -> Any:
    """The diffusers scheduler `name` for a base model, whose own scheduler has this `config`."""
    import diffusers

    cls, options = _CLASSES[name]
    return getattr(diffusers, cls).from_config(config, **options)


@contextmanager
def scheduled(pipeline: Any, name: Scheduler) -> Iterator[None]:
    """While open, `pipeline` denoises by a fresh scheduler `name`. Its own is back on leaving, always."""
    own = pipeline.scheduler
    pipeline.scheduler = make_scheduler(name, own.config)
    try:
        yield
    finally:
        pipeline.scheduler = own
