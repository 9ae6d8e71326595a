"""The demo at three points of its course."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.database import DatabaseServer
from support.demo import InProcess, OpenDemo, make_demo
from support.studio import make_studio
from support.tiny_backbone import make_backbone_dir

from examples.demo import steps


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone_dir(tmp_path_factory.mktemp("base") / "sd", "sd")


@pytest.fixture
def submitted(postgres_server: DatabaseServer, tmp_path: Path, base_model: Path) -> Iterator[OpenDemo]:
    """Opens a demo at the point where training has just submitted both concepts; options are those of `make_studio`."""
    with ExitStack() as stack:

        def open_demo(**options: Any) -> InProcess:
            url = stack.enter_context(postgres_server.fresh_database())
            return make_demo(stack.enter_context(make_studio(url, tmp_path, base_model=base_model, **options)))

        yield open_demo


@pytest.fixture
def approved(submitted: OpenDemo) -> OpenDemo:
    """Like `submitted`, and then both versions are approved."""

    def open_demo(**options: Any) -> InProcess:
        demo = submitted(**options)
        for concept in demo.story.concepts:
            demo.must("approve", demo.version(concept), role="reviewer")
        return demo

    return open_demo


@pytest.fixture(scope="module")
def composed(
    postgres_server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory, base_model: Path
) -> Iterator[InProcess]:
    """One demo that has composed, for tests that change nothing in its registry."""
    folder = tmp_path_factory.mktemp("composed")
    with postgres_server.fresh_database() as url, make_studio(url, folder, base_model=base_model) as studio:
        demo = make_demo(studio)
        steps.approve(demo)
        steps.compose(demo)
        yield demo
