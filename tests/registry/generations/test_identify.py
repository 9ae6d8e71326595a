"""A picture leads back to its generation: by its file, or by what it looks like."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from sqlalchemy import text
from support.prepared import After
from support.registry import BASE_URL, RegistryUnderTest
from support.versions import Steps, accepted, stand_in_fingerprint

from sdk.client import Client
from sdk.errors import PolicyDenied
from sdk.spec.digest import Digest
from sdk.spec.fingerprint import FINGERPRINT_BITS, Fingerprint
from sdk.spec.identify import MAX_MATCHES, NEAR, IdentifyAnswer, IdentifyQuery
from sdk.spec.ids import TenantName
from sdk.spec.watermark import WatermarkId

MARK, OTHER_MARK = WatermarkId("wm61:0123456789abcdef"), WatermarkId("wm61:0000000000000001")
ELSEWHERE = Digest.of(b"a copy")


def turned(fingerprint: Fingerprint, bits: int) -> Fingerprint:
    """The same with its last `bits` turned."""
    return Fingerprint(f"dct256:{int(fingerprint.removeprefix('dct256:'), 16) ^ (2**bits - 1):064x}")


@pytest.fixture
def generated(after: After) -> Iterator[tuple[RegistryUnderTest, str]]:
    with after(generate).copy() as registry:
        yield registry, after(generate).made


def generate(registry: RegistryUnderTest) -> str:
    """A generation of two images, "one" and "two"."""
    steps = Steps(registry)
    fox = steps.approved()
    grant = accepted(steps.compose(fox))
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], fox)))
    generation: str = grant["id"]
    return generation


def ask(registry: RegistryUnderTest, name: str = "auditor", **members: Any) -> IdentifyAnswer:
    with Client(BASE_URL, registry.credentials[name], transport=registry.transport) as client:
        return client.identify(IdentifyQuery(**{"digest": ELSEWHERE, **members}))


class TestIdentify:
    def test_the_very_file_is_found_by_its_digest(self, generated: tuple[RegistryUnderTest, str]) -> None:
        registry, generation = generated
        (match,) = ask(registry, digest=Digest.of(b"two")).matches
        assert (match.generation.id, match.image, match.distance) == (generation, Digest.of(b"two"), None)
        assert match.generation.versions == ("demo/fox@1",)

    @pytest.mark.parametrize("bits", [0, 1, NEAR])
    def test_a_copy_is_found_by_what_it_looks_like(self, generated: tuple[RegistryUnderTest, str], bits: int) -> None:
        registry, generation = generated
        (match,) = ask(registry, fingerprints=(turned(stand_in_fingerprint(b"one"), bits),)).matches
        assert (match.generation.id, match.image, match.distance) == (generation, Digest.of(b"one"), bits)

    def test_what_looks_otherwise_is_not_found(self, generated: tuple[RegistryUnderTest, str]) -> None:
        registry, _ = generated
        assert ask(registry, fingerprints=(turned(stand_in_fingerprint(b"one"), NEAR + 1),)).matches == ()
        assert ask(registry).matches == ()

    def test_the_very_file_comes_first_and_once_and_then_the_nearest(
        self, generated: tuple[RegistryUnderTest, str]
    ) -> None:
        registry, _ = generated
        near_two = turned(stand_in_fingerprint(b"two"), 5)
        found = ask(registry, digest=Digest.of(b"one"), fingerprints=(stand_in_fingerprint(b"one"), near_two))
        assert [(match.image, match.distance) for match in found.matches] == [
            (Digest.of(b"one"), None),
            (Digest.of(b"two"), 5),
        ]

    def test_no_more_are_told_than_the_limit(self, registry: RegistryUnderTest) -> None:
        steps = Steps(registry)
        fox = steps.approved()
        images = tuple(f"{number}".encode() for number in range(MAX_MATCHES + 2))
        for number in range(2):
            grant = accepted(steps.compose(fox, key=f"{number}" * 16, count=len(images)))
            result = steps.result(grant["id"], fox, images=images)
            accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", result))
        four = tuple(stand_in_fingerprint(image) for image in images[:4])
        assert len(ask(registry, fingerprints=four).matches) == 8
        assert len(ask(registry, digest=Digest.of(images[0]), fingerprints=four).matches) == 8


class TestWatermarks:
    def test_a_copy_is_found_by_its_watermark_alone(self, registry: RegistryUnderTest) -> None:
        generation = record_marked(registry)
        (match,) = ask(registry, watermarks=(OTHER_MARK, MARK)).matches
        assert (match.generation.id, match.image, match.watermark, match.distance) == (
            generation,
            Digest.of(b"one"),
            MARK,
            None,
        )

    def test_both_that_it_shows_are_told(self, registry: RegistryUnderTest) -> None:
        record_marked(registry)
        near = turned(stand_in_fingerprint(b"one"), 3)
        (match,) = ask(registry, watermarks=(MARK,), fingerprints=(near,)).matches
        assert (match.watermark, match.distance) == (MARK, 3)

    def test_an_unknown_one_finds_nothing(self, registry: RegistryUnderTest) -> None:
        record_marked(registry)
        assert ask(registry, watermarks=(OTHER_MARK,)).matches == ()

    def test_another_tenant_finds_nothing(self, registry: RegistryUnderTest) -> None:
        record_marked(registry)
        for lookup in ("near_fingerprints", "near_by_part"):
            asked = f"SELECT count(*) FROM {lookup}(ARRAY[CAST(:bits AS bit(256))], 31)"
            for tenant, expected in (("demo", 1), ("other", 0)):
                with registry.runtime.transaction(TenantName(tenant)) as session:
                    found = session.execute(text(asked), {"bits": stand_in_fingerprint(b"one").bits}).scalar_one()
                assert found == expected

    @pytest.mark.parametrize("seed", range(20))
    def test_the_index_misses_nothing_that_is_near(self, registry: RegistryUnderTest, seed: int) -> None:
        record_marked(registry)
        places = random.Random(seed).sample(range(FINGERPRINT_BITS), NEAR)
        (match,) = ask(registry, fingerprints=(with_turned(places),)).matches
        assert match.distance == NEAR


class TestCrops:
    @pytest.mark.parametrize("seed", range(3))
    def test_within_fifteen_bits_are_always_found(self, registry: RegistryUnderTest, seed: int) -> None:
        record_marked(registry)
        places = random.Random(seed).sample(range(FINGERPRINT_BITS), 15)
        (match,) = ask(registry, crops=(with_turned(places),)).matches
        assert match.distance == 15

    def test_further_ones_are_found_by_an_equal_part(self, registry: RegistryUnderTest) -> None:
        """One bit in each of the sixteen parts leaves no part equal; a crop beside it still has one."""
        record_marked(registry)
        everywhere = [16 * part for part in range(16)]
        assert ask(registry, crops=(with_turned(everywhere),)).matches == ()
        assert ask(registry, fingerprints=(with_turned(everywhere),)).matches[0].distance == 16
        (match,) = ask(registry, crops=(with_turned(everywhere), with_turned(range(NEAR)))).matches
        assert match.distance == NEAR

    def test_what_is_further_than_near_is_not_found(self, registry: RegistryUnderTest) -> None:
        record_marked(registry)
        assert ask(registry, crops=(with_turned(range(NEAR + 1)),)).matches == ()

    def test_the_nearest_of_crops_and_whole_is_told(self, registry: RegistryUnderTest) -> None:
        record_marked(registry)
        (match,) = ask(registry, fingerprints=(with_turned(range(9)),), crops=(with_turned(range(4)),)).matches
        assert match.distance == 4


def with_turned(places: Iterable[int]) -> Fingerprint:
    """The fingerprint of "one" with these bits turned."""
    number = int(stand_in_fingerprint(b"one").removeprefix("dct256:"), 16) ^ sum(1 << place for place in places)
    return Fingerprint(f"dct256:{number:064x}")


def record_marked(registry: RegistryUnderTest) -> str:
    """A generation of two images, the first with a watermark."""
    steps = Steps(registry)
    fox = steps.approved()
    grant = accepted(steps.compose(fox))
    result = steps.result(grant["id"], fox)
    first, *others = result.images
    marked = (first.model_copy(update={"watermark": MARK}), *others)
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", result.model_copy(update={"images": marked})))
    return str(grant["id"])


class TestReaders:
    def test_an_application_finds_its_own_only(self, generated: tuple[RegistryUnderTest, str]) -> None:
        registry, _ = generated
        assert len(ask(registry, "app", digest=Digest.of(b"one")).matches) == 1

    def test_a_reviewer_is_refused(self, generated: tuple[RegistryUnderTest, str]) -> None:
        registry, _ = generated
        with pytest.raises(PolicyDenied):
            ask(registry, "reviewer", digest=Digest.of(b"one"))


def test_an_image_without_a_fingerprint_is_found_by_its_file(registry: RegistryUnderTest) -> None:
    steps = Steps(registry)
    fox = steps.approved()
    grant = accepted(steps.compose(fox))
    result = steps.result(grant["id"], fox)
    flat = tuple(image.model_copy(update={"fingerprints": None}) for image in result.images)
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", result.model_copy(update={"images": flat})))
    assert len(ask(registry, digest=Digest.of(b"one")).matches) == 1
    with registry.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM image_fingerprints")).scalar_one() == 0
