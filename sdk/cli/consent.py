"""`imprimatur consent`: recording, reading, confirming and withdrawing consent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.alias import parse_moment
from sdk.cli.connection import (
    ProfileOption,
    connected,
    named,
    note,
    now,
    read_document,
    say,
    show_table,
    write_json,
)
from sdk.cli.consent_text import receipt_text
from sdk.consent_receipt import verify_consent_receipt
from sdk.resolve import current_trust_root
from sdk.spec.canonical import encode_canonical, validate_wire
from sdk.spec.consent_events import ConsentAnswer, ConsentEvent
from sdk.spec.dpv import missing_fields, receipt_to_dpv
from sdk.spec.ids import RecordId
from sdk.spec.terms import Capacity, ConsentEvidence, ConsentRecord, ConsentStatus, Evidence, Expression

Consent = Annotated[str, typer.Argument(help="The consent's id.", metavar="ID")]
Out = Annotated[Path | None, typer.Option("--out", help="Write to this file. \\[default: print]")]

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
    with connected(profile) as (_, client):
        accepted = client.give_consent(record)
        say(f"consent {accepted.id} is recorded, log entry {accepted.receipt.index}")


@_consent.command("withdraw")
def withdraw_consent(
    consent: Consent,
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
    status: Annotated[ConsentStatus | None, typer.Option(help="Only those that stand so.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="As they stood then, such as 2026-03-03T14:00+09:00.")
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """List consents with their status; with a subject's profile, those about them."""
    at = parse_moment(as_of) if as_of else None
    rows, after = [], None
    with connected(profile) as (_, client):
        while True:
            page = client.list_consents(subject=subject, status=status, as_of=at, after=after)
            rows += [_row(held) for held in page.consents]
            if (after := page.next_after) is None:
                break
    show_table("Consents", ("consent", "status", "subject", "covers", "purposes", "until"), rows)


@_consent.command("receipt")
def receipt(
    consent: Consent,
    out: Annotated[Path | None, typer.Option(help="Keep the receipt in this JSON file, its proofs included.")] = None,
    profile: ProfileOption = None,
) -> None:
    """Read a consent's receipt: the record and everything that happened to it, each verified to be in the log."""
    with connected(profile) as (chosen, client):
        trust = current_trust_root(client, chosen, now=now())
        received = verify_consent_receipt(client.consent_receipt(named(RecordId, consent)), trust)
    if out:
        out.write_bytes(encode_canonical(received))
    say(receipt_text(received))


@_consent.command("export")
def export(consent: Consent, out: Out = None, profile: ProfileOption = None) -> None:
    """Write a consent and its events in the Data Privacy Vocabulary (JSON-LD, ISO/IEC TS 27560)."""
    with connected(profile) as (_, client):
        received = client.consent_receipt(named(RecordId, consent))
    if missing := missing_fields(received.record):
        note(f"this record does not state what ISO/IEC TS 27560 asks for: {', '.join(missing)}")
    write_json(receipt_to_dpv(received), out)


def _answering(name: str, event: ConsentEvent, done: str, about: str) -> None:
    """The command `name`, which records an answer; `done` says what that did."""

    @_consent.command(name, help=about)
    def answer(
        consent: Consent,
        by: Annotated[str, typer.Option("--by", help="Who answers, by a pseudonym.")],
        capacity: Annotated[Capacity, typer.Option("--as", help="As the person, or how they speak for the person.")],
        on: Annotated[str | None, typer.Option(help="The day of the answer. \\[default: today]", metavar="DAY")] = None,
        through: Annotated[Expression, typer.Option(help="How it was answered.")] = Expression.CREDENTIAL,
        evidence: Annotated[
            Path | None, typer.Option(help="Where it is written, as JSON: document, page, clause.")
        ] = None,
        profile: ProfileOption = None,
    ) -> None:
        members = {
            "answer": event,
            "expressed_by": by,
            "expressed_as": capacity,
            "expressed_on": on or f"{now():%Y-%m-%d}",
            "expressed_through": through,
            "evidence": read_document(evidence, Evidence, "evidence") if evidence else None,
        }
        given = validate_wire(ConsentAnswer, members, "answer")
        with connected(profile) as (_, client):
            accepted = client.answer_consent(named(RecordId, consent), given)
            say(f"consent {accepted.id} is {done}, log entry {accepted.receipt.index}")


_answering(
    "confirm",
    ConsentEvent.RECONFIRM,
    "confirmed anew",
    "Confirm a consent anew after a life event. Versions return when a reviewer reinstates them.",
)
_answering("refuse", ConsentEvent.REFUSE, "refused", "Refuse to confirm a consent anew. This is final.")


@_consent.command("reinstate")
def reinstate(consent: Consent, profile: ProfileOption = None) -> None:
    """As a reviewer, approve again what was suspended until this consent was confirmed anew."""
    with connected(profile) as (_, client):
        for version in client.reinstate(named(RecordId, consent)).versions:
            say(f"{version.concept}@{version.number} is {version.status.value} again")


def _row(held: ConsentEvidence) -> tuple[str, ...]:
    record = held.record
    terms = record.terms
    until = f"{terms.valid_until:%Y-%m-%d}"
    return held.id, held.status.value, record.subject, " ".join(record.covers), " ".join(terms.purposes), until
