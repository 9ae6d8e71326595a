"""/v1/resolve answered again: never older than the question, never to whom it is not, and a crowd costs one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from support.database import DatabaseServer
from support.registry import BASE_URL, RegistryUnderTest, make_test_registry
from support.versions import FOX, Steps, Submitted, accepted

from registry import resolve_cache
from registry.app import create_app
from registry.approvals import query
from registry.db import libpq_url
from registry.runtime import APP_ROLE
from registry.stamps import PostgresStamps, Stamp
from sdk.spec.digest import Digest

REF = f"/v1/resolve?ref={FOX}"
Ask = Callable[..., Awaitable[httpx.Response]]


@dataclass
class Made:
    """How often an answer was really made."""

    times: int = 0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    counted, bundle = Made(), query.bundle

    def count(*arguments: Any) -> Any:
        counted.times += 1
        return bundle(*arguments)

    monkeypatch.setattr(query, "bundle", count)
    monkeypatch.setattr(resolve_cache, "FOR_SECONDS", 600.0)  # a slow machine is not what is tested
    return counted


@pytest.fixture
def approved(registry: RegistryUnderTest) -> Submitted:
    return Steps(registry).approved()


@asynccontextmanager
async def asking(registry: RegistryUnderTest) -> AsyncIterator[Ask]:
    """Ask as somebody, in one event loop."""
    url = libpq_url(registry.runtime.settings.database_url)
    stamps = PostgresStamps(url, APP_ROLE, registry.clock)
    app = create_app(replace(registry.runtime, stamps=stamps))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(base_url=BASE_URL, transport=transport) as client:

        async def ask(name: str = "app", path: str = REF, **headers: str) -> httpx.Response:
            bearer = {"Authorization": f"Bearer {registry.credentials[name]}"}
            return await client.get(path, headers=bearer | headers)

        yield ask
    await stamps.close()


class TestAnswers:
    def test_are_given_again_byte_for_byte(self, registry: RegistryUnderTest, approved: Submitted, made: Made) -> None:
        async def run() -> None:
            async with asking(registry) as ask:
                answers = [await ask() for _ in range(5)]
                assert {answer.status_code for answer in answers} == {200}
                assert len({answer.content for answer in answers}) == 1
                assert len({answer.headers["x-request-id"] for answer in answers}) == 5
                unchanged = await ask(**{"If-None-Match": answers[0].headers["etag"]})
                assert (unchanged.status_code, unchanged.content) == (304, b"")

        asyncio.run(run())
        assert made.times == 1

    def test_are_made_anew_after_anything_is_logged(
        self, registry: RegistryUnderTest, approved: Submitted, made: Made
    ) -> None:
        async def run() -> None:
            async with asking(registry) as ask:
                first = (await ask(path=f"/v1/resolve?ref={FOX}@1")).json()
                withdrawal = f"/v1/consents/{approved.consent}/withdrawal"
                accepted(registry.client("owner").post(withdrawal, json={"reason": "asked to"}))
                second = (await ask(path=f"/v1/resolve?ref={FOX}@1")).json()
                assert (first["status"], second["status"]) == ("approved", "suspended")

        asyncio.run(run())
        assert made.times == 2

    def test_end_with_the_credential_at_once(
        self, registry: RegistryUnderTest, approved: Submitted, made: Made
    ) -> None:
        digest = Digest.of(registry.credentials["app"].encode())

        async def run() -> None:
            async with asking(registry) as ask:
                assert (await ask()).status_code == 200
                accepted(registry.client("admin").post(f"/v1/credentials/{digest}/revocation"))
                assert (await ask()).status_code == 401
                assert (await ask("owner")).status_code == 200
                registry.clock.advance(days=400)  # nothing is logged when a credential expires
                assert (await ask("owner")).status_code == 401

        asyncio.run(run())

    def test_are_for_one_credential_and_one_query(
        self, registry: RegistryUnderTest, approved: Submitted, made: Made
    ) -> None:
        async def run() -> None:
            async with asking(registry) as ask:
                assert (await ask()).status_code == 200
                assert (await ask("other-app")).status_code == 404
                assert (await ask(path=f"/v1/resolve?ref={FOX}@2")).status_code == 404
                assert (await ask("owner")).status_code == 200

        asyncio.run(run())
        assert made.times == 2

    def test_do_not_outlive_their_time(
        self, registry: RegistryUnderTest, approved: Submitted, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resolve_cache, "FOR_SECONDS", 0.0)

        async def run() -> None:
            async with asking(registry) as ask:
                for _ in range(3):
                    assert (await ask()).status_code == 200

        asyncio.run(run())
        assert made.times == 3

    def test_are_made_once_for_a_crowd(self, registry: RegistryUnderTest, approved: Submitted, made: Made) -> None:
        async def run() -> None:
            async with asking(registry) as ask:
                answers = await asyncio.gather(*(ask() for _ in range(16)))
                assert len({answer.content for answer in answers}) == 1

        asyncio.run(run())
        assert made.times == 1

    def test_are_counted_by_route_and_by_principal(
        self, registry: RegistryUnderTest, approved: Submitted, made: Made
    ) -> None:
        async def run() -> None:
            async with asking(registry) as ask:
                for _ in range(3):
                    await ask()
                metrics = (await ask(path="/metrics")).text
                assert 'imprimatur_http_requests_total{method="GET",route="/v1/resolve",status="200"} 3.0' in metrics

        asyncio.run(run())

    def test_come_from_the_database_when_the_stamp_does_not(
        self, registry: RegistryUnderTest, approved: Submitted, made: Made
    ) -> None:
        class Silent:
            async def look(self, credential: Digest) -> Stamp | None:
                return None

        app = create_app(replace(registry.runtime, stamps=Silent()))

        async def run() -> None:
            transport = httpx.ASGITransport(app)
            bearer = {"Authorization": f"Bearer {registry.credentials['app']}"}
            async with httpx.AsyncClient(base_url=BASE_URL, transport=transport, headers=bearer) as client:
                for _ in range(2):
                    assert (await client.get(REF)).status_code == 200

        asyncio.run(run())
        assert made.times == 2


class TestStamps:
    def test_share_a_query_and_are_never_older_than_the_question(self, registry: RegistryUnderTest) -> None:
        credential = Digest.of(registry.credentials["app"].encode())
        stamps = PostgresStamps(libpq_url(registry.runtime.settings.database_url), APP_ROLE, registry.clock)
        asked: list[set[Digest]] = []
        ask = stamps._ask

        async def count(credentials: set[Digest]) -> Any:
            asked.append(set(credentials))
            return await ask(credentials)

        stamps._ask = count  # type: ignore[method-assign]

        async def run() -> None:
            first = await stamps.look(credential)
            found = await asyncio.gather(*(stamps.look(credential) for _ in range(50)), stamps.look(Digest.of(b"no")))
            assert {stamp.in_force for stamp in found[:50] if stamp} == {True}
            assert found[50] is not None
            assert not found[50].in_force
            accepted(registry.client("owner").post("/v1/concepts", json=NEW))
            later = await stamps.look(credential)
            assert first is not None
            assert later is not None
            assert later.newest_entry == first.newest_entry + 1
            await stamps.close()

        asyncio.run(run())
        assert len(asked) <= 4

    def test_tell_nothing_when_the_database_is_away_and_come_back_with_it(
        self, postgres_server: DatabaseServer
    ) -> None:
        with postgres_server.fresh_database() as url, make_test_registry(url) as registry:
            credential = Digest.of(registry.credentials["app"].encode())
            stamps = PostgresStamps(libpq_url(url), APP_ROLE, registry.clock)
            name = url.split("?")[0].rsplit("/", 1)[1]
            kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"

            async def run() -> None:
                assert await stamps.look(credential) is not None
                registry.engine.dispose()
                postgres_server.execute(kill)
                assert await stamps.look(credential) is None
                assert await stamps.look(credential) is not None
                await stamps.close()

            asyncio.run(run())


NEW = {"id": "demo/den", "kind": "subject", "title": "Den"}
