"""`imprimatur consent`: recording, reading and withdrawing consent."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, named, read_document, say, show_table
from sdk.spec.ids import RecordId
from sdk.spec.terms import ConsentEvidence, ConsentRecord

commands = typer.Typer()
_consent = typer.Typer(no_args_is_help=True, help="Record, read and withdraw consent.")
commands.add_typer(_consent, name="consent")


@_consent.command("give")
def give_consent(
    file: Annotated[
        Path, typer.Argument(help="A consent record as JSON, such as examples/consent.json.", metavar="FILE")
    ],
    profile: ProfileOption = None,
) -> None:
    """Record a consent. Prints its id, which training refers to; a record without a salt gets one."""
    record = read_document(file, ConsentRecord, "consent record")
    if record.salt is None:  # the log keeps the record's digest for ever; with a salt nobody can guess what it is of
        record = record.model_copy(update={"salt": secrets.token_hex(16)})
    with connected(profile) as (_, client):
        accepted = client.give_consent(record)
        say(f"consent {accepted.id} is recorded, log entry {accepted.receipt.index}")


@_consent.command("withdraw")
def withdraw_consent(
    consent: Annotated[str, typer.Argument(help="The consent's id.", metavar="ID")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    profile: ProfileOption = None,
) -> None:
    """Withdraw a consent. Every version that rests on it is suspended at once."""
    with connected(profile) as (_, client):
        accepted = client.withdraw_consent(named(RecordId, consent), reason)
        say(f"consent {accepted.id} is withdrawn, log entry {accepted.receipt.index}")


@_consent.command("list")
def list_consents(
    subject: Annotated[str | None, typer.Option(help="Only those about the person that records call so.")] = None,
    profile: ProfileOption = None,
) -> None:
    """List consents with their status now; with a subject's profile, those about them."""
    rows, after = [], None
    with connected(profile) as (_, client):
        while True:
            page = client.list_consents(subject=subject, after=after)
            rows += [_row(held) for held in page.consents]
            if (after := page.next_after) is None:
                break
    show_table("Consents", ("consent", "status", "subject", "covers", "purposes", "until"), rows)


def _row(held: ConsentEvidence) -> tuple[str, ...]:
    record = held.record
    terms = record.terms
    until = f"{terms.valid_until:%Y-%m-%d}"
    return held.id, held.status.value, record.subject, " ".join(record.covers), " ".join(terms.purposes), until
