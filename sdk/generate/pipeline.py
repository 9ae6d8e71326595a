"""A base model loaded once. Needs the extra `imprimatur[generate]`; drawing with it is `sdk.generate.drawing`.

Stable Diffusion 1.x/2.x and SDXL folders in the diffusers layout, safetensors only, never a model hub.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sdk.errors import BackboneError, ConfigurationError
from sdk.generate.base_model import PIPELINE_INDEX, base_model_digest, base_model_stamps
from sdk.generate.schedulers import make_scheduler
from sdk.spec.digest import Digest
from sdk.spec.sampling import Scheduler

_FAMILIES: Final = frozenset({"StableDiffusionPipeline", "StableDiffusionXLPipeline"})

_loaded: dict[tuple[Digest, str], LoadedPipeline] = {}
_loading = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class LoadedPipeline:
    """A pipeline and the lock that one generation holds at a time."""

    pipeline: Any
    digest: Digest
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def towers(self) -> tuple[tuple[Any, Any], ...]:
        """Tokenizer and text encoder, once or twice."""
        first = (self.pipeline.tokenizer, self.pipeline.text_encoder)
        second = getattr(self.pipeline, "text_encoder_2", None)
        return (first,) if second is None else (first, (self.pipeline.tokenizer_2, second))


def load_pipeline(directory: Path, *, device: str | None = None) -> LoadedPipeline:
    """Load the base model in `directory`, or return it from memory while its files are unchanged.

    `device` is torch's name of one; left out, it is a GPU where there is one.

    Raises:
        BackboneError: it cannot be used, or changed while it was read; the message says which part.
        ConfigurationError: the extra `generate` is not installed.
    """
    digest = base_model_digest(directory)
    with _loading:
        device = device or _device()
        if (digest, device) not in _loaded:
            _loaded[digest, device] = LoadedPipeline(pipeline=_load_as(digest, directory, device), digest=digest)
        return _loaded[digest, device]


def _device() -> str:
    try:
        import torch
    except ImportError as exc:
        raise ConfigurationError("generating needs torch and diffusers: pip install 'imprimatur[generate]'") from exc
    return "cuda" if torch.cuda.is_available() else "cpu"


def _load_as(digest: Digest, directory: Path, device: str) -> Any:
    """Load, and refuse what may be another model than the one with `digest`: what was read is not what was digested."""
    before = base_model_stamps(directory)
    pipeline = _load(directory, device)
    if base_model_stamps(directory) != before or base_model_digest(directory) != digest:
        raise BackboneError(
            f"the base model in {directory} changed while it was loaded; it is used once its files stay as they are: "
            "let whoever writes them finish, and call again"
        )
    return pipeline


def _load(directory: Path, device: str) -> Any:
    try:
        import diffusers
        import torch
    except ImportError as exc:
        raise ConfigurationError("generating needs torch and diffusers: pip install 'imprimatur[generate]'") from exc
    family = _family(directory)
    try:
        with _quiet():
            pipeline = getattr(diffusers, family).from_pretrained(
                directory,
                local_files_only=True,
                use_safetensors=True,
                low_cpu_mem_usage=False,
                dtype=torch.float16 if device.startswith("cuda") else torch.float32,
            )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError) as exc:
        raise BackboneError(f"{directory} cannot be loaded as {family}: {str(exc).strip().splitlines()[0]}") from exc
    pipeline.scheduler = make_scheduler(Scheduler.DDIM, pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading prints bars of its own; ours are the caller's."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    shown = [each for each in (diffusers_logging, transformers_logging) if each.is_progress_bar_enabled()]
    for each in shown:
        each.disable_progress_bar()
    try:
        yield
    finally:
        for each in shown:
            each.enable_progress_bar()


def _family(directory: Path) -> str:
    try:
        index = json.loads((directory / PIPELINE_INDEX).read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise BackboneError(f"{directory / PIPELINE_INDEX} cannot be read as JSON: {exc}") from exc
    found = index.get("_class_name") if isinstance(index, dict) else None
    if found not in _FAMILIES:
        raise BackboneError(f"{directory} holds a {found}; expected one of {', '.join(sorted(_FAMILIES))}")
    return str(found)
