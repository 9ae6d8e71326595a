"""trainer.rendering.workflow: an attempt that meets an outage spends no grant; another goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from support.database import DatabaseServer
from support.renders import RenderHouse, begin, make_render_house

from sdk.errors import PermissionDenied, ServiceUnavailable, TooManyRequests
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.rendering import RenderStatus, RenderView
from trainer.rendering import service


@pytest.fixture(scope="module")
def house(postgres_server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RenderHouse]:
    with postgres_server.fresh_database() as url, make_render_house(url, tmp_path_factory.mktemp("house")) as made:
        made.held = True
        yield made


@pytest.fixture
def waiting(house: RenderHouse) -> RecordId:
    """A render that is asked for and not drawn yet."""
    with house.client() as client:
        return client.create_render(begin(house, preview_every=1)).generation


class Away:
    """A registry that gives no answer, or no more of them."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def fetch_artefact(self, generation: RecordId, digest: Digest) -> bytes:
        raise self._error


def seen(house: RenderHouse, generation: RecordId) -> RenderView:
    with house.client() as client:
        return client.get_render(generation)


def end_entry(house: RenderHouse, generation: RecordId) -> None:
    """What the queue does with the entry of a call that returned."""
    with house.runtime.transaction() as session:
        session.execute(text("DELETE FROM procrastinate_jobs WHERE args->>'generation' = :g"), {"g": generation})


def upkeep(house: RenderHouse, *, after: float = 0) -> tuple[str, ...]:
    at = house.runtime.clock() + timedelta(seconds=after)
    with house.runtime.transaction() as session:
        return service.upkeep(session, at=at, stalled_seconds=60, keep_seconds=10**9)


class TestOutage:
    @pytest.mark.parametrize("error", [ServiceUnavailable("no answer"), TooManyRequests("later")])
    def test_a_registry_that_is_away_leaves_the_render_to_another_attempt(
        self, house: RenderHouse, waiting: RecordId, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        house.draw(waiting, registry=Away(error))
        assert (seen(house, waiting).status, seen(house, waiting).error) == (RenderStatus.RUNNING, None)
        assert f"render {waiting}: attempt 1 met an outage" in caplog.text
        end_entry(house, waiting)
        assert waiting in upkeep(house)
        house.draw(waiting)
        assert seen(house, waiting).status is RenderStatus.DONE

    def test_a_database_that_is_away_when_an_image_is_kept_leaves_it_too(
        self, house: RenderHouse, waiting: RecordId, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(service, "keep_image", gone)
            house.draw(waiting)
        assert (seen(house, waiting).status, seen(house, waiting).error) == (RenderStatus.RUNNING, None)
        house.draw(waiting)
        assert seen(house, waiting).status is RenderStatus.DONE

    def test_one_that_outlasts_the_grant_ends_the_render(self, house: RenderHouse, waiting: RecordId) -> None:
        house.draw(waiting, registry=Away(ServiceUnavailable("no answer")))
        end_entry(house, waiting)
        assert waiting in upkeep(house, after=24 * 3600)
        fault = seen(house, waiting).error
        assert fault
        assert (fault.code, "expired before it was drawn" in fault.message) == (PermissionDenied.code, True)

    @pytest.mark.parametrize("write", ["note_progress", "keep_preview"])
    def test_drawing_outlives_a_database_that_takes_no_progress_and_no_previews(
        self,
        house: RenderHouse,
        waiting: RecordId,
        write: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr("trainer.rendering.workflow.PROGRESS_SECONDS", 0.0)
        monkeypatch.setattr(service, write, gone)
        house.draw(waiting)
        assert seen(house, waiting).status is RenderStatus.DONE
        assert "could not be kept" in caplog.text


def gone(*_: object, **__: object) -> None:
    raise OperationalError("SELECT 1", {}, Exception("gone"))
