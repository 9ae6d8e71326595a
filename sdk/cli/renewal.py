"""`imprimatur renewal`: other terms for a version that is approved already; it is not trained again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, named, now, say, show_table
from sdk.cli.review import held_to_log
from sdk.cli.reviews import version_named
from sdk.cli.version_text import show_version
from sdk.client import Client
from sdk.errors import Conflict, InputError
from sdk.profile import Profile
from sdk.signing.signer import load_key_file, sign_envelope
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.renewal import RenewalRequest, RenewalView
from sdk.spec.statements import ApprovalPredicate, Predicate, RejectionPredicate, encode_statement
from sdk.verify import VerifiedVersion, terms_of

_renewal = typer.Typer(no_args_is_help=True, help="Other terms for an approved version, without training it again.")
commands = typer.Typer()
commands.add_typer(_renewal, name="renewal")

Reference = Annotated[str, typer.Argument(help="A version, such as demo/fox@1.", metavar="TENANT/NAME@N")]
NewRecords = Annotated[
    list[str] | None,
    typer.Option(help="NEW, in place of the only one there is, or OLD=NEW; may be repeated.", metavar="[OLD=]NEW"),
]
Terms = Annotated[
    str | None, typer.Option(help="Only if these are the terms that wait, as the console shows them.", metavar="DIGEST")
]


@_renewal.command("ask")
def ask(
    reference: Reference, consent: NewRecords = None, licence: NewRecords = None, profile: ProfileOption = None
) -> None:
    """Put a version up for review under other records. What is not named stays; the terms that hold go on until then."""
    concept, number = version_named(reference)
    with connected(profile) as (_, client):
        bundle = client.get_version(concept, number)
        wanted = RenewalRequest(
            consents=_replaced("consent", [held.id for held in bundle.consents], consent),
            licences=_replaced("licence", [held.id for held in bundle.licences], licence),
        )
        view = client.request_renewal(concept, number, wanted)
    _say(view)


@_renewal.command("list")
def show_list(
    reference: Annotated[
        str | None, typer.Argument(help="All of this version. \\[default: those that wait]", metavar="TENANT/NAME@N")
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """List the renewals that wait for reviewers, or all of one version."""
    with connected(profile) as (_, client):
        found = client.list_renewals(*version_named(reference)) if reference else client.list_waiting_renewals()
    show_renewals(found.renewals)


@_renewal.command("show")
def show(reference: Reference, profile: ProfileOption = None) -> None:
    """Verify a version under the terms that wait for reviewers, and show what an approval of them is about."""
    with connected(profile) as (chosen, client):
        version = _proposed(chosen, client, reference)
    show_version(version)
    say(f"these terms wait for reviewers: {terms_of(version.bundle)}")


@_renewal.command("approve")
def approve(
    reference: Reference,
    comment: Annotated[str, typer.Option(help="What you want on record.")] = "",
    terms: Terms = None,
    profile: ProfileOption = None,
) -> None:
    """Sign an approval of this version under exactly the terms that `renewal show` lists."""
    with connected(profile) as (chosen, client):
        version = _proposed(chosen, client, reference, terms)
        approval = ApprovalPredicate(
            concept=version.bundle.concept,
            number=version.bundle.number,
            reviewer=chosen.principal,
            terms=terms_of(version.bundle),
            comment=comment,
            signed_at=now(),
        )
        _sign(chosen, client, version, approval)


@_renewal.command("reject")
def reject(
    reference: Reference,
    reason: Annotated[str, typer.Option(help="Why; whoever asked reads it.")],
    terms: Terms = None,
    profile: ProfileOption = None,
) -> None:
    """Sign a rejection of these terms. Those that hold go on to hold; others can be asked for."""
    with connected(profile) as (chosen, client):
        version = _proposed(chosen, client, reference, terms)
        rejection = RejectionPredicate(
            concept=version.bundle.concept,
            number=version.bundle.number,
            reviewer=chosen.principal,
            reason=reason,
            terms=terms_of(version.bundle),
            signed_at=now(),
        )
        _sign(chosen, client, version, rejection)


def show_renewals(found: Sequence[RenewalView]) -> None:
    """Print them as a table."""
    columns = ("version", "round", "status", "approvals", "may review", "asked by", "since", "terms")
    show_table("Renewals", columns, [_row(one) for one in found])


def _proposed(chosen: Profile, client: Client, reference: str, terms: str | None = None) -> VerifiedVersion:
    """The version under the terms that wait, with everything verified but their approval."""
    concept, number = version_named(reference)
    version = held_to_log(chosen, client, client.get_renewal(concept, number), reference)
    if terms is not None and named(Digest, terms) != terms_of(version.bundle):
        raise Conflict(f"{terms_of(version.bundle)} wait for {version.name}, not {terms}; look again before you sign")
    return version


def _sign(chosen: Profile, client: Client, version: VerifiedVersion, predicate: Predicate) -> None:
    signer = load_key_file(chosen.need("signing_key"))
    payload = encode_statement(predicate, subjects={str(version.bundle.concept): version.digest})
    bundle = version.bundle
    _say(client.review_renewal(bundle.concept, bundle.number, sign_envelope(payload, signer)))


def _replaced(kind: str, standing: Sequence[RecordId], wanted: list[str] | None) -> tuple[RecordId, ...]:
    """The records of one kind with the new ones in their places."""
    records = list(standing)
    for text in wanted or ():
        old, separator, new = text.rpartition("=")
        if not separator and len(standing) > 1:
            raise InputError(f"the version rests on {len(standing)} {kind}s; say which one, as {standing[0]}={new}")
        place = named(RecordId, old) if separator else standing[0]
        if place not in standing:
            raise InputError(f"the version does not rest on {kind} {place}, but on {', '.join(standing)}")
        records[standing.index(place)] = named(RecordId, new)
    return tuple(records)


def _row(view: RenewalView) -> tuple[str, ...]:
    return (
        view.name,
        str(view.round),
        view.status.value,
        f"{view.approvals} of {view.approvals_required}",
        " ".join(view.may_review) or "nobody",
        str(view.requested_by),
        f"{view.since:%Y-%m-%d %H:%MZ}" if view.since else "-",
        str(view.terms),
    )


def _say(view: RenewalView) -> None:
    held = f", and its terms hold from {view.since:%Y-%m-%d %H:%M}Z on" if view.since else ""
    count = f"{view.approvals} of {view.approvals_required} approvals"
    say(f"renewal {view.round} of {view.name} is {view.status.value} ({count}){held}")
