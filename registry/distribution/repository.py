"""A TUF repository in a folder (specification 1.0, consistent snapshots). https://theupdateframework.github.io/specification/

FOLDER/metadata/   N.root.json, N.targets.json, N.snapshot.json, timestamp.json
FOLDER/targets/    SHA256.NAME
FOLDER/root.json   the first root: what is given out of band

Rules:
1. `root` and `targets` are signed by the root keys, which are offline; `snapshot` and `timestamp` by one online key.
2. Metadata is never rewritten but for timestamp.json; a new version is a new file, and timestamp.json, written last,
   makes it count.
3. The online key can withhold and repeat, for as long as a timestamp lives; it can make nobody trust another key.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from securesystemslib.exceptions import StorageError
from securesystemslib.signer import Signature, SSlibKey
from securesystemslib.signer import Signer as SslibSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from sdk.errors import ConfigurationError
from sdk.signing.remote import sslib_key
from sdk.signing.signer import Signer

SNAPSHOT_LIFE: Final = timedelta(days=7)
TIMESTAMP_LIFE: Final = timedelta(days=1)
ONLINE_ROLES: Final = (Snapshot.type, Timestamp.type)
OFFLINE_ROLES: Final = (Root.type, Targets.type)


class TufSigner(SslibSigner):
    """One of our signers as securesystemslib's."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._public_key = sslib_key(signer.public_key)

    @property
    def public_key(self) -> SSlibKey:
        return self._public_key

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._signer.keyid, self._signer.sign(payload).hex())

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Any, secrets_handler: Any = None) -> TufSigner:
        raise NotImplementedError("made from a signer that is open already")


@dataclass(frozen=True)
class TufRepository:
    """The repository in `folder`."""

    folder: Path

    @property
    def first_root(self) -> Path:
        return self.folder / "root.json"

    @property
    def exists(self) -> bool:
        return self.first_root.is_file()

    def create(
        self,
        roots: Sequence[Signer],
        online: Signer,
        targets: Mapping[str, bytes],
        *,
        threshold: int,
        expires: datetime,
        now: datetime,
    ) -> None:
        """Make the repository with version 1 of everything. `expires` is of what is signed offline."""
        root = Root(expires=expires, consistent_snapshot=True)
        _set_keys(root, roots, threshold)
        for role in ONLINE_ROLES:
            root.add_key(TufSigner(online).public_key, role)
        signed_root = Metadata(root)
        _sign(signed_root, roots)
        content = signed_root.to_bytes()
        self._write("metadata/1.root.json", content)
        self._sign_targets(Targets(expires=expires), roots, targets)
        self._sign_snapshot(Snapshot(expires=now + SNAPSHOT_LIFE), online)
        self._sign_timestamp(Timestamp(expires=now + TIMESTAMP_LIFE), online)
        self._write("root.json", content)

    def publish(
        self, roots: Sequence[Signer], online: Signer, targets: Mapping[str, bytes], *, expires: datetime, now: datetime
    ) -> None:
        """Distribute `targets` from now on, and nothing else, with new metadata throughout but for the root."""
        before = self._newest(Targets)
        before.version += 1
        before.expires = expires
        before.targets = {}
        self._sign_targets(before, roots, targets)
        self._renew_online(online, now, snapshot=True)

    def rotate(
        self,
        old: Sequence[Signer],
        new: Sequence[Signer],
        online: Signer,
        *,
        threshold: int,
        expires: datetime,
    ) -> None:
        """Sign the next root: `new` are the root keys, `threshold` of which must sign. The old ones sign it as well.

        What is signed by the old keys or another online key counts no more: publish at once.
        """
        root = self._newest(Root)
        root.version += 1
        root.expires = expires
        for role in (*OFFLINE_ROLES, *ONLINE_ROLES):
            for keyid in list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
        _set_keys(root, new, threshold)
        for role in ONLINE_ROLES:
            root.add_key(TufSigner(online).public_key, role)
        signed = Metadata(root)
        _sign(signed, {signer.keyid: signer for signer in (*old, *new)}.values())
        self._write(f"metadata/{root.version}.root.json", signed.to_bytes())

    def keep_fresh(self, online: Signer, now: datetime) -> bool:
        """Sign timestamp and snapshot anew where half of their life is over; says whether anything was."""
        timestamp, snapshot = self._newest(Timestamp), self._newest(Snapshot)
        snapshot_is_old = snapshot.expires - now <= SNAPSHOT_LIFE / 2
        if not snapshot_is_old and timestamp.expires - now > TIMESTAMP_LIFE / 2:
            return False
        self._renew_online(online, now, snapshot=snapshot_is_old)
        return True

    def read(self, name: str) -> bytes:
        """A file of the repository. Raises `FileNotFoundError`; the caller sees to the name."""
        return (self.folder / name).read_bytes()

    def _renew_online(self, online: Signer, now: datetime, *, snapshot: bool) -> None:
        if snapshot:
            listed = self._newest(Snapshot)
            listed.version += 1
            listed.expires = now + SNAPSHOT_LIFE
            self._sign_snapshot(listed, online)
        timestamp = self._newest(Timestamp)
        timestamp.version += 1
        timestamp.expires = now + TIMESTAMP_LIFE
        self._sign_timestamp(timestamp, online)

    def _sign_targets(self, targets: Targets, roots: Sequence[Signer], contents: Mapping[str, bytes]) -> None:
        for name, content in contents.items():
            target = TargetFile.from_data(name, content, ["sha256"])
            targets.targets[name] = target
            self._write(f"targets/{target.hashes['sha256']}.{name}", content)
        signed = Metadata(targets)
        _sign(signed, roots)
        self._write(f"metadata/{targets.version}.targets.json", signed.to_bytes())

    def _sign_snapshot(self, snapshot: Snapshot, online: Signer) -> None:
        snapshot.meta = {"targets.json": MetaFile(self._version_of("targets"))}
        signed = Metadata(snapshot)
        _sign(signed, [online])
        self._write(f"metadata/{snapshot.version}.snapshot.json", signed.to_bytes())

    def _sign_timestamp(self, timestamp: Timestamp, online: Signer) -> None:
        timestamp.snapshot_meta = MetaFile(self._version_of("snapshot"))
        signed = Metadata(timestamp)
        _sign(signed, [online])
        self._write("metadata/timestamp.json", signed.to_bytes())

    def _version_of(self, role: str) -> int:
        versions = [int(path.name.split(".")[0]) for path in (self.folder / "metadata").glob(f"*.{role}.json")]
        if not versions:
            raise ConfigurationError(f"{self.folder} has no {role} metadata; it is damaged: restore it from its backup")
        return max(versions)

    def _newest(self, kind: type[Any]) -> Any:
        named = f"{self._version_of(kind.type)}.{kind.type}" if kind is not Timestamp else kind.type
        path = self.folder / "metadata" / f"{named}.json"
        try:
            return Metadata.from_file(str(path)).signed
        except (RepositoryError, StorageError) as exc:
            raise ConfigurationError(f"{path} is no TUF metadata; restore it from its backup") from exc

    def _write(self, name: str, content: bytes) -> None:
        """Write beside and rename: who reads meets the old file or the new one."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)
        Path(beside).replace(path)


@dataclass(frozen=True, kw_only=True)
class FreshRepository:
    """A repository with the key that keeps it fresh: what the registry serves."""

    repository: TufRepository
    online: Signer

    def read(self, name: str) -> bytes:
        return self.repository.read(name)

    def keep_fresh(self, now: datetime) -> bool:
        return self.repository.keep_fresh(self.online, now)


def _set_keys(root: Root, signers: Sequence[Signer], threshold: int) -> None:
    if not 1 <= threshold <= len(signers):
        raise ConfigurationError(f"{threshold} of {len(signers)} root keys cannot be asked for")
    for role in OFFLINE_ROLES:
        root.roles[role].threshold = threshold
        for signer in signers:
            root.add_key(TufSigner(signer).public_key, role)


def _sign(metadata: Metadata[Any], signers: Any) -> None:
    for signer in signers:
        metadata.sign(TufSigner(signer), append=True)
