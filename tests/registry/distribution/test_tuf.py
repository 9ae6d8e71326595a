"""What is distributed over TUF, read by the real ngclient: publishing, rotation, thresholds, expiry, rollback, freeze."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from support.database import DatabaseServer
from support.governed import P256Signer, fixed_signer
from support.registry import RegistryUnderTest, make_test_registry
from tuf.api.metadata import Metadata
from tuf.ngclient import TargetFile, Updater
from tuf.ngclient._internal import trusted_metadata_set

from registry.distribution.repository import FreshRepository, TufRepository
from sdk.client import Client
from sdk.errors import ConfigurationError, NotFound, ServiceUnavailable, TrustRootInvalid
from sdk.signing.tuf_client import fetch_target, fetch_targets

ROOT, SECOND, THIRD, ONLINE = (fixed_signer(name) for name in ("tuf root", "tuf second", "tuf third", "tuf online"))
NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(days=365)


class Clock:
    """The time of ngclient, which takes it from the system."""

    now_is = NOW

    @classmethod
    def now(cls, tz: object) -> datetime:
        return cls.now_is


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr(Clock, "now_is", NOW)
    monkeypatch.setattr(trusted_metadata_set.datetime, "datetime", Clock)
    return Clock


@pytest.fixture
def repository(tmp_path: Path) -> TufRepository:
    made = TufRepository(tmp_path / "tuf")
    made.create([ROOT], ONLINE, {"trust-root.json": b"one"}, threshold=1, expires=LATER, now=NOW)
    return made


class Reader:
    """A client with a cache of its own."""

    def __init__(self, repository: TufRepository, folder: Path, served: Path | None = None) -> None:
        self.root = folder / "root.json"
        folder.mkdir()
        self.root.write_bytes(repository.first_root.read_bytes())
        self.cache = folder / "cache"
        self.served = served or repository.folder
        self.asked: list[str] = []

    def fetch(self, name: str) -> bytes:
        self.asked.append(name)
        try:
            return (self.served / name).read_bytes()
        except FileNotFoundError as exc:
            raise NotFound(name) from exc

    def read(self, name: str = "trust-root.json") -> bytes:
        return fetch_target(name, root=self.root, cache=self.cache, fetch=self.fetch)


@pytest.fixture
def reader(repository: TufRepository, tmp_path: Path) -> Reader:
    return Reader(repository, tmp_path / "client")


def publish(repository: TufRepository, content: bytes, *signers: object, now: datetime = NOW) -> None:
    repository.publish(signers or [ROOT], ONLINE, {"trust-root.json": content}, expires=LATER, now=now)  # type: ignore[arg-type]


class TestReading:
    def test_gives_what_was_published_last(self, repository: TufRepository, reader: Reader) -> None:
        assert reader.read() == b"one"
        publish(repository, b"two")
        assert reader.read() == b"two"

    def test_several_are_read_by_one_refresh_and_hold_until_their_timestamp_expires(
        self, repository: TufRepository, reader: Reader
    ) -> None:
        repository.publish([ROOT], ONLINE, {"a": b"1", "b": b"2"}, expires=LATER, now=NOW)
        told = fetch_targets(("a", "b"), root=reader.root, cache=reader.cache, fetch=reader.fetch)
        assert told.targets == {"a": b"1", "b": b"2"}
        assert reader.asked.count("metadata/timestamp.json") == 1
        timestamp = json.loads((repository.folder / "metadata/timestamp.json").read_bytes())
        assert told.valid_until == datetime.fromisoformat(timestamp["signed"]["expires"])

    def test_refuses_what_nobody_published(self, reader: Reader) -> None:
        with pytest.raises(TrustRootInvalid, match=r"distributes no other\.json"):
            reader.read("other.json")

    def test_refuses_a_target_that_was_changed(self, repository: TufRepository, reader: Reader) -> None:
        (target,) = (repository.folder / "targets").iterdir()
        target.write_bytes(b"owe")
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()

    def test_refuses_metadata_that_was_changed(self, repository: TufRepository, reader: Reader) -> None:
        path = repository.folder / "metadata" / "1.targets.json"
        before = path.read_bytes()
        path.write_bytes(before.replace(b'"length":3', b'"length":4'))
        assert path.read_bytes() != before
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()

    def test_says_when_the_registry_is_away(self, reader: Reader) -> None:
        def away(name: str) -> bytes:
            raise ServiceUnavailable("away")

        with pytest.raises(ServiceUnavailable, match="cannot be fetched"):
            fetch_target("trust-root.json", root=reader.root, cache=reader.cache, fetch=away)

    def test_needs_the_root_that_was_given_out_of_band(self, reader: Reader, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no TUF root"):
            fetch_target("x", root=tmp_path / "nowhere.json", cache=reader.cache, fetch=reader.fetch)
        reader.root.write_bytes(b"{}")
        with pytest.raises(TrustRootInvalid):
            reader.read()

    def test_refuses_another_repository(self, reader: Reader, tmp_path: Path) -> None:
        other = TufRepository(tmp_path / "other")
        other.create([SECOND], ONLINE, {"trust-root.json": b"evil"}, threshold=1, expires=LATER, now=NOW)
        reader.served = other.folder
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()


class TestCache:
    def test_is_shared_by_threads_that_read_at_once(
        self, repository: TufRepository, reader: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository.rotate([ROOT], [SECOND], ONLINE, threshold=1, expires=LATER)
        publish(repository, b"two", SECOND)
        together, link = Barrier(8), os.symlink

        def link_slowly(target: str, path: str) -> None:
            time.sleep(0.005)  # another thread has its turn
            link(target, path)

        def read(_: int) -> set[bytes]:
            together.wait()
            return {reader.read() for _ in range(3)}

        monkeypatch.setattr(os, "symlink", link_slowly)
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(read, range(8))) == [{b"two"}] * 8
        assert reader.asked.count("metadata/2.root.json") == 1

    def test_gives_no_bytes_that_were_changed_in_it_meanwhile(
        self, reader: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        download = Updater.download_target

        def changed(updater: Updater, target: TargetFile) -> str:
            path = download(updater, target)
            Path(path).write_bytes(b"owe")
            return path

        monkeypatch.setattr(Updater, "download_target", changed)
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()

    def test_that_cannot_be_written_is_named(self, reader: Reader) -> None:
        reader.cache.mkdir()
        (reader.cache / "root_history").write_text("a file in the way")
        with pytest.raises(ConfigurationError, match=rf"cannot be kept in {reader.cache}: .*; make it a folder"):
            reader.read()


class TestRotation:
    def test_leads_from_the_first_root_to_the_newest(self, repository: TufRepository, reader: Reader) -> None:
        repository.rotate([ROOT], [SECOND], ONLINE, threshold=1, expires=LATER)
        publish(repository, b"two", SECOND)
        repository.rotate([SECOND], [THIRD], ONLINE, threshold=1, expires=LATER)
        publish(repository, b"three", THIRD)
        assert reader.read() == b"three"

    def test_ends_what_the_old_key_could(self, repository: TufRepository, reader: Reader) -> None:
        repository.rotate([ROOT], [SECOND], ONLINE, threshold=1, expires=LATER)
        publish(repository, b"two", ROOT)
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()

    def test_needs_the_old_keys(self, repository: TufRepository, reader: Reader) -> None:
        repository.rotate([THIRD], [SECOND], ONLINE, threshold=1, expires=LATER)
        publish(repository, b"two", SECOND)
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()

    def test_of_the_online_key_ends_the_old_one(self, repository: TufRepository, reader: Reader) -> None:
        repository.rotate([ROOT], [ROOT], THIRD, threshold=1, expires=LATER)
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()
        repository.publish([ROOT], THIRD, {"trust-root.json": b"two"}, expires=LATER, now=NOW)
        assert reader.read() == b"two"


def test_root_key_of_a_hardware_module_is_followed(repository: TufRepository, reader: Reader) -> None:
    module = P256Signer()
    repository.rotate([ROOT], [module], ONLINE, threshold=1, expires=LATER)
    publish(repository, b"two", module)
    assert reader.read() == b"two"


class TestThreshold:
    def test_counts_distinct_keys(self, repository: TufRepository, reader: Reader) -> None:
        repository.rotate([ROOT], [ROOT, SECOND], ONLINE, threshold=2, expires=LATER)
        publish(repository, b"two", SECOND)
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()
        publish(repository, b"three", ROOT, SECOND)
        assert reader.read() == b"three"

    def test_cannot_be_more_than_there_are_keys(self, repository: TufRepository) -> None:
        with pytest.raises(ConfigurationError, match="2 of 1 root keys"):
            repository.rotate([ROOT], [SECOND], ONLINE, threshold=2, expires=LATER)


class TestExpiry:
    @pytest.mark.parametrize(("days", "role"), [(1, "timestamp"), (400, "root")])
    def test_is_refused(self, reader: Reader, clock: type[Clock], days: int, role: str) -> None:
        clock.now_is = NOW + timedelta(days=days)
        with pytest.raises(TrustRootInvalid, match=rf"{role}\.json is expired|{role}.*expired"):
            reader.read()

    def test_does_not_come_while_the_registry_keeps_it_fresh(
        self, repository: TufRepository, reader: Reader, clock: type[Clock]
    ) -> None:
        for day in range(30):
            clock.now_is = NOW + timedelta(days=day)
            repository.keep_fresh(ONLINE, clock.now_is)
            assert reader.read() == b"one"

    def test_is_put_off_at_half_of_a_life_and_not_before(self, repository: TufRepository) -> None:
        assert not repository.keep_fresh(ONLINE, NOW + timedelta(hours=11))
        assert repository.keep_fresh(ONLINE, NOW + timedelta(hours=12))
        assert not repository.keep_fresh(ONLINE, NOW + timedelta(hours=13))


class TestAttacks:
    def test_freeze_is_found_out_when_the_timestamp_ends(
        self, repository: TufRepository, tmp_path: Path, clock: type[Clock]
    ) -> None:
        frozen = tmp_path / "frozen"
        shutil.copytree(repository.folder, frozen)
        reader = Reader(repository, tmp_path / "c", served=frozen)
        publish(repository, b"the key was revoked")
        assert reader.read() == b"one", "within a day nobody can tell"
        clock.now_is = NOW + timedelta(days=1, seconds=1)
        with pytest.raises(TrustRootInvalid, match="expired"):
            reader.read()

    def test_rollback_is_refused_at_once(self, repository: TufRepository, tmp_path: Path) -> None:
        old = tmp_path / "old"
        shutil.copytree(repository.folder, old)
        publish(repository, b"two")
        reader = Reader(repository, tmp_path / "c")
        assert reader.read() == b"two"
        reader.served = old
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()

    def test_a_mix_of_old_and_new_is_refused(self, repository: TufRepository, reader: Reader) -> None:
        publish(repository, b"two")
        folder = repository.folder / "metadata"
        (folder / "2.targets.json").write_bytes((folder / "1.targets.json").read_bytes())
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()

    def test_the_online_key_makes_nobody_trust_anything_else(self, repository: TufRepository, reader: Reader) -> None:
        repository.publish([ONLINE], ONLINE, {"trust-root.json": b"evil"}, expires=LATER, now=NOW)
        with pytest.raises(TrustRootInvalid, match="does not hold"):
            reader.read()


@pytest.fixture
def served(postgres_server: DatabaseServer, repository: TufRepository) -> Iterator[RegistryUnderTest]:
    files = FreshRepository(repository=repository, online=ONLINE)
    with postgres_server.fresh_database() as url:
        with make_test_registry(url, change=lambda runtime: replace(runtime, tuf=files, clock=lambda: NOW)) as made:
            yield made


class TestRoutes:
    def test_serve_ngclient_through_our_client(self, served: RegistryUnderTest, reader: Reader) -> None:
        with Client("http://registry.test", "imp_x", transport=served.transport) as client:
            found = fetch_target("trust-root.json", root=reader.root, cache=reader.cache, fetch=client.tuf_file)
        assert found == b"one"

    def test_may_be_cached_for_ever_but_for_the_timestamp(self, served: RegistryUnderTest) -> None:
        anybody = served.client(None)
        for name, cached in (("1.root.json", True), ("1.targets.json", True), ("timestamp.json", False)):
            answer = anybody.get(f"/v1/tuf/metadata/{name}")
            assert answer.status_code == 200
            assert ("immutable" in answer.headers["cache-control"]) is cached

    def test_sign_the_timestamp_anew_before_it_ends(self, served: RegistryUnderTest, repository: TufRepository) -> None:
        path = repository.folder / "metadata" / "timestamp.json"
        before = Metadata.from_bytes(path.read_bytes()).signed.version
        repository._renew_online(ONLINE, NOW - timedelta(hours=13), snapshot=False)
        answer = served.client(None).get("/v1/tuf/metadata/timestamp.json")
        assert Metadata.from_bytes(answer.content).signed.version == before + 2

    @pytest.mark.parametrize(
        "path",
        ["metadata/2.root.json", "metadata/root.json", "metadata/..%2Froot.json", "targets/x.json", "targets/%2e%2e"],
    )
    def test_know_nothing_else(self, served: RegistryUnderTest, path: str) -> None:
        assert served.client(None).get(f"/v1/tuf/{path}").status_code == 404

    def test_say_that_there_is_none(self, registry: RegistryUnderTest) -> None:
        assert registry.client(None).get("/v1/tuf/metadata/timestamp.json").status_code == 404
