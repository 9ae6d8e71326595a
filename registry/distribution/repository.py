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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from securesystemslib.exceptions import StorageError
from securesystemslib.signer import Signature, SSlibKey
from securesystemslib.signer import Signer as SslibSigner
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from sdk.errors import ConfigurationError, Conflict, ThresholdNotMet
from sdk.local_files import replace_file
from sdk.signing.remote import sslib_key
from sdk.signing.signer import Signer

SNAPSHOT_LIFE: Final = timedelta(days=7)
TIMESTAMP_LIFE: Final = timedelta(days=1)
ONLINE_ROLES: Final = (Snapshot.type, Timestamp.type)
OFFLINE_ROLES: Final = (Root.type, Targets.type)
HASH: Final = "sha256"


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
        self.rotate([], roots, online, threshold=threshold, expires=expires)
        self.publish(roots, online, targets, expires=expires, now=now)

    def publish(
        self, roots: Sequence[Signer], online: Signer, targets: Mapping[str, bytes], *, expires: datetime, now: datetime
    ) -> None:
        """Distribute `targets` from now on, and nothing else, with new metadata throughout but for the root."""
        listed = self.next_targets(targets, expires=expires)
        _sign(listed, roots)
        self.put_targets(listed, targets, online, now=now)

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
        keys = [signer.public_key for signer in new]
        root = self.next_root(keys, online.public_key, threshold=threshold, expires=expires)
        _sign(root, {signer.keyid: signer for signer in (*old, *new)}.values())
        self.put_root(root)

    def newest_root(self) -> Metadata[Root]:
        """The root in force. Raises `ConfigurationError` when there is none."""
        newest: Metadata[Root] = self._newest(Root)
        return newest

    def next_root(self, keys: Sequence[bytes], online: bytes, *, threshold: int, expires: datetime) -> Metadata[Root]:
        """The next root, to be signed: these root keys (raw public keys), `threshold` of which must sign."""
        root = self._following(Root(consistent_snapshot=True))
        root.expires = expires
        for role in (*OFFLINE_ROLES, *ONLINE_ROLES):
            for keyid in list(root.roles[role].keyids):
                root.revoke_key(keyid, role)
        _set_keys(root, keys, threshold)
        for role in ONLINE_ROLES:
            root.add_key(sslib_key(online), role)
        return Metadata(root)

    def next_targets(self, contents: Mapping[str, bytes], *, expires: datetime) -> Metadata[Targets]:
        """The next targets, to be signed: `contents` and nothing else."""
        targets = self._following(Targets())
        targets.expires = expires
        targets.targets = {name: TargetFile.from_data(name, each, [HASH]) for name, each in contents.items()}
        return Metadata(targets)

    def judge(self, root: Metadata[Root] | None, targets: Metadata[Targets]) -> None:
        """Hold what is to be put here to what is here, as a client will: `root`, if there is to be another, and `targets`.

        Raises:
            Conflict: something else was published meanwhile.
            ThresholdNotMet: it is not signed as the root in force, or the next one, asks for.
        """
        for metadata in (root, targets):
            if metadata is not None and not self.has(metadata):
                self._require_next(metadata.signed)
        judges = [self.newest_root()] if self.exists else []
        try:
            if root is not None:
                for each in (*judges, root):
                    each.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)
            (root or judges[0]).signed.verify_delegate(Targets.type, targets.signed_bytes, targets.signatures)
        except UnsignedMetadataError as exc:
            raise ThresholdNotMet(f"it is not signed as TUF's root asks for: {exc}") from exc

    def has(self, metadata: Metadata[Any]) -> bool:
        """Whether this very metadata is here."""
        path = self.folder / "metadata" / f"{metadata.signed.version}.{metadata.signed.type}.json"
        return path.is_file() and path.read_bytes() == metadata.to_bytes()

    def put_root(self, root: Metadata[Root]) -> None:
        """Let a signed root count; the very first is what is given out of band as well."""
        content = root.to_bytes()
        self._write(f"metadata/{root.signed.version}.root.json", content)
        if not self.exists:
            self._write("root.json", content)

    def put_targets(
        self, targets: Metadata[Targets], contents: Mapping[str, bytes], online: Signer, *, now: datetime
    ) -> None:
        """Let signed targets count, with a snapshot and a timestamp that say so."""
        for name, content in contents.items():
            self._write(f"targets/{targets.signed.targets[name].hashes[HASH]}.{name}", content)
        self._write(f"metadata/{targets.signed.version}.targets.json", targets.to_bytes())
        self._renew_online(online, now, snapshot=True)

    def keep_fresh(self, online: Signer, now: datetime) -> bool:
        """Sign timestamp and snapshot anew where half of their life is over; says whether anything was."""
        timestamp, snapshot = self._newest(Timestamp).signed, self._newest(Snapshot).signed
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
            listed = self._following(Snapshot())
            listed.expires = now + SNAPSHOT_LIFE
            self._sign_snapshot(listed, online)
        timestamp = self._following(Timestamp())
        timestamp.expires = now + TIMESTAMP_LIFE
        self._sign_timestamp(timestamp, online)

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
        versions = [int(path.name.partition(".")[0]) for path in (self.folder / "metadata").glob(f"*.{role}.json")]
        if not versions:
            raise ConfigurationError(f"{self.folder} has no {role} metadata; it is damaged: restore it from its backup")
        return max(versions)

    def _require_next(self, signed: Any) -> None:
        expected = self._following(type(signed)()).version
        if signed.version != expected:
            raise Conflict(
                f"TUF's {signed.type} of version {expected} is next, this is {signed.version}: "
                "something else was published since it was proposed; propose it anew"
            )

    def _following(self, first: Any) -> Any:
        """The next version of what `first` is version 1 of: the newest one with its number raised."""
        if not any((self.folder / "metadata").glob(f"*{first.type}.json")):
            return first
        newest = self._newest(type(first)).signed
        newest.version += 1
        return newest

    def _newest(self, kind: type[Any]) -> Any:
        named = f"{self._version_of(kind.type)}.{kind.type}" if kind is not Timestamp else kind.type
        path = self.folder / "metadata" / f"{named}.json"
        try:
            return Metadata.from_file(str(path))
        except (RepositoryError, StorageError) as exc:
            raise ConfigurationError(f"{path} is no TUF metadata; restore it from its backup") from exc

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content, mode=0o644)


@dataclass(frozen=True, kw_only=True)
class FreshRepository:
    """A repository with the key that keeps it fresh: what the registry serves."""

    repository: TufRepository
    online: Signer

    def read(self, name: str) -> bytes:
        return self.repository.read(name)

    def keep_fresh(self, now: datetime) -> bool:
        return self.repository.keep_fresh(self.online, now)


def _set_keys(root: Root, keys: Sequence[bytes], threshold: int) -> None:
    if not 1 <= threshold <= len(keys):
        raise ConfigurationError(f"{threshold} of {len(keys)} root keys cannot be asked for")
    for role in OFFLINE_ROLES:
        root.roles[role].threshold = threshold
        for key in keys:
            root.add_key(sslib_key(key), role)


def _sign(metadata: Metadata[Any], signers: Iterable[Signer]) -> None:
    for signer in signers:
        metadata.sign(TufSigner(signer), append=True)
