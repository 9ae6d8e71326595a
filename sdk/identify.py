"""From a picture found in the world back to who generated it, with what, and under which approvals.

1. Content Credentials, where the file still carries them, say it themselves, and can be verified without a registry.
2. The file's digest finds the very file that was recorded.
3. Its fingerprints find images that look like it: a lead to look at, and no proof.

The picture never leaves the caller. Approvals are read from the versions' own proofs in the log.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from sdk.client import Client
from sdk.credentials.fingerprint import fingerprints_of_query
from sdk.credentials.read import ContentCredentials, read_credentials
from sdk.errors import InputError, VerificationError
from sdk.signing.trust import TrustRoot
from sdk.spec.digest import Digest
from sdk.spec.identify import IdentifyQuery, Likeness
from sdk.spec.ids import PrincipalId, RecordId, parse_version_ref
from sdk.verify import verify_receipt


@dataclass(frozen=True, kw_only=True)
class CountedReviewer:
    """Who approved a version, proven by the entry of this index in the log."""

    reviewer: PrincipalId
    log_index: int


@dataclass(frozen=True, kw_only=True)
class TracedVersion:
    """A version that an image was made with."""

    name: str  # tenant/name@number
    approvals: tuple[CountedReviewer, ...]
    consents: tuple[RecordId, ...]


@dataclass(frozen=True, kw_only=True)
class Match:
    """An image on record, and the versions that it was made with."""

    likeness: Likeness
    versions: tuple[TracedVersion, ...]


@dataclass(frozen=True, kw_only=True)
class Identification:
    """What a picture says of itself, and what the registry knows of it; nearest first."""

    digest: Digest
    credentials: ContentCredentials | None
    matches: tuple[Match, ...]


def identify(content: bytes, client: Client, trust: TrustRoot) -> Identification:
    """Find where the picture in the file `content` comes from.

    Raises:
        InputError: the file is no picture that can be read.
        PolicyDenied: the caller may read no generations.
    """
    query = make_query(content)
    matches = client.identify(query).matches
    traced = {name: trace(client, name, trust) for match in matches for name in match.generation.versions}
    return Identification(
        digest=query.digest,
        credentials=_credentials(content, trust),
        matches=tuple(
            Match(likeness=match, versions=tuple(traced[name] for name in match.generation.versions))
            for match in matches
        ),
    )


def make_query(content: bytes) -> IdentifyQuery:
    """What the registry is asked about a picture.

    Raises:
        InputError: the file is no picture that can be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as picture:
                found = fingerprints_of_query(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as exc:
        raise InputError(f"this is no picture that can be read: {exc}; give a PNG, JPEG or WebP file") from exc
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as exc:
        raise InputError(f"the picture is too large: {exc}; scale it down, what it shows is enough") from exc
    return IdentifyQuery(digest=Digest.of(content), fingerprints=found)


def trace(client: Client, name: str, trust: TrustRoot) -> TracedVersion:
    """Who approved a version and under which consents; approvals count only with their proof."""
    bundle = client.resolve(parse_version_ref(name))
    entries = [(verify_receipt(approval.receipt, trust), approval.receipt.index) for approval in bundle.approvals]
    return TracedVersion(
        name=name,
        approvals=tuple(CountedReviewer(reviewer=entry.actor, log_index=index) for entry, index in entries),
        consents=tuple(consent.id for consent in bundle.consents),
    )


def _credentials(content: bytes, trust: TrustRoot) -> ContentCredentials | None:
    try:
        return read_credentials(content, trust.credential_authorities)
    except VerificationError:
        return None


def describe(found: Identification) -> Iterator[str]:
    """The finding in lines of text."""
    said = found.credentials
    if said is None:
        yield "the file carries no Content Credentials that can be read"
    else:
        named = f", generation {said.use.generation}" if said.use else ""
        yield f"Content Credentials: {said.state.value}, signed by {said.signer} of {said.issuer}{named}"
    if not found.matches:
        yield "the registry knows no image like it"
    for match in found.matches:
        yield from _describe_match(match)


def _describe_match(match: Match) -> Iterator[str]:
    view, distance = match.likeness.generation, match.likeness.distance
    yield ""
    if distance is None:
        yield f"{view.id}: the very file that was recorded"
    else:
        yield f"{view.id}: looks like it, {distance} of 256 bits differ; a lead, not a proof: compare the pictures"
    yield f"  generated by {view.application}, {view.permitted_at:%Y-%m-%d %H:%M:%S} UTC"
    use = view.intent.use
    yield f"  for          {use.purpose}, {use.territory}, {use.channel}"
    for version in match.versions:
        yield f"  version      {version.name}"
        for approval in version.approvals:
            yield f"    approved by {approval.reviewer} (entry {approval.log_index})"
        for consent in version.consents:
            yield f"    consent     {consent}"
    entries = " and ".join(str(index) for index in (view.intent_index, view.result_index) if index is not None)
    yield f"  log          entries {entries}"
