"""The stamp of the registry: how long its log is, and which credentials are in force. One query for many who ask at once.

Every act is an entry of the log, so an answer that was made at a size of the log is what would be answered at that size again
(time aside). Whoever asks gets the outcome of a query that began after they asked; those who ask while one is under way
share the next one. So what is told is never older than the question, however many ask.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

import psycopg
from psycopg import AsyncConnection

from sdk.spec.digest import Digest

LOOK_SECONDS: Final = 5  # for one query
_LOOK: Final = b"""
SELECT coalesce((SELECT max(leaf_index) FROM log_entries), -1),
       ARRAY(SELECT digest FROM credentials
              WHERE digest = ANY(%s) AND expires_at > %s AND (revoked_at IS NULL OR revoked_at > %s))
"""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What holds at one moment, for whoever asked about one credential."""

    newest_entry: int
    in_force: bool


class Stamps(Protocol):
    """Tells the stamp."""

    async def look(self, credential: Digest) -> Stamp | None:
        """What holds now, for the holder of `credential`; none when the database does not say."""


@dataclass
class _Batch:
    """Who waits for the next query."""

    credentials: set[Digest] = field(default_factory=set)
    answer: asyncio.Future[tuple[int, frozenset[str]] | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class PostgresStamps:
    """`Stamps` over one connection of its own, in one event loop."""

    def __init__(self, url: str, role: str, clock: Callable[[], datetime]) -> None:
        self._url = url
        self._options = f"-c role={role} -c statement_timeout={LOOK_SECONDS}s -c timezone=UTC"
        self._clock = clock
        self._connection: AsyncConnection | None = None
        self._waiting: _Batch | None = None
        self._working: asyncio.Task[None] | None = None

    async def look(self, credential: Digest) -> Stamp | None:
        batch = self._waiting = self._waiting or _Batch()
        batch.credentials.add(credential)
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        found = await asyncio.shield(batch.answer)
        if found is None:
            return None
        newest, in_force = found
        return Stamp(newest_entry=newest, in_force=str(credential) in in_force)

    async def _work(self) -> None:
        while (batch := self._waiting) is not None:
            self._waiting = None
            try:
                answer = await self._ask(batch.credentials)
            except (psycopg.Error, OSError) as exc:
                _logger.warning("the stamp could not be read: %s", type(exc).__name__)
                await self._drop()
                answer = None
            batch.answer.set_result(answer)
        self._working = None

    async def _ask(self, credentials: set[Digest]) -> tuple[int, frozenset[str]] | None:
        if self._connection is None:
            self._connection = await AsyncConnection.connect(
                self._url, autocommit=True, prepare_threshold=1, connect_timeout=LOOK_SECONDS, options=self._options
            )
        now = self._clock()
        cursor = await self._connection.execute(_LOOK, (list(map(str, credentials)), now, now))
        row = await cursor.fetchone()
        assert row is not None
        return row[0], frozenset(row[1])

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._drop()
