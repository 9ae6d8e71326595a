"""The rendering worker: a process with torch that draws what applications were granted. Start one for each GPU.

It holds the credential that artefacts are released to; applications hold none of them. Embeddings stay in memory, for
one render.

    draw_with   the `Draw` port over `sdk.generate.pipeline`
    run         the process: profile, base model and loop
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sdk.credentials.mark import encode_png
from sdk.generate.attribution import AttentionMap
from sdk.generate.drawing import Watch, generate_images
from sdk.generate.pipeline import LoadedPipeline, load_pipeline
from sdk.generate.tokens import parse_token
from trainer.jobs.runtime import Runtime
from trainer.loading import choose_device
from trainer.rendering.loop import serve_renders
from trainer.rendering.service_profile import renderer_profile
from trainer.rendering.workflow import Draw, RenderOrder, RenderWatch


def run(runtime: Runtime) -> None:
    """Load the base model, then draw until told to stop.

    Raises:
        ConfigurationError: `[trainer] device` cannot be used here.
        NotFound: the workspace has no rendering service.
        BackboneError: the base model cannot be loaded.
    """
    settings = runtime.settings
    device, profile = choose_device(settings.device), renderer_profile(settings)
    serve_renders(runtime, profile, draw=draw_with(load_pipeline(settings.base_model, device=str(device))))


def draw_with(loaded: LoadedPipeline) -> Draw:
    """Draw by this pipeline, exactly as an application with the same base model draws."""

    def draw(order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]:
        tokens = {
            concept: parse_token(content, order.manifests[concept].embedding, concept)
            for concept, content in order.embeddings.items()
        }
        pictures = generate_images(
            loaded, order.scene, tokens, order.sampling, count=order.count, watch=_watch_of(order, watch)
        )
        for picture in pictures:
            yield encode_png(picture)

    return draw


def _watch_of(order: RenderOrder, watch: RenderWatch) -> Watch:
    def on_attention(image: int, maps: Sequence[AttentionMap]) -> None:
        watch.on_attention(image, tuple(each.kept for each in maps))

    return Watch(
        on_step=watch.on_step,
        on_preview=lambda image, step, preview: watch.on_preview(image, step, encode_png(preview)),
        preview_every=order.preview_every,
        on_attention=on_attention if order.explain else None,
    )
