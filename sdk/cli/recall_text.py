"""A blast-radius report: fetched, verified, shown, and kept. Used by `imprimatur revoke` and `imprimatur audit`."""

from __future__ import annotations

from pathlib import Path

from sdk.audit import verify_blast_radius
from sdk.cli.connection import now, say
from sdk.client import Client
from sdk.profile import Profile
from sdk.resolve import current_trust_root
from sdk.spec.envelope import encode_envelope
from sdk.spec.recall import AffectedApplication, BlastRadiusPredicate
from sdk.verify import VerifiedVersion


def show_blast_radius(profile: Profile, client: Client, version: VerifiedVersion, *, out: Path | None) -> None:
    """Fetch and verify the report about `version`, show it, and write it to `out`."""
    concept, number = version.bundle.concept, version.bundle.number
    envelope = client.blast_radius(concept, number)
    trust = current_trust_root(client, profile, now=now())
    report = verify_blast_radius(envelope, trust, concept=concept, number=number, manifest=version.digest)
    _show(report)
    if out:
        out.write_bytes(encode_envelope(envelope))
        say(f"signed report: {out}")


def _show(report: BlastRadiusPredicate) -> None:
    ended = f", ended {report.ended_at:%Y-%m-%d %H:%M:%S} UTC (entry {report.ended_entry})" if report.ended_at else ""
    say(f"{report.concept}@{report.number} is {report.status.value}{ended}")
    say(f"  images       {report.images_recorded} recorded")
    for related in report.related:
        say(f"  same consent {related.name} is {related.status.value}")
    for application in report.applications:
        _show_application(application)
    if not report.applications:
        say("  no application was ever granted it")


def _show_application(use: AffectedApplication) -> None:
    say(
        f"  {use.application}: {use.generations} generations, {use.images_recorded} of {use.images_granted} images recorded"
    )
    for grant in use.outstanding:
        held = f"{grant.artefacts_released} artefacts released" if grant.artefacts_released else "nothing released"
        say(f"    open grant {grant.generation} until {grant.expires_at:%H:%M:%S} UTC, {held}")
    sent = f"{use.notice_sent_at:%Y-%m-%d %H:%M:%S} UTC" if use.notice_sent_at else "not yet fetched"
    answered = f"{use.acknowledged_at:%Y-%m-%d %H:%M:%S} UTC" if use.acknowledged_at else "not yet acknowledged"
    say(f"    notice {sent}; {answered}")
