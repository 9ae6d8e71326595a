"""Samples of versions, whose credentials composed images carry on: fetched once, by digest, and only where they are signed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
from support.credentials import PICTURE, signer_of
from support.fake_registry import FakeRegistry
from support.governed import EMBEDDING, NOW, World, make_manifest, record_id

from sdk.compose import samples
from sdk.compose.samples import signed_samples
from sdk.credentials.authority import create_authority
from sdk.credentials.mark import encode_png
from sdk.credentials.sample import SampleOrigin, mark_sample
from sdk.errors import DigestMismatch
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, parse_version_ref
from sdk.spec.manifest import ArtefactDescriptor, ArtefactRole
from sdk.verify import VerifiedVersion, verify_version

PLAIN = encode_png(PICTURE)


@pytest.fixture(autouse=True)
def _nothing_seen() -> Iterator[None]:
    samples._seen.clear()
    yield
    samples._seen.clear()


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder: Path = tmp_path_factory.mktemp("keys")
    create_authority(folder, organization="Demo", now=datetime.now(UTC))
    origin = SampleOrigin(
        concept=ConceptId("demo/fox"), job=record_id("job"), base_model=Digest.of(b"base"), software="imprimatur"
    )
    return mark_sample(PLAIN, origin, signer_of(folder))


def approved_with(*files: bytes) -> tuple[FakeRegistry, VerifiedVersion]:
    """A registry with one approved version that has these samples."""
    plain = make_manifest()
    named = tuple(
        ArtefactDescriptor(
            name=f"samples/{number}.png",
            role=ArtefactRole.SAMPLE,
            media_type="image/png",
            size=len(file),
            digest=Digest.of(file),
        )
        for number, file in enumerate(files)
    )
    world = World(manifest=make_manifest(EMBEDDING, artefacts=(*plain.artefacts, *named)))
    world.approve()
    registry = FakeRegistry(world)
    registry.blobs |= {Digest.of(file): file for file in files}
    version = verify_version(
        world.bundle(), ref=parse_version_ref(world.name), trust=world.trust, now=NOW, status_list=world.status_list()
    )
    return registry, version


def test_the_first_sample_is_fetched_once_a_process(signed: bytes) -> None:
    registry, version = approved_with(signed, PLAIN)
    with registry.client() as client:
        assert signed_samples(client, [version]) == signed_samples(client, [version]) == {"demo/fox@1": signed}
    assert registry.asked == [f"GET /v1/concepts/demo/fox/versions/1/files/{Digest.of(signed)}"]


def test_one_that_is_not_signed_has_nothing_to_carry_on() -> None:
    registry, version = approved_with(PLAIN)
    with registry.client() as client:
        assert signed_samples(client, [version]) == signed_samples(client, [version]) == {}
    assert len(registry.asked) == 1


def test_a_version_without_samples_asks_for_none() -> None:
    registry, version = approved_with()
    with registry.client() as client:
        assert signed_samples(client, [version]) == {}
    assert registry.asked == []


def test_other_bytes_than_the_approved_ones_are_refused(signed: bytes) -> None:
    registry, version = approved_with(signed)
    registry.blobs[Digest.of(signed)] = PLAIN
    with registry.client() as client, pytest.raises(DigestMismatch):
        signed_samples(client, [version])


def test_one_that_another_thread_makes_room_with_meanwhile_is_handed_out_still(
    signed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, version = approved_with(signed)
    others, other = approved_with(PLAIN)

    class Crossed(OrderedDict[Digest, bytes | None]):
        """Once, just after it was found to hold something, another thread comes to keep something else."""

        thread: Thread | None = None

        def __contains__(self, key: object) -> bool:
            found = super().__contains__(key)
            if found and not self.thread:
                self.thread = Thread(target=lambda: signed_samples(theirs, [other]))
                self.thread.start()
                self.thread.join(0.5)  # it is still waiting then, or has done it
            return found

    crossed = Crossed()
    monkeypatch.setattr(samples, "_seen", crossed)
    monkeypatch.setattr(samples, "_KEPT", 1)
    with registry.client() as client, others.client() as theirs:
        assert signed_samples(client, [version]) == signed_samples(client, [version]) == {"demo/fox@1": signed}
        assert crossed.thread
        crossed.thread.join()
    assert list(crossed) == [Digest.of(PLAIN)]
