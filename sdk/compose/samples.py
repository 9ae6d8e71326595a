"""Samples of versions, whose Content Credentials every image carries on as those of its ingredients.

A sample is the first one that a version's manifest names, so its digest is under the approvals. It is fetched once a
process; versions from before samples were signed have none to carry on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from sdk.client import Client
from sdk.credentials.manifest_store import carries_credentials
from sdk.spec.digest import Digest
from sdk.spec.manifest import ArtefactRole
from sdk.verify import VerifiedVersion

_KEPT: Final = 64  # samples
_seen: OrderedDict[Digest, bytes | None] = OrderedDict()  # none: it carries no credentials
_lock = threading.Lock()  # over `_seen`; never held while a sample is fetched


def signed_samples(client: Client, versions: Sequence[VerifiedVersion]) -> dict[str, bytes]:
    """By the name of the version, the PNG file of its sample, where that has Content Credentials."""
    found = {version.name: _sample(client, version) for version in versions}
    return {name: sample for name, sample in found.items() if sample}


def _sample(client: Client, version: VerifiedVersion) -> bytes | None:
    samples = version.manifest.by_role(ArtefactRole.SAMPLE)
    if not samples:
        return None
    digest = samples[0].digest
    with _lock:
        if digest in _seen:
            return _seen[digest]
    content = client.get_file(version.bundle.concept, version.bundle.number, digest)
    sample = content if carries_credentials(content) else None
    with _lock:
        _seen[digest] = sample
        if len(_seen) > _KEPT:
            _seen.popitem(last=False)
    return sample
