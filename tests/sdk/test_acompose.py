"""`sdk.acompose`: the compose call in an event loop."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest
from support.governed import NOW
from support.workshop import SCENE, USE, Workshop

import sdk
from sdk.compose import ComposeProgress, ComposeStage, Composition, acompose, compose
from sdk.compose.aio import _in_thread
from sdk.errors import PolicyDenied


def options(workshop: Workshop, **changes: Any) -> dict[str, Any]:
    call = {"steps": 2, "profile": workshop.profile, "client": workshop.registry.client(), "clock": lambda: NOW}
    return call | USE | changes


class TestCall:
    def test_gives_the_same_pictures(self, workshop: Workshop) -> None:
        plain = compose(["demo/fox"], SCENE, **options(workshop))

        async def main() -> Composition:
            return await acompose(["demo/fox"], SCENE, **options(workshop))

        composed = anyio.run(main)
        assert composed.images[0].image.tobytes() == plain.images[0].image.tobytes()
        assert composed.generation_id != plain.generation_id

    def test_leaves_the_loop_free_and_reports_in_it(self, workshop: Workshop) -> None:
        reported: list[tuple[ComposeStage, int]] = []
        turns = 0

        async def main() -> None:
            nonlocal turns
            async with anyio.create_task_group() as tasks:

                async def turn() -> None:
                    nonlocal turns
                    while True:
                        turns += 1
                        await anyio.sleep(0)

                tasks.start_soon(turn)
                await acompose(["demo/fox"], SCENE, **options(workshop, on_progress=note))
                tasks.cancel_scope.cancel()

        def note(progress: ComposeProgress) -> None:
            reported.append((progress.stage, threading.get_ident()))

        anyio.run(main)
        assert turns > 10
        assert {stage for stage, _ in reported} == set(ComposeStage)
        assert {thread for _, thread in reported} == {threading.get_ident()}

    def test_raises_what_the_call_raises(self, workshop: Workshop) -> None:
        async def main() -> None:
            await acompose(["demo/fox"], SCENE, **options(workshop, territory="US"))

        with pytest.raises(PolicyDenied, match="granted for DE, JP"):
            anyio.run(main)

    def test_is_a_name_of_the_package(self) -> None:
        assert sdk.acompose is acompose


class TestCancel:
    def test_stops_before_the_next_step_and_records_no_result(self, workshop: Workshop) -> None:
        stages: list[ComposeStage] = []
        ended = threading.Event()

        def compose_and_tell(*args: Any, **options: Any) -> Composition:
            try:
                return compose(*args, **options)
            finally:
                ended.set()

        async def main() -> None:
            with anyio.CancelScope() as scope:

                def stop(progress: ComposeProgress) -> None:
                    stages.append(progress.stage)
                    if progress.stage is ComposeStage.GENERATE:
                        scope.cancel()

                await _in_thread(compose_and_tell)(["demo/fox"], SCENE, **options(workshop, on_progress=stop))
                raise AssertionError("the call was not cancelled")
            assert await anyio.to_thread.run_sync(ended.wait, 30)

        anyio.run(main)
        assert stages.count(ComposeStage.GENERATE) == 1
        assert len(workshop.registry.intents) == 1
        assert workshop.registry.results == []
