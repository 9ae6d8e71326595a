"""A studio with a rendering service: the real registry and the real service, in process, and somebody who draws.

with make_render_house(url, folder) as house:
    house.compose(run="service")       # an application whose client can reach nothing else
    house.hold()                       # nobody draws until house.draw(generation)
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy.engine import Engine
from support.asgi import AsgiTransport
from support.governed import consent_record, licence_grant, use_terms
from support.studio import StudioInProcess, make_studio
from support.training import make_bench

import sdk
from sdk.client import Client
from sdk.compose import Composition
from sdk.profile import Profile
from sdk.spec.api import NewConcept
from sdk.spec.explanation import ConceptAttention
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ConceptKind
from sdk.spec.rendering import RenderRequest
from trainer.app import create_app
from trainer.jobs.runtime import Runtime
from trainer.rendering.service_profile import current_trust_root, renderer_of
from trainer.rendering.workflow import Draw, RenderOrder, RenderWatch, run_render

FOX = ConceptId("demo/fox")
SCENE = "a photo of {hero}"
USE = {"purpose": "advertising", "territory": "JP", "channel": "web"}


def paint(order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]:
    """A `Draw` without torch: plain colours that depend on what was ordered."""
    for image in range(order.count):
        for step in range(order.sampling.steps):
            watch.on_step(range(image, image + 1), step)
            if order.preview_every and (step + 1) % order.preview_every == 0:
                watch.on_preview(image, step, plain((4, 4), (image, step, 0)))
        if order.explain:
            (concept,) = order.embeddings
            half = {"rows": 1, "columns": 2, "share": 0.5}
            watch.on_attention(
                image,
                (
                    ConceptAttention(concept=concept, cells=bytes([255, image]), **half),
                    ConceptAttention(cells=bytes([0, 255 - image]), **half),
                ),
            )
        seed = order.sampling.seed_of(image)
        yield plain(order.sampling.size or (32, 32), (seed % 256, len(order.embeddings), image))


def plain(size: tuple[int, int], colour: tuple[int, int, int]) -> bytes:
    """A PNG of one colour."""
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()


@dataclass
class RenderHouse(httpx.BaseTransport):
    """The rendering service's transport for applications; after a render is asked for, it is drawn at once."""

    studio: StudioInProcess
    runtime: Runtime
    engine: Engine
    draw_by: Draw = paint
    held: bool = False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = create_app(self.runtime)
        self.inner = AsgiTransport(self.app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        answer = self.inner.handle_request(request)
        if self.asked[-1] == "POST /v1/renders" and answer.is_success and not self.held:
            self.draw(RecordId(answer.json()["generation"]))
        return answer

    def draw(self, generation: RecordId, **options: Any) -> None:
        """Work on a render, as a worker does."""
        settings = self.runtime.settings
        with self.studio.client("renderer") as registry:
            call = {"draw": self.draw_by, "registry": registry, "renderer": renderer_of(settings)} | options
            run_render(
                self.runtime, generation, trust=lambda: current_trust_root(settings, self.runtime.clock()), **call
            )

    def client(self, name: str = "app") -> Client:
        """A client of both services."""
        return replace(self.studio, trainer=self).client(name)

    def profile(self, name: str = "app") -> Profile:
        """A profile without a base model."""
        return replace(self.studio.profile(name), base_model=None)

    def compose(self, **options: Any) -> Composition:
        with self.client() as client:
            call = {"profile": self.profile(), "client": client, "steps": 2} | USE | options
            return sdk.compose({"hero": "demo/fox"}, SCENE, **call)


def approve_fox(studio: StudioInProcess) -> None:
    """One approved version of demo/fox."""
    with studio.client("owner") as owner:
        owner.create_concept(NewConcept(id=FOX, kind=ConceptKind.SUBJECT, title="The fox"))
        terms = use_terms(valid_from="2026-01-01T00:00:00Z", valid_until="2099-01-01T00:00:00Z")
        consent = owner.give_consent(consent_record(FOX, terms=terms)).id
        licence = owner.grant_licence(licence_grant(FOX, terms=terms)).id
    studio.submit(FOX, ConceptKind.SUBJECT, [consent], [licence])
    assert studio.command("approve", "demo/fox@1", role="reviewer").returncode == 0


def write_renderer_profile(studio: StudioInProcess, **changes: str) -> None:
    """The rendering service's own profile, where its settings look for it."""
    studio.profile("renderer")
    text = (studio.folder / "renderer.toml").read_text()
    for name, value in changes.items():
        text = (
            "\n".join(line for line in text.splitlines() if not line.startswith(f"{name} ="))
            + f'\n{name} = "{value}"\n'
        )
    path = studio.folder / "profiles" / "renderer.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        text.replace('"trust-root.json"', '"../trust-root.json"').replace('"renderer.pem"', '"../renderer.pem"')
    )
    path.chmod(0o600)


@contextmanager
def make_render_house(url: str, folder: Path, **options: Any) -> Iterator[RenderHouse]:
    """A studio with one approved concept and a rendering service, on the empty migrated database at `url`."""
    with make_studio(url, folder, **options) as studio:
        approve_fox(studio)
        write_renderer_profile(studio)

        @contextmanager
        def open_registry(credential: str) -> Iterator[Any]:
            with Client("http://registry.test", credential, transport=studio.registry.transport) as client:
                yield client

        bench = make_bench(url, folder, clock=studio.registry.clock, base_model=studio.base_model)
        runtime = replace(bench.runtime, open_registry=open_registry)
        try:
            yield RenderHouse(studio=studio, runtime=runtime, engine=bench.engine)
        finally:
            bench.engine.dispose()


def begin(house: RenderHouse, **options: Any) -> RenderRequest:
    """A request under a grant of its own that nobody has sent yet."""
    kept: list[RenderRequest] = []

    class Stop(Exception):
        pass

    def keep(_client: object, request: RenderRequest) -> None:
        kept.append(request)
        raise Stop

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(sdk.Client, "create_render", keep)
        patch.setattr(sdk.Client, "end_render", lambda *_: None)
        house.compose(**options)
    return kept[0]
