"""The measurements. Each governed call is timed beside a bare diffusers call of the same settings, one after the other,
so that whatever else the machine does weighs on both."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

import torch

import sdk
from benchmarks.compose.workspace import CONCEPT
from sdk.client import Client
from sdk.generate import drawing, pipeline
from sdk.policy.cedar import CedarEngine
from sdk.profile import Profile
from sdk.spec.policy import ConceptFacts, PolicyContext, PolicyDomain, PolicyPrincipal, Role, Use
from trainer.settings import SHIPPED_BASE_MODEL

SCENE: Final = f"a photo of {{{CONCEPT}}}"
PLAIN: Final = "a photo of a fox"
USE: Final = {"purpose": "advertising", "territory": "JP", "channel": "web"}
GUIDANCE: Final = 5.0

FIRST_CALL: Final = """
import sys, time
began = time.perf_counter()
import sdk
from pathlib import Path
from sdk.generate.pipeline import load_pipeline
profile = sdk.load_profile(Path(sys.argv[1]))
at = time.perf_counter()
load_pipeline(profile.base_model)
loading = time.perf_counter() - at
sdk.compose([sys.argv[2]], sys.argv[3], purpose="advertising", territory="JP", channel="web", steps=1, profile=profile)
print(loading, time.perf_counter() - began - loading)
"""


@dataclass(frozen=True, kw_only=True)
class Warm:
    """Calls of one kind, medians over the run."""

    calls: int
    images: int
    steps: int
    bare_seconds: float
    compose_seconds: float
    governance_ms: float  # of a call: everything but the pipeline's own time
    governance_cpu_ms: float  # this process's share of it
    governance_share: float  # of the bare call's time
    governance_cpu_share: float  # of the bare call's processor time
    ratio: float  # compose over bare, pair by pair
    cpu_ratio: float  # the same of processor time, which others on the machine hardly change


@dataclass(frozen=True, kw_only=True)
class First:
    """The first call of a fresh process."""

    loading_seconds: float  # torch, diffusers and the base model
    rest_seconds: float  # everything else, one denoising step included


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """One decision, medians."""

    rules: int
    median_ms: float  # on a question about one concept, whatever number of grants the registry holds
    with_10_000_grants_ms: float  # on a concept that itself is granted to 10,000 applications
    digest_of_10_000_ms: float  # of that: the digest of the question


def measure_warm(profile: Profile, client: Client, *, calls: int, images: int, steps: int) -> Warm:
    """Time pairs of a bare call and a compose call; the first pair is not counted."""
    loaded = pipeline.load_pipeline(SHIPPED_BASE_MODEL)
    bare, whole, governance, cpu, bare_cpu, ratios = [], [], [], [], [], []
    for call in range(calls + 1):
        began_cpu = time.process_time()
        bare_seconds = _seconds(lambda seed=call: draw_bare(loaded.pipeline, images, steps, seed))  # type: ignore[misc]
        bare_cpu_seconds = time.process_time() - began_cpu
        with _drawing() as drawing:
            began, began_cpu = time.perf_counter(), time.process_time()
            sdk.compose(
                [str(CONCEPT)],
                SCENE,
                purpose="advertising",
                territory="JP",
                channel="web",
                count=images,
                seed=call,
                steps=steps,
                guidance=GUIDANCE,
                profile=profile,
                client=client,
            )
            seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
        if call:
            bare.append(bare_seconds)
            whole.append(seconds)
            governance.append(seconds - drawing["wall"])
            cpu.append(cpu_seconds - drawing["cpu"])
            bare_cpu.append(bare_cpu_seconds)
            ratios.append(cpu_seconds / bare_cpu_seconds)
    return Warm(
        calls=calls,
        images=images,
        steps=steps,
        bare_seconds=statistics.median(bare),
        compose_seconds=statistics.median(whole),
        governance_ms=statistics.median(governance) * 1000,
        governance_cpu_ms=statistics.median(cpu) * 1000,
        governance_share=statistics.median(governance) / statistics.median(bare),
        governance_cpu_share=statistics.median(cpu) / statistics.median(bare_cpu),
        cpu_ratio=statistics.median(ratios),
        ratio=statistics.median(one / other for one, other in zip(whole, bare, strict=True)),
    )


def measure_first(profile: Profile) -> First:
    """Time a fresh process."""
    command = [sys.executable, "-W", "ignore", "-c", FIRST_CALL, str(profile.path), str(CONCEPT), SCENE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loading, rest = (float(seconds) for seconds in done.stdout.split())
    return First(loading_seconds=loading, rest_seconds=rest)


def measure_decisions(engine: CedarEngine, *, decisions: int) -> Decisions:
    """Time the engine alone."""
    large = _question(10_000)
    return Decisions(
        rules=len(engine.rules(PolicyDomain.COMPOSITION)),
        median_ms=_decision_ms(engine, _question(0), decisions),
        with_10_000_grants_ms=_decision_ms(engine, large, decisions),
        digest_of_10_000_ms=statistics.median(_seconds(lambda: large.digest) for _ in range(decisions)) * 1000,
    )


def draw_bare(bare: Any, images: int, steps: int, seed: int) -> None:
    """What an application without governance would write: one batch."""
    generators = [torch.Generator("cpu").manual_seed(seed + image) for image in range(images)]
    with torch.no_grad():
        bare(
            PLAIN,
            num_images_per_prompt=images,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            generator=generators,
        )


@contextmanager
def _drawing() -> Iterator[dict[str, float]]:
    """While open, the seconds that compose calls spend in the pipeline are counted."""
    spent = {"wall": 0.0, "cpu": 0.0}
    original = drawing.generate_images

    def timed(*args: Any, **options: Any) -> Iterator[Any]:
        began, began_cpu = time.perf_counter(), time.process_time()
        pictures = list(original(*args, **options))
        spent["wall"] += time.perf_counter() - began
        spent["cpu"] += time.process_time() - began_cpu
        return iter(pictures)

    with patch("sdk.compose.drawing.generate_images", timed):
        yield spent


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _decision_ms(engine: CedarEngine, context: PolicyContext, decisions: int) -> float:
    engine.evaluate(context)
    return statistics.median(_seconds(lambda: _decide(engine, context)) for _ in range(decisions)) * 1000


def _decide(engine: CedarEngine, context: PolicyContext) -> None:
    if not engine.evaluate(context).permitted:
        raise AssertionError("the benchmark's question is permitted")


def _question(grants: int) -> PolicyContext:
    applications = tuple(f"demo/app-{number}" for number in range(grants - 1))
    facts = ConceptFacts.model_validate(
        {
            "concept": str(CONCEPT),
            "number": 1,
            "kind": "subject",
            "status": "approved",
            "owner": "demo/owner",
            "trainer_of_record": "demo/trainer",
            "consent_live": True,
            "licence_live": True,
            "covers_concept": True,
            "purposes": ("advertising",),
            "territories": ("JP",),
            "channels": ("web",),
            "approvals": 1,
            "applications": (*applications, "demo/app") if grants else None,
        }
    )
    return PolicyContext(
        domain=PolicyDomain.COMPOSITION,
        action="compose",
        principal=PolicyPrincipal.model_validate({"id": "demo/app", "roles": (Role.APP,)}),
        concepts=(facts,),
        use=Use.model_validate(USE),
        count=1,
        at=datetime.now(UTC),
    )
