"""Composing through the rendering service, in process: the same record, nothing that the application could keep."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.database import DatabaseServer
from support.pictures import damaged_inside
from support.processes import eventually
from support.renders import RenderHouse, begin, make_render_house, paint, plain
from support.tiny_backbone import make_backbone_dir

import sdk
from sdk.credentials.read import verify_credentials
from sdk.errors import (
    BackboneError,
    Conflict,
    FormatError,
    InputError,
    NotApproved,
    NotFound,
    PermissionDenied,
    ServiceError,
)
from sdk.spec.api import LogQuery
from sdk.spec.digest import Digest
from sdk.spec.explanation import ConceptAttention
from sdk.spec.ids import RecordId, parse_version_ref
from sdk.spec.manifest import parse_manifest
from sdk.spec.rendering import RenderRequest, RenderStatus
from trainer.rendering import service
from trainer.rendering.workflow import RenderOrder, RenderWatch


@pytest.fixture(scope="module")
def house(postgres_server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RenderHouse]:
    with postgres_server.fresh_database() as url, make_render_house(url, tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(autouse=True)
def as_it_was(house: RenderHouse) -> Iterator[None]:
    yield
    house.draw_by, house.held = paint, False


@pytest.fixture
def sent(house: RenderHouse, monkeypatch: pytest.MonkeyPatch) -> list[RenderRequest]:
    """What an application sends to the service."""
    requests: list[RenderRequest] = []
    create = sdk.Client.create_render

    def keep(client: sdk.Client, request: RenderRequest) -> Any:
        requests.append(request)
        return create(client, request)

    monkeypatch.setattr(sdk.Client, "create_render", keep)
    return requests


def events(house: RenderHouse, generation: str) -> list[tuple[str, str]]:
    with house.studio.client("auditor") as auditor:
        page = auditor.log_entries(LogQuery(subject=generation))
        return [(logged.entry.event.value, logged.entry.actor) for logged in page.entries]


class TestWholeWay:
    def test_images_are_recorded_and_marked_like_any_other(self, house: RenderHouse) -> None:
        result = house.compose(count=2, seed=7)
        with house.client() as client:
            view = client.get_generation(result.generation_id)
        assert [image.digest for image in view.images] == [image.digest for image in result.images]
        assert (view.application, view.intent.executor) == ("demo/app", "demo/renderer")
        credentials = verify_credentials(result.images[0].png, [house.studio.authority])
        assert credentials.use
        assert credentials.use.generation == result.generation_id
        assert [image.image.getpixel((0, 0)) for image in result.images] == [(7, 1, 0), (8, 1, 1)]

    def test_artefacts_went_to_the_service_and_never_to_the_application(self, house: RenderHouse) -> None:
        generation = house.compose().generation_id
        assert events(house, generation) == [
            ("generation:permitted", "demo/app"),
            ("artefact:released", "demo/renderer"),
            ("generation:recorded", "demo/app"),
        ]
        with house.client() as client, pytest.raises(NotFound, match="draws"):
            client.fetch_artefact(generation, Digest.of(b"embedding"))

    def test_nothing_of_it_is_kept(self, house: RenderHouse) -> None:
        generation = house.compose().generation_id
        with house.engine.connect() as connection:
            row = connection.execute(
                text("SELECT status, request FROM renders WHERE generation = :g"), {"g": generation}
            )
            assert row.one() == ("ended", None)
            assert connection.scalar(text("SELECT count(*) FROM render_images")) == 0

    def test_is_chosen_when_the_profile_has_no_base_model(self, house: RenderHouse) -> None:
        house.compose()
        assert "POST /v1/renders" in house.asked

    def test_progress_comes_through(self, house: RenderHouse) -> None:
        seen: list[sdk.ComposeProgress] = []
        house.compose(count=2, on_progress=seen.append)
        assert list(dict.fromkeys(each.stage for each in seen)) == list(sdk.ComposeStage)


def polls(house: RenderHouse) -> list[str]:
    """The generations of which the service was asked how far they are, a name for each time."""
    asked = (each.removeprefix("GET /v1/renders/") for each in list(house.asked))
    return [name for name in asked if name.startswith("gen_") and "/" not in name]


class TestLookingInside:
    """Previews and attention, with the options of a call that draws in its own process."""

    def test_previews_come_while_it_draws(self, house: RenderHouse, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[sdk.ComposeProgress] = []
        house.compose(steps=4, count=2, preview_every=2, on_progress=seen.append)
        previews = [each for each in seen if each.preview]
        assert [(each.image, each.step) for each in previews] == [(0, 3), (1, 3)]  # a poll finds the newest of each
        assert [each.preview.getpixel((0, 0)) for each in previews if each.preview] == [(0, 3, 0), (1, 3, 0)]

    def test_each_is_shown_once_however_often_the_service_is_asked(self, house: RenderHouse) -> None:
        def slowly(order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]:
            for image in range(order.count):
                watch.on_preview(image, 0, plain((4, 4), (image, 0, 0)))
                before = len(polls(house))
                assert eventually(lambda at_least=before + 3: len(polls(house)) >= at_least)
            yield from (plain(order.sampling.size or (32, 32), (0, 0, 0)) for _ in range(order.count))

        def draw_beside() -> None:
            assert eventually(lambda: bool(polls(house)))
            house.draw(RecordId(polls(house)[0]))

        seen: list[sdk.ComposeProgress] = []
        house.held, house.draw_by, house.asked = True, slowly, []
        worker = threading.Thread(target=draw_beside)
        worker.start()
        house.compose(steps=4, count=2, preview_every=1, on_progress=seen.append)
        worker.join()
        assert [(each.image, each.step) for each in seen if each.preview] == [(0, 0), (1, 0)]

    def test_nothing_is_kept_of_what_was_not_asked_for(self, house: RenderHouse) -> None:
        before = len(house.asked)
        house.compose(steps=4)
        assert not [asked for asked in house.asked[before:] if "previews" in asked or "attention" in asked]

    def test_what_each_image_attended_to_is_explained_and_on_record(self, house: RenderHouse) -> None:
        result = house.compose(count=2, explain=True)
        assert result.attention
        assert [image.image for image in result.attention.images] == [image.digest for image in result.images]
        assert [image.concepts[0].cells for image in result.attention.images] == [b"\xff\x00", b"\xff\x01"]
        with house.client() as client:
            assert client.get_generation(result.generation_id).attention == result.attention.digest

    def test_attention_to_a_concept_that_nobody_named_is_refused(self, house: RenderHouse) -> None:
        def stranger(order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]:
            for image, png in enumerate(paint(order, watch=watch)):
                told = ConceptAttention(concept="demo/other", share=1, rows=1, columns=1, cells=b"x")
                watch.on_attention(image, (told,))
                yield png

        house.draw_by = stranger
        with pytest.raises(FormatError, match="nobody asked"):
            house.compose(explain=True)

    @pytest.mark.parametrize("content", [b"", b"GIF89a", damaged_inside()])
    def test_a_preview_that_is_no_picture_is_refused(self, house: RenderHouse, content: bytes) -> None:
        def odd(order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]:
            watch.on_preview(0, 0, content)
            yield from paint(order, watch=watch)

        house.draw_by = odd
        with pytest.raises(FormatError, match="no PNG"):
            house.compose(steps=2, preview_every=3)

    def test_they_are_the_applications_alone_and_erased_at_the_end(self, house: RenderHouse) -> None:
        house.held = True
        waiting = begin(house, preview_every=1, explain=True)
        with house.client() as client, house.client("trainer") as other:
            generation = client.create_render(waiting).generation
            house.draw(generation)
            assert client.render_previews(generation).previews[0].step == 1
            assert client.render_attention(generation, 0).concepts
            for call in (other.render_previews, lambda g: other.render_attention(g, 0)):
                with pytest.raises(NotFound, match="no render"):
                    call(generation)
            client.end_render(generation)
            assert client.render_previews(generation).previews == ()
            with pytest.raises(NotFound, match="ended"):
                client.render_attention(generation, 0)

    def test_attention_that_was_not_to_be_kept_is_not_there(self, house: RenderHouse) -> None:
        house.held = True
        waiting = begin(house)
        with house.client() as client:
            generation = client.create_render(waiting).generation
            house.draw(generation)
            with pytest.raises(NotFound, match="kept nothing"):
                client.render_attention(generation, 0)
            client.end_render(generation)


class TestReplay:
    def test_a_grant_is_drawn_once(self, house: RenderHouse, sent: list[RenderRequest]) -> None:
        house.compose()
        with house.client() as client, pytest.raises(Conflict, match="used already"):
            client.create_render(sent[0])

    def test_the_same_request_again_is_the_same_render(self, house: RenderHouse, sent: list[RenderRequest]) -> None:
        house.held = True
        waiting = begin(house)
        with house.client() as client:
            first, second = client.create_render(waiting), client.create_render(waiting)
            assert first.generation == second.generation
            client.end_render(first.generation)
        with house.engine.connect() as connection:
            entries = text("SELECT count(*) FROM procrastinate_jobs WHERE args->>'generation' = :g AND status = 'todo'")
            assert connection.scalar(entries, {"g": first.generation}) == 0

    def test_after_the_result_nothing_is_released_again(self, house: RenderHouse) -> None:
        generation = house.compose().generation_id
        with house.studio.client("renderer") as renderer, house.client() as client:
            bundle = client.resolve(parse_version_ref("demo/fox"))
            embedding = parse_manifest(bundle.manifest).artefacts[0].digest
            with pytest.raises(Conflict, match="finished"):
                renderer.fetch_artefact(generation, embedding)

    def test_another_application_sees_nothing_of_it(self, house: RenderHouse) -> None:
        house.held = True
        waiting = begin(house)
        with house.client() as client, house.client("trainer") as other:
            generation = client.create_render(waiting).generation
            for call in (other.get_render, other.end_render, lambda g: other.render_image(g, 0)):
                with pytest.raises(NotFound, match="no render"):
                    call(generation)
            with pytest.raises(PermissionDenied, match="needs the role app"):
                other.create_render(waiting)
            client.end_render(generation)


class TestFailure:
    def test_a_version_that_was_revoked_in_between_is_not_drawn(self, house: RenderHouse) -> None:
        house.held = True
        waiting = begin(house)
        with house.client() as client:
            generation = client.create_render(waiting).generation

            class Revoked:
                def fetch_artefact(self, generation: RecordId, digest: Digest) -> bytes:
                    raise NotApproved("demo/fox@1 became revoked")

            house.draw(generation, registry=Revoked())
            view = client.get_render(generation)
            assert (view.status, view.error and view.error.code) == (RenderStatus.FAILED, NotApproved.code)
            with pytest.raises(NotFound, match="failed and has no image"):
                client.render_image(generation, 0)

    @pytest.mark.parametrize(
        ("error", "expected"),
        [(NotApproved("no"), NotApproved), (InputError("no"), InputError), (ZeroDivisionError(), ServiceError)],
    )
    def test_what_the_service_meets_is_what_the_call_raises(
        self, house: RenderHouse, error: Exception, expected: type[Exception]
    ) -> None:
        def broken(order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]:
            raise error
            yield b""

        house.draw_by = broken
        with pytest.raises(expected, match="rendering service"):
            house.compose()

    @pytest.mark.parametrize("content", [b"GIF89a", b"", damaged_inside()])
    def test_what_is_no_picture_is_not_handed_out(self, house: RenderHouse, content: bytes) -> None:
        house.draw_by = lambda order, watch: iter([content])
        with pytest.raises(sdk.errors.FormatError, match="no PNG"):
            house.compose()

    def test_a_picture_of_another_size_is_not_handed_out(self, house: RenderHouse) -> None:
        def small(order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]:
            yield from paint(
                RenderOrder(**vars(order) | {"sampling": order.sampling.model_copy(update={"size": None})}),
                watch=watch,
            )

        house.draw_by = small
        with pytest.raises(sdk.errors.FormatError, match="was asked for"):
            house.compose(size=(64, 64))

    def test_a_worker_that_lost_its_render_writes_nothing_more(self, house: RenderHouse) -> None:
        house.held = True
        waiting = begin(house)
        with house.client() as client:
            generation = client.create_render(waiting).generation

            def interrupted(order: RenderOrder, *, watch: RenderWatch) -> Iterator[bytes]:
                yield from paint(order, watch=watch)
                house.draw(generation)  # another worker takes over, and is done first
                yield b"late"

            house.draw(generation, draw=interrupted)
            assert client.get_render(generation).status is RenderStatus.DONE
            assert client.render_image(generation, 0)[:4] == b"\x89PNG"
            client.end_render(generation)

    def test_lost_renders_are_queued_anew_and_forgotten_ones_erased(self, house: RenderHouse) -> None:
        house.held = True
        waiting = begin(house)
        with house.client() as client:
            generation = client.create_render(waiting).generation
        with house.runtime.transaction() as session:
            session.execute(text("DELETE FROM procrastinate_jobs WHERE args->>'generation' = :g"), {"g": generation})
        now = house.runtime.clock()
        with house.runtime.transaction() as session:
            assert generation in service.upkeep(session, at=now, stalled_seconds=1, keep_seconds=60)
        with house.runtime.transaction() as session:
            assert generation not in service.upkeep(session, at=now, stalled_seconds=1, keep_seconds=60)
        later = now.replace(year=now.year + 1)
        with house.runtime.transaction() as session:
            assert generation in service.upkeep(session, at=later, stalled_seconds=1, keep_seconds=60)
        with house.client() as client:
            assert client.get_render(generation).status is RenderStatus.ENDED

    def test_another_base_model_is_refused_before_an_intent(self, house: RenderHouse, tmp_path: Path) -> None:
        other = make_backbone_dir(tmp_path / "other", "sd", seed=5)
        settings = replace(house.runtime.settings, base_model=other)
        elsewhere = RenderHouse(
            studio=house.studio, runtime=replace(house.runtime, settings=settings), engine=house.engine
        )
        with pytest.raises(BackboneError, match="the rendering service demo/renderer has"):
            elsewhere.compose()

    def test_there_are_two_places_to_draw(self, house: RenderHouse) -> None:
        with pytest.raises(InputError, match="run is"):
            house.compose(run="cloud")
