"""A base model loaded once, and generation under a seed. Needs the extra `imprimatur[generate]`.

Stable Diffusion 1.x/2.x and SDXL folders in the diffusers layout, safetensors only, never a model hub. Which concept
versions may be bound is decided before (`sdk.compose`). Each image comes from a CPU generator of its own seed, one
image at a time, so that it does not depend on how many others were asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdk.errors import BackboneError, ConfigurationError, InputError
from sdk.generate.attribution import AttendedPrompts, AttentionMap, AttentionRecorder, recorded_attention
from sdk.generate.base_model import PIPELINE_INDEX, base_model_digest
from sdk.generate.editing import drawing_into, keep_outside
from sdk.generate.layout import coupled_regions, latent_weights, region_parts, separated_regions
from sdk.generate.photo import Photo
from sdk.generate.places import Layout
from sdk.generate.scene import Scene
from sdk.generate.schedulers import make_scheduler, scheduled
from sdk.generate.tokens import CompiledPrompt, LearnedToken, bound_tokens, compile_prompt
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Sampling, Scheduler

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_FAMILIES: Final = frozenset({"StableDiffusionPipeline", "StableDiffusionXLPipeline"})
OnStep = Callable[[int, int], None]
"""Called after every denoising step with the image's number and the step, both from 0."""
OnPreview = Callable[[int, int, "Image"], None]
"""Called with the image's number, the step, and how the picture looks then, as small as the latent picture is."""
OnAttention = Callable[[int, tuple[AttentionMap, ...]], None]
"""Called with the image's number, from 0, and where it attended to each concept, before the image is handed out."""

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


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told how far a drawing is. A preview costs a decoding, and is made only every `preview_every` steps.

    With `on_attention`, cross-attention is read while drawing; without, nothing is hooked and nothing is paid.
    """

    on_step: OnStep | None = None
    on_preview: OnPreview | None = None
    preview_every: int = 0
    on_attention: OnAttention | None = None


def load_pipeline(directory: Path) -> LoadedPipeline:
    """Load the base model in `directory`, or return it from memory while its files are unchanged.

    Raises:
        BackboneError: it cannot be used; the message says which part.
        ConfigurationError: the extra `generate` is not installed.
    """
    digest = base_model_digest(directory)
    with _loading:
        device = _device()
        if (digest, device) not in _loaded:
            _loaded[digest, device] = LoadedPipeline(pipeline=_load(directory, device), digest=digest)
        return _loaded[digest, device]


def generate_images(
    loaded: LoadedPipeline,
    scene: Scene,
    tokens: Mapping[ConceptId, LearnedToken],
    sampling: Sampling,
    *,
    count: int,
    watch: Watch = Watch(),
    photo: Photo | None = None,
) -> Iterator[Image]:
    """Yield `count` pictures of `scene`, drawn into `photo` if there is one. Holds the pipeline's lock until the iterator ends or is closed.

    Raises:
        SceneError: the scene is too long for the base model.
        InputError: a size that the base model cannot draw, or its safety checker withheld an image.
    """
    import torch

    size = photo.picture.size if photo else _size(loaded, sampling.size)
    with loaded.lock, torch.no_grad(), ExitStack() as changed:
        conditions = _conditions(loaded, scene, tokens, sampling.negative_prompt)
        if sampling.scheduler is not Scheduler.DDIM:
            changed.enter_context(scheduled(loaded.pipeline, sampling.scheduler))
        if sampling.layout:
            _place(changed, loaded, scene, tokens, sampling, size)
        recorder = None
        if watch.on_attention:
            recorder = changed.enter_context(_recorded(loaded, scene, tokens, sampling.layout, size))
        draw: Callable[..., Any] = partial(loaded.pipeline, width=size[0], height=size[1])
        if photo:
            draw = drawing_into(loaded.pipeline, photo, sampling.steps)
        for index in range(count):
            if recorder:
                recorder.start()
            picture = _draw(loaded, draw, conditions, sampling, index, watch)
            if recorder and watch.on_attention:
                watch.on_attention(index, recorder.maps())
            yield keep_outside(picture, photo) if photo else picture


def _place(
    changed: ExitStack,
    loaded: LoadedPipeline,
    scene: Scene,
    tokens: Mapping[ConceptId, LearnedToken],
    sampling: Sampling,
    size: tuple[int, int],
) -> None:
    """Change the attention of the base model, until `changed` is closed, so that concepts keep to their places."""
    import torch

    unet, latent = loaded.pipeline.unet, _latent(loaded, size)
    prompts = torch.cat([_encode(loaded, parts, tokens)[0] for parts in region_parts(scene, sampling.layout)])
    changed.enter_context(coupled_regions(unet, prompts, sampling.layout, latent))
    if sampling.leakage < 1:
        changed.enter_context(separated_regions(unet, sampling.layout, latent, sampling.leakage))


def _recorded(
    loaded: LoadedPipeline,
    scene: Scene,
    tokens: Mapping[ConceptId, LearnedToken],
    layout: Layout,
    size: tuple[int, int],
) -> AbstractContextManager[AttentionRecorder]:
    latent = _latent(loaded, size)
    prompts = region_parts(scene, layout) if layout else [scene.parts]
    attended = AttendedPrompts(
        owners=tuple(_compile(loaded, parts, tokens, 0).owners for parts in prompts),
        weights=latent_weights(layout, latent) if layout else None,
    )
    return recorded_attention(loaded.pipeline.unet, attended, latent)


def _latent(loaded: LoadedPipeline, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the latent picture."""
    cell = int(loaded.pipeline.vae_scale_factor)
    return size[1] // cell, size[0] // cell


def _draw(
    loaded: LoadedPipeline,
    draw: Callable[..., Any],
    conditions: Mapping[str, Tensor],
    sampling: Sampling,
    index: int,
    watch: Watch,
) -> Image:
    import torch

    def report(_pipeline: object, step: int, _timestep: object, values: dict[str, Any]) -> dict[str, Any]:
        if watch.on_step:
            watch.on_step(index, step)
        if watch.on_preview and watch.preview_every and (step + 1) % watch.preview_every == 0:
            watch.on_preview(index, step, _preview(loaded, values["latents"]))
        return values

    output = draw(
        **conditions,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.guidance,
        generator=torch.Generator("cpu").manual_seed(sampling.seed_of(index)),
        callback_on_step_end=report,
    )
    if any(getattr(output, "nsfw_content_detected", None) or ()):
        raise InputError(f"the base model's safety checker withheld image {index}; change the scene or the seed")
    return output.images[0]


def _preview(loaded: LoadedPipeline, latents: Tensor) -> Image:
    """How `latents` [1, C, h, w] look now: decoded, and made as small as they are."""
    vae = loaded.pipeline.vae
    decoded = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    picture = loaded.pipeline.image_processor.postprocess(decoded.detach(), output_type="pil")[0]
    return picture.resize((latents.shape[3], latents.shape[2]))


def _conditions(
    loaded: LoadedPipeline, scene: Scene, tokens: Mapping[ConceptId, LearnedToken], negative_prompt: str
) -> dict[str, Tensor]:
    hidden, pooled = _encode(loaded, scene.parts, tokens)
    no_hidden, no_pooled = _encode(loaded, (negative_prompt,) if negative_prompt else (), {})
    if not negative_prompt and loaded.pipeline.config.get("force_zeros_for_empty_prompt"):
        no_hidden, no_pooled = no_hidden * 0, None if no_pooled is None else no_pooled * 0
    conditions = {"prompt_embeds": hidden, "negative_prompt_embeds": no_hidden}
    if pooled is not None and no_pooled is not None:
        conditions |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": no_pooled}
    return conditions


def _encode(
    loaded: LoadedPipeline, parts: Sequence[str | ConceptId], tokens: Mapping[ConceptId, LearnedToken]
) -> tuple[Tensor, Tensor | None]:
    """Hidden states [1, L, D] and, for two encoders, the pooled text [1, P] of the second."""
    import torch

    prompts = [_compile(loaded, parts, tokens, tower) for tower in range(len(loaded.towers))]
    encoders = [encoder for _, encoder in loaded.towers]
    with ExitStack() as bound:
        for encoder, prompt in zip(encoders, prompts, strict=True):
            bound.enter_context(bound_tokens(encoder, prompt))
        outputs = [_run(encoder, prompt) for encoder, prompt in zip(encoders, prompts, strict=True)]
    if len(outputs) == 1:
        return outputs[0].last_hidden_state, None
    return torch.cat([output.hidden_states[-2] for output in outputs], dim=-1), outputs[-1].text_embeds


def _compile(
    loaded: LoadedPipeline, parts: Sequence[str | ConceptId], tokens: Mapping[ConceptId, LearnedToken], tower: int
) -> CompiledPrompt:
    tokenizer, encoder = loaded.towers[tower]
    length = int(encoder.config.max_position_embeddings)
    return compile_prompt(parts, tokens, tower=tower, tokenizer=tokenizer, length=length)


def _run(encoder: Any, prompt: CompiledPrompt) -> Any:
    import torch

    return encoder(torch.tensor([prompt.ids], device=encoder.device), output_hidden_states=True)


def _size(loaded: LoadedPipeline, size: tuple[int, int] | None) -> tuple[int, int]:
    own = int(loaded.pipeline.unet.config.sample_size) * int(loaded.pipeline.vae_scale_factor)
    return size or (own, own)


def _device() -> str:
    try:
        import torch
    except ImportError as exc:
        raise ConfigurationError("generating needs torch and diffusers: pip install 'imprimatur[generate]'") from exc
    return "cuda" if torch.cuda.is_available() else "cpu"


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
                dtype=torch.float16 if device == "cuda" else torch.float32,
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
