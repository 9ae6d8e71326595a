"""A trainer for each test of this folder, on a fresh database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.database import DatabaseServer
from support.training import Bench, make_bench


@pytest.fixture
def bench(postgres_server: DatabaseServer, tmp_path: Path) -> Iterator[Bench]:
    """A trainer in a fresh folder, one picture uploaded."""
    with postgres_server.fresh_database() as url:
        made = make_bench(url, tmp_path)
        made.upload()
        yield made
        made.engine.dispose()
