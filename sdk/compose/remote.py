"""Step 5 by a rendering service: this process needs no torch, and never holds a token.

The service is sent the grant and what it was given for, and nothing else is asked of it: images are marked, signed for
and recorded here, exactly as those that are drawn here. Whatever happens, the service is told that the render is over.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sdk.client import Client
from sdk.client.transport import error_of_code
from sdk.compose.values import ComposeProgress, ComposeStage, Watcher
from sdk.errors import FormatError, ImprimaturError, ServiceError, ServiceUnavailable
from sdk.generate.scene import Scene
from sdk.pictures import UNREADABLE
from sdk.spec.api import GenerationGrant
from sdk.spec.explanation import ConceptAttention
from sdk.spec.rendering import RenderRequest, RenderStatus, RenderView
from sdk.spec.sampling import MAX_SIDE, Sampling
from sdk.verify import VerifiedVersion

if TYPE_CHECKING:
    from PIL.Image import Image

OnAttention = Callable[[Sequence[ConceptAttention]], None]
"""Told, image by image, what it attended to."""

POLL_SECONDS: Final = 0.2
STALLED_SECONDS: Final = 300.0  # without any progress, the service is given up
_OPEN: Final = (RenderStatus.QUEUED, RenderStatus.RUNNING)


def draw_remotely(
    client: Client,
    opened: GenerationGrant,
    versions: Sequence[VerifiedVersion],
    scene: Scene,
    sampling: Sampling,
    count: int,
    watcher: Watcher,
    on_attention: OnAttention | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Image]:
    """The images that the service drew under the grant in `opened`; `on_attention` is told what each attended to.

    Raises:
        ServiceUnavailable: it gives no answer, or makes no progress.
        ServiceError, or the class that it names: it could not draw.
        FormatError: what it sent is not the images that were asked for.
    """
    request = RenderRequest(
        grant=opened.grant,
        scene=scene.text,
        names=dict(scene.names),
        sampling=sampling,
        manifests=tuple(version.bundle.manifest for version in versions),
        preview_every=watcher.preview_every or None,
        explain=True if on_attention else None,
    )
    with _ended(client, opened):
        view = client.create_render(request)
        view = _wait(client, view, watcher, sleep)
        if view.status is not RenderStatus.DONE:
            raise _fault(view)
        if on_attention:
            for position in range(count):
                on_attention(_attention(client, opened, position, scene))
        size = sampling.size
        return [_picture(client.render_image(opened.id, position), size) for position in range(count)]


def _attention(client: Client, opened: GenerationGrant, position: int, scene: Scene) -> Sequence[ConceptAttention]:
    concepts = client.render_attention(opened.id, position).concepts
    if strangers := {each.concept for each in concepts} - {None, *scene.names.values()}:
        raise FormatError(f"the rendering service sent what image {position} attended to of {strangers}: nobody asked")
    return concepts


def _wait(client: Client, view: RenderView, watcher: Watcher, sleep: Callable[[float], None]) -> RenderView:
    """The render as soon as it is over."""
    patience = int(STALLED_SECONDS / POLL_SECONDS)
    waited, shown = 0, dict[int, int]()
    while view.status in _OPEN:
        if waited >= patience:
            raise ServiceUnavailable(f"the rendering service makes no progress with {view.generation}; is a worker up?")
        sleep(POLL_SECONDS)
        seen, view = view, client.get_render(view.generation)
        waited = 0 if view != seen else waited + 1
        at = ComposeProgress(
            stage=ComposeStage.GENERATE,
            image=view.image,
            together=view.together,
            images=view.images,
            step=view.step,
            steps=view.steps,
        )
        watcher.tell(at)
        if watcher.preview_every and view.previews != seen.previews:
            _show_previews(client, at, view, shown, watcher)
    return view


def _show_previews(
    client: Client, at: ComposeProgress, view: RenderView, shown: dict[int, int], watcher: Watcher
) -> None:
    """Tell the previews that were not told yet; `shown` holds the newest step of each image."""
    for preview in client.render_previews(view.generation).previews:
        if preview.image >= view.images or preview.step >= view.steps:
            raise FormatError(f"the rendering service sent a preview of image {preview.image} at step {preview.step}")
        if shown.get(preview.image, -1) < preview.step:
            shown[preview.image] = preview.step
            picture = _picture(preview.picture, None)
            watcher.tell(replace(at, image=preview.image, together=1, step=preview.step, preview=picture))


@contextmanager
def _ended(client: Client, opened: GenerationGrant) -> Iterator[None]:
    """Tells the service at the end that nothing more is wanted; it forgets by itself where it cannot be told."""
    try:
        yield
    finally:
        with suppress(ImprimaturError):  # what happened before counts; the service erases what nobody fetches
            client.end_render(opened.id)


def _fault(view: RenderView) -> ImprimaturError:
    if view.error is None:
        return ServiceError(f"the render {view.generation} is {view.status.value}; compose again")
    return error_of_code(view.error.code, f"the rendering service: {view.error.message}")


def _picture(content: bytes, size: tuple[int, int] | None) -> Image:
    """The pixels of a PNG and nothing else in it. Raises `FormatError`."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
            if max(opened.size) > MAX_SIDE or size not in (None, opened.size):
                raise FormatError(
                    f"the rendering service sent a picture of {opened.size}, {size or 'less'} was asked for"
                )
            return opened.convert("RGB")
    except (*UNREADABLE, Image.DecompressionBombError) as exc:
        raise FormatError(f"the rendering service sent what is no PNG picture: {exc}") from exc
