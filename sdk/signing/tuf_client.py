"""Reading what a registry distributes over TUF (https://theupdateframework.io, specification 1.0), by `tuf.ngclient`.

Rotation of keys, thresholds, expiry, rollback and freeze are ngclient's to judge; here are the transport, the place of its
cache, which it expects to have alone, and its errors as ours. What is distributed: `trust-root.json`, the signed trust root, and `policies.json`, the
policy bundle in force. The first root file is given out of band.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sdk.errors import ConfigurationError, NotFound, ServiceUnavailable, TrustRootInvalid
from sdk.local_files import locked

if TYPE_CHECKING:
    from tuf.ngclient import Updater
    from tuf.ngclient.fetcher import FetcherInterface

TRUST_ROOT_TARGET: Final = "trust-root.json"
POLICIES_TARGET: Final = "policies.json"

Fetch = Callable[[str], bytes]
"""Fetches a file below the registry's /v1/tuf/. Raises `NotFound` when there is none."""


@dataclass(frozen=True, kw_only=True)
class Distributed:
    """Targets as they were distributed at one moment."""

    targets: Mapping[str, bytes]
    valid_until: datetime  # when the timestamp that vouches for them expires


def fetch_target(name: str, *, root: Path, cache: Path, fetch: Fetch) -> bytes:
    """The target `name` alone; see `fetch_targets`."""
    return fetch_targets((name,), root=root, cache=cache, fetch=fetch).targets[name]


def fetch_targets(names: tuple[str, ...], *, root: Path, cache: Path, fetch: Fetch) -> Distributed:
    """The targets `names`, brought up to date together and verified from the root file at `root` on.

    Raises:
        TrustRootInvalid: metadata is unsigned, expired, older than before, or not what it is named by.
        ServiceUnavailable: the registry does not answer.
        ConfigurationError: there is no root file, or nowhere to keep what was seen.
    """
    from tuf.api.exceptions import DownloadError, RepositoryError

    try:
        bootstrap = root.read_bytes()
    except OSError as exc:
        raise ConfigurationError(
            f"no TUF root can be read at {root}: {exc.strerror}; get it from whoever runs the registry"
        ) from exc
    try:
        with locked(cache):
            return _refreshed(names, bootstrap, cache, fetch)
    except OSError as exc:
        raise ConfigurationError(
            f"what was seen over TUF cannot be kept in {cache}: {exc}; make it a folder that this account may write to"
        ) from exc
    except DownloadError as exc:
        raise ServiceUnavailable(f"the registry's TUF metadata cannot be fetched: {exc}") from exc
    except (RepositoryError, ValueError) as exc:
        raise TrustRootInvalid(f"what the registry distributes over TUF does not hold: {exc}") from exc


def _refreshed(names: tuple[str, ...], bootstrap: bytes, cache: Path, fetch: Fetch) -> Distributed:
    from tuf.api.metadata import Metadata, Timestamp
    from tuf.ngclient import Updater

    updater = Updater(str(cache), "metadata/", str(cache), "targets/", fetcher=_fetcher(fetch), bootstrap=bootstrap)
    updater.refresh()
    targets = {name: _target(updater, name) for name in names}
    timestamp = Metadata[Timestamp].from_bytes((cache / "timestamp.json").read_bytes()).signed
    return Distributed(targets=targets, valid_until=timestamp.expires)


def _target(updater: Updater, name: str) -> bytes:
    found = updater.get_targetinfo(name)
    if found is None:
        raise TrustRootInvalid(f"the registry distributes no {name} over TUF; whoever runs it has to publish it")
    content = Path(updater.find_cached_target(found) or updater.download_target(found)).read_bytes()
    found.verify_length_and_hashes(content)  # these very bytes: the file may have changed since ngclient looked
    return content


def _fetcher(fetch: Fetch) -> FetcherInterface:
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient.fetcher import FetcherInterface

    class RegistryFetcher(FetcherInterface):
        """The registry's own client as TUF's transport."""

        def _fetch(self, url: str) -> Iterator[bytes]:
            try:
                return iter([fetch(url)])
            except NotFound as exc:
                raise DownloadHTTPError(exc.message, 404) from exc

    return RegistryFetcher()
