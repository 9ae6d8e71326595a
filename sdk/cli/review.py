"""`imprimatur show`, `approve`, `reject`, `revoke`: reading a version's proofs, and signing about it.

Whatever is signed is verified first, and the signature is over the manifest digest that was verified here, never over
one that the registry names.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from sdk.break_glass import verify_usable
from sdk.cache import StatusWatch
from sdk.cli.alias import AsOf, parse_moment, show_at
from sdk.cli.connection import ProfileOption, connected, named, now, require_writable, say
from sdk.cli.recall_text import show_blast_radius
from sdk.cli.version_text import show_break_glass, show_version
from sdk.client import Client
from sdk.errors import ImprimaturError
from sdk.profile import Profile
from sdk.resolve import StatusLists, current_trust_root, log_memory, require_witnessed, watch_log, witness_policy
from sdk.signing.signer import load_key_file, sign_envelope
from sdk.spec.api import VersionView
from sdk.spec.bundle import VersionBundle
from sdk.spec.envelope import Envelope
from sdk.spec.ids import ConceptId, VersionRef, parse_version_ref
from sdk.spec.statements import ApprovalPredicate, Predicate, RejectionPredicate, RevocationPredicate, encode_statement
from sdk.verify import VerifiedVersion, terms_of, verify_submission

commands = typer.Typer()
Reference = Annotated[str, typer.Argument(help="A version, such as demo/fox@1.", metavar="TENANT/NAME@N")]


@commands.command()
def show(reference: Reference, as_of: AsOf = None, profile: ProfileOption = None) -> None:
    """Verify a version and show what it is, what covers it and who approved it; or what stood at a moment."""
    with connected(profile) as (chosen, client):
        if as_of:
            show_at(client, reference, parse_moment(as_of))
            return
        version = verified(chosen, client, reference)
        trust = current_trust_root(client, chosen, now=now())
        signed = StatusLists(client, trust).of(version.bundle)
    show_version(version)
    try:
        ref = parse_version_ref(reference)
        usable = verify_usable(version.bundle, ref=ref, trust=trust, now=now(), status_list=signed)
        if usable.status_list:
            StatusWatch(log_memory(chosen)).see(usable.status_list)
        if usable.break_glass:
            show_break_glass(usable.break_glass)
        else:
            say(f"Approved by {', '.join(usable.approvers)}; every signature, log proof and the status list hold")
    except ImprimaturError as exc:
        say(f"Not usable: {exc.message}")


@commands.command()
def approve(
    reference: Reference,
    comment: Annotated[str, typer.Option(help="What you want on record.")] = "",
    profile: ProfileOption = None,
) -> None:
    """Sign an approval of exactly this version under exactly the terms that `show` lists."""

    def predicate(version: VerifiedVersion, chosen: Profile, at: datetime) -> Predicate:
        return ApprovalPredicate(
            concept=version.bundle.concept,
            number=version.bundle.number,
            reviewer=chosen.principal,
            terms=terms_of(version.bundle),
            comment=comment,
            signed_at=at,
        )

    _sign(reference, profile, predicate, Client.review)


@commands.command()
def reject(
    reference: Reference,
    reason: Annotated[str, typer.Option(help="Why; the trainer reads it.")],
    profile: ProfileOption = None,
) -> None:
    """Sign a rejection. It is final for this version; a new one can be submitted."""

    def predicate(version: VerifiedVersion, chosen: Profile, at: datetime) -> Predicate:
        return RejectionPredicate(
            concept=version.bundle.concept,
            number=version.bundle.number,
            reviewer=chosen.principal,
            reason=reason,
            signed_at=at,
        )

    _sign(reference, profile, predicate, Client.review)


@commands.command()
def revoke(
    reference: Reference,
    reason: Annotated[str, typer.Option(help="Why; it is recorded for ever.")],
    report: Annotated[
        Path | None, typer.Option(help="Write the signed blast-radius report here.", show_default=False)
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Sign a revocation. The version can never be used again; records of its use stay."""
    if report:
        require_writable(report)

    def predicate(version: VerifiedVersion, chosen: Profile, at: datetime) -> Predicate:
        return RevocationPredicate(
            concept=version.bundle.concept,
            number=version.bundle.number,
            revoked_by=chosen.principal,
            reason=reason,
            signed_at=at,
        )

    _sign(reference, profile, predicate, Client.revoke)
    if report:
        with connected(profile) as (chosen, client):
            show_blast_radius(chosen, client, verified(chosen, client, reference), out=report)


def _sign(
    reference: str,
    profile: Path | None,
    predicate: Callable[[VerifiedVersion, Profile, datetime], Predicate],
    send: Callable[[Client, ConceptId, int, Envelope], VersionView],
) -> None:
    with connected(profile) as (chosen, client):
        version = verified(chosen, client, reference)
        signer = load_key_file(chosen.need("signing_key"))
        payload = encode_statement(
            predicate(version, chosen, now()), subjects={str(version.bundle.concept): version.digest}
        )
        view = send(client, version.bundle.concept, version.bundle.number, sign_envelope(payload, signer))
    say(
        f"{view.concept}@{view.number} is {view.status.value} ({view.approvals} of {view.approvals_required} approvals)"
    )


def verified(profile: Profile, client: Client, reference: str) -> VerifiedVersion:
    """The version, with everything verified but its approval, and the log held to what was seen before."""
    return held_to_log(profile, client, _fetch(client, named(parse_version_ref, reference)), reference)


def held_to_log(profile: Profile, client: Client, bundle: VersionBundle, reference: str) -> VerifiedVersion:
    """The version in `bundle`, verified so, and the log held to what was seen before."""
    ref = named(parse_version_ref, reference)
    trust = current_trust_root(client, profile, now=now())
    version = verify_submission(bundle, ref=ref, trust=trust, now=now())
    watch = watch_log(client, trust, log_memory(profile))
    for note in version.notes:
        watch.see(note)
    require_witnessed(client, watch, trust, witness_policy(profile), [bundle.submission_receipt.index])
    return version


def _fetch(client: Client, ref: VersionRef) -> VersionBundle:
    return client.get_version(ref.concept, ref.number) if ref.number else client.resolve(ref)
