"""From a picture found in the world back to who generated it, with what, and under which approvals.

1. Content Credentials, where the file still carries them, say it themselves, and can be verified without a registry.
2. The file's digest finds the very file that was recorded.
3. Its watermark, and its fingerprints, find images that it may be a copy of: leads to look at, and no proof.
   First the picture itself is asked about, with the pictures that may be in it; if that finds nothing, crops of them.

The picture never leaves the caller. Approvals are read from the versions' own proofs in the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sdk.client import Client
from sdk.credentials.lookup import query_of, query_of_crops
from sdk.credentials.picture import read_picture
from sdk.credentials.read import (
    UNTRUSTED,
    ContentCredentials,
    CredentialState,
    FileCredentials,
    look_for_credentials,
)
from sdk.signing.trust import TrustRoot
from sdk.spec.digest import Digest
from sdk.spec.explanation import TracedVersion
from sdk.spec.identify import Confidence, Likeness
from sdk.trace import trace


@dataclass(frozen=True, kw_only=True)
class Match:
    """An image on record, and the versions that it was made with."""

    likeness: Likeness
    versions: tuple[TracedVersion, ...]


@dataclass(frozen=True, kw_only=True)
class Identification:
    """What a picture says of itself, and what the registry knows of it; nearest first."""

    digest: Digest
    said: FileCredentials
    matches: tuple[Match, ...]


def identify(content: bytes, client: Client, trust: TrustRoot) -> Identification:
    """Find where the picture in the file `content` comes from.

    Raises:
        InputError: the file is no picture that can be read.
        PolicyDenied: the caller may read no generations.
    """
    picture = read_picture(content)
    query = query_of(content, picture)
    matches = client.identify(query).matches
    if not matches:
        matches = client.identify(query_of_crops(query, picture)).matches
    said = look_for_credentials(content, trust.credential_authorities, trust.time_stamp_authorities or ())
    return Identification(
        digest=query.digest,
        said=said,
        matches=tuple(_match(client, likeness, trust) for likeness in matches),
    )


def _match(client: Client, likeness: Likeness, trust: TrustRoot) -> Match:
    made = likeness.generation
    return Match(
        likeness=likeness, versions=tuple(trace(client, name, made.permitted_at, trust) for name in made.versions)
    )


def describe(found: Identification) -> Iterator[str]:
    """The finding in lines of text."""
    said = found.said
    if said.credentials:
        yield from _describe_credentials(said.credentials)
    elif said.fault:
        yield f"Content Credentials: broken or forged, do not believe them: {said.fault}"
    elif said.elsewhere:
        yield f"the file carries no Content Credentials; it says that they are at {said.elsewhere}, which was not asked"
    else:
        yield "the file carries no Content Credentials"
    if not found.matches:
        yield "the registry knows no image like it"
    for match in found.matches:
        yield from _describe_match(match)


_BELIEF: Final = {
    CredentialState.TRUSTED: "signed by an authority of the trust root",
    CredentialState.VALID: "unchanged, but whoever signed is nobody that the trust root names",
    CredentialState.INVALID: "changed or wrongly signed; do not believe what they say",
}


def _describe_credentials(said: ContentCredentials) -> Iterator[str]:
    named = f", generation {said.use.generation}" if said.use else ""
    yield f"Content Credentials: {said.state.value}, signed by {said.signer or 'nobody'} of {said.issuer or 'nobody'}{named}"
    faults = f" ({', '.join(said.failures)})" if said.failures else ""
    yield f"  {_BELIEF[said.state]}{faults}"
    for brought in said.carried:
        wrong = [code for code in brought.failures if code != UNTRUSTED]
        yield f"  carries      those of {brought.title}, signed by {brought.signer or 'nobody'} of {brought.issuer or 'nobody'}"
        if wrong:
            yield f"               which no longer hold: {', '.join(wrong)}"
    for edited in said.ingredients if not said.use else ():
        yield f"  made with    {edited}"


def _likeness(found: Likeness) -> str:
    if found.confidence is Confidence.CERTAIN:
        return "the very file that was recorded"
    seen = [f"the same watermark {found.watermark}"] if found.watermark else []
    if found.distance is not None:
        seen.append(f"looks like it, {found.distance} of 256 bits differ")
    return f"{', '.join(seen)}; confidence {found.confidence.value}: a lead, not a proof: compare the pictures"


def _describe_match(match: Match) -> Iterator[str]:
    view = match.likeness.generation
    yield ""
    yield f"{view.id}: {_likeness(match.likeness)}"
    yield f"  generated by {view.application}, {view.permitted_at:%Y-%m-%d %H:%M:%S} UTC"
    use = view.intent.use
    yield f"  for          {use.purpose}, {use.territory}, {use.channel}"
    for name in view.break_glass:
        yield f"  BREAK-GLASS  {name} was not approved when this was decided"
    for version in match.versions:
        yield f"  version      {version.name}"
        for approval in version.approvals:
            yield f"    approved by {approval.reviewer} (entry {approval.log_index})"
        for consent in version.consents:
            yield f"    consent     {consent.id}"
    entries = [str(index) for index in (view.intent_index, view.result_index) if index is not None]
    yield f"  log          entries {' and '.join(entries)}; proof: imprimatur receipt get {entries[-1]} --out {entries[-1]}.tlog-proof"
