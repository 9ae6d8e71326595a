"""One attempt at a render, from claim to end. No torch: the drawing function is given.

1. Claim it; from here the attempt number is the fencing token.
2. Hold the request to its grant once more: time has passed, and nothing that was stored is believed.
3. Fetch each embedding under the grant, as the executor that it names, and check it against its manifest. It is kept in
   memory for this attempt alone.
4. Draw, keeping every image as it is ready.

An attempt that dies, or meets a service that is away, leaves a row that another takes over when the upkeep finds it; the
grant's end ends it for all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.orm import Session

from sdk.errors import ImprimaturError, ServiceError, ServiceUnavailable, TooManyRequests, VerificationError
from sdk.generate.scene import Scene
from sdk.signing.trust import TrustRoot
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.explanation import ConceptAttention
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ArtefactRole, ConceptManifest
from sdk.spec.rendering import RenderAttention, RendererView
from sdk.spec.sampling import Sampling
from trainer.jobs.runtime import Runtime
from trainer.rendering import service
from trainer.rendering.admission import Admitted, admit
from trainer.rendering.service import Attempt, RenderLost

_logger = logging.getLogger(__name__)
PROGRESS_SECONDS: Final = 0.3


class ArtefactSource(Protocol):
    """The registry, as the executor sees it; `sdk.client.Client` is one."""

    def fetch_artefact(self, generation: RecordId, digest: Digest) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class RenderOrder:
    """What is to be drawn: everything verified."""

    scene: Scene
    sampling: Sampling
    count: int
    manifests: Mapping[ConceptId, ConceptManifest]
    embeddings: Mapping[ConceptId, bytes]  # safetensors
    preview_every: int = 0  # steps; 0: no previews
    explain: bool = False  # whether what each picture attends to is told


class RenderWatch(Protocol):
    """Who is told how a drawing goes; what they raise ends it."""

    def on_step(self, images: range, step: int) -> None:
        """So many are drawn together, and are at this step."""

    def on_preview(self, image: int, step: int, png: bytes) -> None:
        """How a picture looks now."""

    def on_attention(self, image: int, concepts: tuple[ConceptAttention, ...]) -> None:
        """What a picture attended to, before it is given out."""


class Draw(Protocol):
    """Draws an order as PNG bytes, in the images' order; tells `watch`, and lets through what that raises."""

    def __call__(self, order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]: ...


def run_render(
    runtime: Runtime,
    generation: RecordId,
    *,
    draw: Draw,
    registry: ArtefactSource,
    renderer: RendererView,
    trust: Callable[[], TrustRoot],
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Work on a render; returns without doing anything when it has ended or is done, and leaves it when a service is away."""
    with runtime.transaction() as session:
        attempt = service.claim(session, generation)
    if attempt is None:
        _logger.info("render %s: there is nothing left to do", generation)
        return
    try:
        _carry_out(runtime, attempt, draw=draw, registry=registry, renderer=renderer, trust=trust, stopping=stopping)
    except RenderLost:
        _logger.info("render %s: attempt %d was ended by others", generation, attempt.number)
    except (ServiceUnavailable, TooManyRequests) as exc:
        _logger.warning("render %s: attempt %d met an outage: %s", generation, attempt.number, exc.message)
    except ImprimaturError as exc:
        _fail(runtime, attempt, exc)
    except Exception as exc:  # an application waits: it is told, in a line without insides
        _logger.exception("render %s: attempt %d failed", generation, attempt.number)
        _fail(runtime, attempt, ServiceError(f"drawing stopped on an error nobody foresaw ({type(exc).__name__})"))


def _carry_out(
    runtime: Runtime,
    attempt: Attempt,
    *,
    draw: Draw,
    registry: ArtefactSource,
    renderer: RendererView,
    trust: Callable[[], TrustRoot],
    stopping: Callable[[], bool],
) -> None:
    now = runtime.clock()
    admitted = admit(attempt.request, caller=attempt.application, renderer=renderer, trust=trust(), now=now)
    order = RenderOrder(
        scene=admitted.scene,
        sampling=attempt.request.sampling,
        count=admitted.grant.count,
        manifests=admitted.manifests,
        embeddings=_fetch(registry, admitted),
        preview_every=attempt.request.preview_every or 0,
        explain=attempt.request.explain or False,
    )
    reporter = _Reporter(runtime, attempt, stopping)
    for position, png in enumerate(draw(order, watch=reporter)):
        with runtime.transaction() as session:
            service.keep_image(session, attempt, position, png, reporter.attention.pop(position, None))
    with runtime.transaction() as session:
        service.finish(session, attempt)
    _logger.info("render %s: attempt %d is done", attempt.generation, attempt.number)


def _fetch(registry: ArtefactSource, admitted: Admitted) -> dict[ConceptId, bytes]:
    fetched = {}
    for concept, manifest in admitted.manifests.items():
        embeddings = manifest.by_role(ArtefactRole.EMBEDDING)
        if len(embeddings) != 1:
            raise VerificationError(f"{concept} has {len(embeddings)} embedding files; exactly one is expected")
        content = registry.fetch_artefact(admitted.grant.generation, embeddings[0].digest)
        fetched[concept] = verify_digest(content, embeddings[0].digest, f"embedding of {concept}")
    return fetched


def _fail(runtime: Runtime, attempt: Attempt, error: ImprimaturError) -> None:
    try:
        with runtime.transaction() as session:
            service.fail(session, attempt, error)
    except RenderLost:
        _logger.info("render %s: attempt %d was ended by others", attempt.generation, attempt.number)


class _Reporter:
    """Keeps previews, and progress, not at every step; stops the drawing when the render was ended, or the worker wants to stop."""

    def __init__(self, runtime: Runtime, attempt: Attempt, stopping: Callable[[], bool]) -> None:
        self._runtime, self._attempt, self._stopping = runtime, attempt, stopping
        self._written = runtime.clock()
        self.attention: dict[int, RenderAttention] = {}  # of images that are not kept yet

    def on_preview(self, image: int, step: int, png: bytes) -> None:
        self._keep("preview", lambda session: service.keep_preview(session, self._attempt, image, step, png))

    def on_attention(self, image: int, concepts: tuple[ConceptAttention, ...]) -> None:
        self.attention[image] = RenderAttention(concepts=concepts)

    def on_step(self, images: range, step: int) -> None:
        if self._stopping():
            raise RenderLost(self._attempt.generation)  # the row stays as it is: another worker takes it over
        now = self._runtime.clock()
        if (now - self._written).total_seconds() >= PROGRESS_SECONDS:
            self._written = now
            self._keep("progress", lambda session: service.note_progress(session, self._attempt, images, step))

    def _keep(self, what: str, write: Callable[[Session], None]) -> None:
        try:
            with self._runtime.transaction() as session:
                write(session)
        except ServiceUnavailable:
            # Every image is guarded again when it is kept, so a drawing may outlive a short outage.
            _logger.warning(
                "render %s: %s could not be kept; the database gives no answer", self._attempt.generation, what
            )
