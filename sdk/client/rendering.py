"""Calls to the rendering service: who draws, a render, its images, its end."""

from __future__ import annotations

from sdk.client.transport import Service
from sdk.errors import ConfigurationError
from sdk.spec.ids import RecordId
from sdk.spec.rendering import RenderAttention, RendererView, RenderPreviews, RenderRequest, RenderView


class RenderingCalls:
    """The rendering service's routes, which the trainer serves; mixed into `Client`. They need `trainer_url`."""

    _trainer: Service | None

    def renderer(self) -> RendererView:
        """GET /v1/renderer: who draws, and on which base model."""
        return self._needs_renderer().get("/v1/renderer", RendererView)

    def create_render(self, request: RenderRequest) -> RenderView:
        """POST /v1/renders. Repeatable: a grant is drawn once."""
        return self._needs_renderer().post("/v1/renders", request, RenderView)

    def get_render(self, generation: RecordId) -> RenderView:
        """GET /v1/renders/{generation}."""
        return self._needs_renderer().get(f"/v1/renders/{generation}", RenderView)

    def render_image(self, generation: RecordId, position: int) -> bytes:
        """GET /v1/renders/{generation}/images/{position}: a PNG without credentials."""
        return self._needs_renderer().get_bytes(f"/v1/renders/{generation}/images/{position}")

    def render_previews(self, generation: RecordId) -> RenderPreviews:
        """GET /v1/renders/{generation}/previews: the newest of each picture."""
        return self._needs_renderer().get(f"/v1/renders/{generation}/previews", RenderPreviews)

    def render_attention(self, generation: RecordId, position: int) -> RenderAttention:
        """GET /v1/renders/{generation}/images/{position}/attention, of a render that was to keep it."""
        return self._needs_renderer().get(f"/v1/renders/{generation}/images/{position}/attention", RenderAttention)

    def end_render(self, generation: RecordId) -> RenderView:
        """POST /v1/renders/{generation}/end. Repeatable: scene and images are erased."""
        return self._needs_renderer().post(f"/v1/renders/{generation}/end", None, RenderView)

    def _needs_renderer(self) -> Service:
        if self._trainer is None:
            raise ConfigurationError("no rendering service is known; add 'trainer = \"http://...\"' to the profile")
        return self._trainer
