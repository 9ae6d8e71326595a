"""Whatever a registry answers and whatever is asked: an error of ours or a recorded image, never anything else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fake_registry import FakeRegistry
from support.governed import NOW, World, fixed_signer
from support.memory_log import MemoryLog
from support.tiny_backbone import make_backbone_dir
from support.workshop import SCENE, USE, Workshop, make_workshop

from sdk.client import Client
from sdk.compose import Composition, compose
from sdk.errors import ImprimaturError, InputError, VerificationError
from sdk.spec.api import GenerationGrant
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.log_entry import AuditEventType

ONE_BY_ONE = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
Lie = Callable[[str, bytes], bytes]


@dataclass
class Wire:
    """The wire to a registry: keeps every answer, and lies about one of them."""

    registry: FakeRegistry
    lie_at: int = -1
    lie: Lie = lambda route, content: content

    def __post_init__(self) -> None:
        self.answers: list[tuple[str, bytes]] = []
        self.connection: Client | None = None  # of a program that goes on

    def client(self) -> Client:
        return Client(
            "http://registry.test", "imp_x", transport=httpx.MockTransport(self._answer), sleep=lambda _: None
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = self.registry._answer(request)
        route = f"{request.method} {request.url.path}"
        self.answers.append((route, answer.content))
        if len(self.answers) - 1 != self.lie_at:
            return answer
        return httpx.Response(answer.status_code, content=self.lie(route, answer.content))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    return make_workshop(folder, base=make_backbone_dir(folder / "sd", "sd"))


@pytest.fixture(scope="module")
def genuine(workshop: Workshop) -> list[tuple[str, bytes]]:
    """The answers of an honest compose call, in order."""
    wire = Wire(workshop.registry)
    run(workshop, wire)
    return wire.answers


def run(workshop: Workshop, wire: Wire, scene: str = SCENE, **options: Any) -> Composition:
    memory = workshop.profile.path.with_suffix(".seen")
    for note in memory.glob("*") if memory.exists() else ():
        note.unlink()  # each call stands for a program of its own
    call = (
        {"steps": 1, "profile": workshop.profile, "client": wire.connection or wire.client(), "clock": lambda: NOW}
        | USE
        | options
    )
    return compose(["demo/fox"], scene, **call)


def again(workshop: Workshop, wire: Wire) -> Composition:
    """Another call on the wire's connection, as a program makes it."""
    call = {"steps": 1, "profile": workshop.profile, "client": wire.connection, "clock": lambda: NOW} | USE
    return compose(["demo/fox"], SCENE, **call)


def warmed(workshop: Workshop) -> Wire:
    """The wire of a program that has composed once."""
    wire = Wire(workshop.registry)
    wire.connection = wire.client()
    run(workshop, wire)
    wire.answers.clear()
    return wire


@pytest.fixture(scope="module")
def twice(workshop: Workshop) -> list[tuple[str, bytes]]:
    """The answers of an honest second call, in order."""
    wire = warmed(workshop)
    again(workshop, wire)
    return wire.answers


def genuine_error(told: bytes) -> bytes:
    """An answer in which nothing is wrong but that it proves nothing: its proofs are empty."""
    parsed = json.loads(told)
    return json.dumps({**parsed, "growth": None, **({"inclusion": []} if "inclusion" in parsed else {})}).encode()


def assert_refused_or_recorded(workshop: Workshop, wire: Wire, **options: Any) -> None:
    before = len(workshop.registry.results)
    try:
        composed = run(workshop, wire, **options)
    except ImprimaturError:
        return
    recorded = {image.digest for result in workshop.registry.results[before:] for image in result.images}
    assert recorded == {image.digest for image in composed.images}


class TestAnswers:
    def test_the_wire_itself_changes_nothing(self, workshop: Workshop, genuine: list[tuple[str, bytes]]) -> None:
        assert len(genuine) >= 7
        assert run(workshop, Wire(workshop.registry)).images

    @ONE_BY_ONE
    @given(data=st.data())
    def test_truncated(self, workshop: Workshop, genuine: list[tuple[str, bytes]], data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(genuine) - 1))
        kept = data.draw(st.floats(0, 0.999))
        wire = Wire(workshop.registry, at, lambda _, content: content[: int(len(content) * kept)])
        with pytest.raises(ImprimaturError):
            run(workshop, wire)

    @ONE_BY_ONE
    @given(data=st.data())
    def test_with_a_byte_changed(
        self, workshop: Workshop, genuine: list[tuple[str, bytes]], data: st.DataObject
    ) -> None:
        at = data.draw(st.integers(0, len(genuine) - 1))
        place, bits = data.draw(st.floats(0, 0.999)), data.draw(st.integers(1, 255))

        def flip(_: str, content: bytes) -> bytes:
            index = int(len(content) * place)
            return content[:index] + bytes([content[index] ^ bits]) + content[index + 1 :]

        assert_refused_or_recorded(workshop, Wire(workshop.registry, at, flip))

    @ONE_BY_ONE
    @given(data=st.data())
    def test_swapped_with_that_of_another_route(
        self, workshop: Workshop, genuine: list[tuple[str, bytes]], data: st.DataObject
    ) -> None:
        at = data.draw(st.integers(0, len(genuine) - 1))
        others = [content for route, content in genuine if route != genuine[at][0]]
        other = data.draw(st.sampled_from(others))
        with pytest.raises(ImprimaturError):
            run(workshop, Wire(workshop.registry, at, lambda route, content: other))

    @ONE_BY_ONE
    @given(data=st.data(), content=st.binary(max_size=200))
    def test_of_anything_at_all(
        self, workshop: Workshop, genuine: list[tuple[str, bytes]], data: st.DataObject, content: bytes
    ) -> None:
        at = data.draw(st.integers(0, len(genuine) - 1))
        with pytest.raises(ImprimaturError):
            run(workshop, Wire(workshop.registry, at, lambda route, _: content))


class TestWarm:
    """The second call of a program, which rests on what the first one verified and asks for a grant and a receipt alone."""

    def test_asks_for_a_grant_and_a_receipt(self, twice: list[tuple[str, bytes]]) -> None:
        assert [route.split("/")[-1] for route, _ in twice] == ["generations", "result"]

    @ONE_BY_ONE
    @given(data=st.data())
    def test_no_lie_about_either_yields_an_image_that_is_not_recorded(
        self, workshop: Workshop, twice: list[tuple[str, bytes]], data: st.DataObject
    ) -> None:
        wire = warmed(workshop)
        wire.lie_at = data.draw(st.integers(0, 1))
        told = twice[wire.lie_at][1]
        kept, place, bits = data.draw(st.tuples(st.floats(0, 0.999), st.floats(0, 0.999), st.integers(1, 255)))
        index = int(len(told) * place)
        flipped = told[:index] + bytes([told[index] ^ bits]) + told[index + 1 :]
        lies = (told[: int(len(told) * kept)], flipped, told, twice[1 - wire.lie_at][1], genuine_error(told))
        lie = data.draw(st.sampled_from(lies))
        wire.lie = lambda *_: lie
        before = len(workshop.registry.results)
        try:
            composed = again(workshop, wire)
        except ImprimaturError:
            return
        recorded = {image.digest for result in workshop.registry.results[before:] for image in result.images}
        assert recorded == {image.digest for image in composed.images}


class TestReplays:
    def at(self, genuine: list[tuple[str, bytes]], route: str) -> int:
        return next(index for index, (asked, _) in enumerate(genuine) if asked.startswith(route))

    def test_an_old_grant_does_not_stand_for_a_new_intent(
        self, workshop: Workshop, genuine: list[tuple[str, bytes]]
    ) -> None:
        at = self.at(genuine, "POST /v1/generations")
        with pytest.raises(VerificationError, match="about another intent than ours"):
            run(workshop, Wire(workshop.registry, at, lambda *_: genuine[at][1]))

    def test_an_old_receipt_does_not_stand_for_a_new_result(
        self, workshop: Workshop, genuine: list[tuple[str, bytes]]
    ) -> None:
        at = next(index for index, (route, _) in enumerate(genuine) if route.endswith("/result"))
        told = r"is not for generation:recorded|about another result than ours"  # by the order of tests, ids are equal or not
        with pytest.raises(VerificationError, match=told):
            run(workshop, Wire(workshop.registry, at, lambda *_: genuine[at][1]))

    def test_a_receipt_for_another_result_of_the_same_generation(
        self, workshop: Workshop, genuine: list[tuple[str, bytes]]
    ) -> None:
        at = next(index for index, (route, _) in enumerate(genuine) if route.endswith("/result"))
        log = workshop.registry.log

        def other(route: str, _: bytes) -> bytes:
            generation = route.split("/")[-2]
            index = log.append(AuditEventType.GENERATION_RECORDED, generation, actor="demo/app")
            return encode_canonical(log.receipt(index))

        with pytest.raises(VerificationError, match="about another result than ours"):
            run(workshop, Wire(workshop.registry, at, other))

    def test_a_decision_that_was_not_the_one_logged(self, workshop: Workshop, genuine: list[tuple[str, bytes]]) -> None:
        def stretched(_: str, content: bytes) -> bytes:
            opened = parse_wire(GenerationGrant, content, "grant")
            unlogged = workshop.registry.decision(opened.context)
            index = workshop.registry.log.append(AuditEventType.GENERATION_PERMITTED, opened.id, actor="demo/app")
            receipt = workshop.registry.log.receipt(index)
            return encode_canonical(opened.model_copy(update={"decision": unlogged, "receipt": receipt}))

        at = self.at(genuine, "POST /v1/generations")
        with pytest.raises(VerificationError, match="about another intent than ours"):
            run(workshop, Wire(workshop.registry, at, stretched))

    def test_a_grant_of_somebody_else(self, workshop: Workshop) -> None:
        registry = workshop.registry
        registry.principal = "demo/other"
        try:
            with pytest.raises(VerificationError, match="is not for generation:permitted"):
                run(workshop, Wire(registry))
        finally:
            registry.principal = "demo/app"


class TestForeign:
    @pytest.mark.parametrize("signer", ["app", "reviewer", "root", "training-service"])
    def test_a_log_signed_in_another_role(self, workshop: Workshop, signer: str) -> None:
        registry = workshop.registry
        honest = registry.log
        forged = MemoryLog(honest.origin, fixed_signer(signer), honest.at)
        forged.contents = honest.contents
        registry.log = forged
        try:
            with pytest.raises(VerificationError):
                run(workshop, Wire(registry))
        finally:
            registry.log = honest

    def test_a_version_of_another_world(self, workshop: Workshop) -> None:
        registry = workshop.registry
        honest = registry.worlds["demo/fox"]
        registry.worlds["demo/fox"] = World()
        registry.worlds["demo/fox"].approve()
        try:
            with pytest.raises(ImprimaturError):
                run(workshop, Wire(registry))
        finally:
            registry.worlds["demo/fox"] = honest


ODD = st.one_of(
    st.none(), st.booleans(), st.text(max_size=8), st.floats(), st.integers(-(2**70), 2**70), st.just((8, 8, 8))
)


class TestAsked:
    @ONE_BY_ONE
    @given(
        scene=st.one_of(
            st.text(max_size=60),
            st.lists(st.sampled_from(["{demo/fox}", "{", "}", "<demo-fox>", "<|endoftext|>", "fox", "\0", "\n"])).map(
                "".join
            ),
        )
    )
    def test_scenes(self, workshop: Workshop, scene: str) -> None:
        assert_refused_or_recorded(workshop, Wire(workshop.registry), scene=scene)

    @ONE_BY_ONE
    @given(name=st.sampled_from(["count", "seed", "steps", "guidance", "size"]), value=ODD)
    def test_numbers(self, workshop: Workshop, name: str, value: Any) -> None:
        fits = {"count": range(1, 3), "steps": range(1, 4), "seed": range(2**52), "size": [None], "guidance": [7.5]}
        if isinstance(value, int) and not isinstance(value, bool) and (name != "guidance" or 0 <= value <= 100):
            value = value if value in fits[name] or not 0 < value < 2000 else -1  # no long drawings in a test
        assert_refused_or_recorded(workshop, Wire(workshop.registry), **{name: value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("guidance", value) for value in (math.nan, math.inf, -1.0, "5")),
            *(("count", value) for value in (True, 1.0, "1", None)),
            *(("steps", value) for value in (False, 2.5, 10**9)),
            *(("size", value) for value in ((60, 64), (0, 0), (64,), "64x64", (64.0, 64.0), (4096, 64))),
        ],
    )
    def test_what_cannot_be_drawn_is_refused_before_anybody_is_asked(
        self, workshop: Workshop, name: str, value: Any
    ) -> None:
        wire = Wire(workshop.registry)
        with pytest.raises(InputError, match="size" if name == "size" else name):
            run(workshop, wire, **{name: value})
        assert wire.answers == []

    @ONE_BY_ONE
    @given(use=st.fixed_dictionaries({name: st.text(max_size=12) for name in USE}))
    def test_uses(self, workshop: Workshop, use: dict[str, str]) -> None:
        with pytest.raises(ImprimaturError):
            run(workshop, Wire(workshop.registry), **use)

    @ONE_BY_ONE
    @given(reference=st.text(max_size=30))
    def test_references(self, workshop: Workshop, reference: str) -> None:
        call = USE | {"profile": workshop.profile, "client": Wire(workshop.registry).client()}
        with pytest.raises(ImprimaturError):
            compose([reference], "a photo of {" + reference + "}", **call)


def test_paths_of_the_profile_are_the_only_ones_written(workshop: Workshop) -> None:
    before = {path for path in Path(workshop.folder).rglob("*") if path.is_file()}
    run(workshop, Wire(workshop.registry))
    written = {path for path in Path(workshop.folder).rglob("*") if path.is_file()} - before
    assert all(path.parent.name.endswith(".seen") for path in written)
