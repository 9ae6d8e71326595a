"""Drawing under seeds with a loaded base model. Needs the extra `imprimatur[generate]`.

Which concept versions may be bound is decided before (`sdk.compose`). Every image comes from a CPU generator of its own
seed. Images are drawn together, as many at a time as `batches` says, which depends on their number and size alone: the
same call gives the same pixels on one machine. An image that is drawn alone, or among others, differs from it only
by the rounding of floating-point numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from sdk.errors import InputError
from sdk.generate.attribution import AttendedPrompts, AttentionMap, AttentionRecorder, recorded_attention
from sdk.generate.editing import drawing_into, keep_outside
from sdk.generate.layout import coupled_regions, latent_weights, region_parts, separated_regions
from sdk.generate.photo import Photo
from sdk.generate.pipeline import LoadedPipeline
from sdk.generate.scene import Scene
from sdk.generate.schedulers import scheduled
from sdk.generate.tokens import (
    CompiledPrompt,
    LearnedToken,
    bound_tokens,
    compile_prompt,
    count_tokens,
    require_length,
)
from sdk.spec.ids import ConceptId
from sdk.spec.sampling import Sampling, Scheduler

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

MAX_TOGETHER: Final = 8  # images
MAX_PIXELS_TOGETHER: Final = MAX_TOGETHER * 512 * 512  # of larger images fewer are drawn at once, for memory
OnStep = Callable[[range, int], None]
"""Called after every denoising step with the numbers of the images that are drawn together, and the step; all from 0."""
OnPreview = Callable[[int, int, "Image"], None]
"""Called with the image's number, the step, and how the picture looks then, as small as the latent picture is."""
OnAttention = Callable[[int, tuple[AttentionMap, ...]], None]
"""Called with the image's number, from 0, and where it attended to each concept, before the image is handed out."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Who is told how far a drawing is. A preview costs a decoding, and is made only every `preview_every` steps.

    With `on_attention`, cross-attention is read while drawing; without, nothing is hooked and nothing is paid.
    """

    on_step: OnStep | None = None
    on_preview: OnPreview | None = None
    preview_every: int = 0
    on_attention: OnAttention | None = None


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
        drawing = _Drawing(
            loaded=loaded, scene=scene, tokens=tokens, sampling=sampling, size=size, watch=watch, photo=photo
        )
        if sampling.scheduler is not Scheduler.DDIM:
            changed.enter_context(scheduled(loaded.pipeline, sampling.scheduler))
        for images in batches(count, size):
            yield from drawing.of(images)


def require_readable(
    loaded: LoadedPipeline, scene: Scene, negative_prompt: str, vectors: Mapping[ConceptId, int]
) -> None:
    """Refuse a text that is longer than the base model reads; of each concept's token, `vectors` says how many it has.

    Raises:
        SceneError: it says how many tokens are too many.
    """
    for tokenizer, encoder in loaded.towers:
        for parts in (scene.parts, (negative_prompt,)):
            require_length(count_tokens(parts, vectors, tokenizer), _length(encoder))


def batches(count: int, size: tuple[int, int]) -> list[range]:
    """The numbers of `count` images of `size` (width, height), cut into what is drawn together."""
    most = max(1, min(MAX_TOGETHER, MAX_PIXELS_TOGETHER // (size[0] * size[1])))
    return [range(first, min(first + most, count)) for first in range(0, count, most)]


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    """What the batches of one call share; prompts are encoded once."""

    loaded: LoadedPipeline
    scene: Scene
    tokens: Mapping[ConceptId, LearnedToken]
    sampling: Sampling
    size: tuple[int, int]
    watch: Watch
    photo: Photo | None

    @cached_property
    def conditions(self) -> Mapping[str, Tensor]:
        return _conditions(self.loaded, self.scene, self.tokens, self.sampling.negative_prompt)

    @property
    def latent(self) -> tuple[int, int]:
        """Rows and columns of the latent picture."""
        cell = int(self.loaded.pipeline.vae_scale_factor)
        return self.size[1] // cell, self.size[0] // cell

    @property
    def regions(self) -> Sequence[tuple[str | ConceptId, ...]]:
        return region_parts(self.scene, self.sampling.layout) if self.sampling.layout else [self.scene.parts]

    @cached_property
    def prompts(self) -> Tensor:
        """The prompt of every region [regions, L, D]."""
        import torch

        return torch.cat([_encode(self.loaded, parts, self.tokens)[0] for parts in self.regions])

    @cached_property
    def attended(self) -> AttendedPrompts:
        layout = self.sampling.layout
        return AttendedPrompts(
            owners=tuple(_compile(self.loaded, parts, self.tokens, 0).owners for parts in self.regions),
            weights=latent_weights(layout, self.latent) if layout else None,
        )

    def of(self, images: range) -> list[Image]:
        """Draw these images together."""
        with ExitStack() as changed:
            if self.sampling.layout:
                self._place(changed, len(images))
            recorder = changed.enter_context(self._recorded(len(images)))
            pictures = self._draw(images)
        if recorder and self.watch.on_attention:
            for image, maps in zip(images, recorder.maps(), strict=True):
                self.watch.on_attention(image, maps)
        return [keep_outside(picture, self.photo) for picture in pictures] if self.photo else pictures

    def _place(self, changed: ExitStack, pictures: int) -> None:
        """Change the attention of the base model, until `changed` is closed, so that concepts keep to their places."""
        unet, layout, leakage = self.loaded.pipeline.unet, self.sampling.layout, self.sampling.leakage
        changed.enter_context(coupled_regions(unet, self.prompts, layout, self.latent, pictures=pictures))
        if leakage < 1:
            changed.enter_context(separated_regions(unet, layout, self.latent, leakage))

    def _recorded(self, pictures: int) -> AbstractContextManager[AttentionRecorder | None]:
        if not self.watch.on_attention:
            return nullcontext()
        return recorded_attention(self.loaded.pipeline.unet, self.attended, self.latent, pictures=pictures)

    def _draw(self, images: range) -> list[Image]:
        import torch

        seeds = [self.sampling.seed_of(image) for image in images]
        output = self._pipeline(len(images))(
            **self.conditions,
            num_images_per_prompt=len(images),
            num_inference_steps=self.sampling.steps,
            guidance_scale=self.sampling.guidance,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            callback_on_step_end=partial(self._report, images),
        )
        withheld = getattr(output, "nsfw_content_detected", None) or ()
        for image, found in zip(images, withheld, strict=False):
            if found:
                raise InputError(
                    f"the base model's safety checker withheld image {image}; change the scene or the seed"
                )
        return list(output.images)

    def _pipeline(self, pictures: int) -> Callable[..., Any]:
        if self.photo:
            return drawing_into(self.loaded.pipeline, self.photo, pictures)
        return partial(self.loaded.pipeline, width=self.size[0], height=self.size[1])

    def _report(
        self, images: range, _pipeline: object, step: int, _timestep: object, values: dict[str, Any]
    ) -> dict[str, Any]:
        watch = self.watch
        if watch.on_step:
            watch.on_step(images, step)
        if watch.on_preview and watch.preview_every and (step + 1) % watch.preview_every == 0:
            for image, preview in zip(images, _previews(self.loaded, values["latents"]), strict=True):
                watch.on_preview(image, step, preview)
        return values


def _previews(loaded: LoadedPipeline, latents: Tensor) -> list[Image]:
    """How `latents` [B, C, h, w] look now: decoded, and made as small as they are."""
    vae = loaded.pipeline.vae
    decoded = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[0]
    pictures = loaded.pipeline.image_processor.postprocess(decoded.detach(), output_type="pil")
    return [picture.resize((latents.shape[3], latents.shape[2])) for picture in pictures]


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
    return compile_prompt(parts, tokens, tower=tower, tokenizer=tokenizer, length=_length(encoder))


def _length(encoder: Any) -> int:
    return int(encoder.config.max_position_embeddings)


def _run(encoder: Any, prompt: CompiledPrompt) -> Any:
    import torch

    return encoder(torch.tensor([prompt.ids], device=encoder.device), output_hidden_states=True)


def _size(loaded: LoadedPipeline, size: tuple[int, int] | None) -> tuple[int, int]:
    own = int(loaded.pipeline.unet.config.sample_size) * int(loaded.pipeline.vae_scale_factor)
    return size or (own, own)
