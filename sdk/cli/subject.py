"""`imprimatur subject`: who is, or speaks for, the person behind a pseudonym."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, named, read_document, say, show_table
from sdk.spec.canonical import validate_wire
from sdk.spec.consent_events import LifeEvent, LifeEventReport
from sdk.spec.ids import PrincipalId
from sdk.spec.subjects import SubjectBinding, SubjectRelease
from sdk.spec.terms import Capacity, Evidence

commands = typer.Typer()
_subject = typer.Typer(no_args_is_help=True, help="Say who the persons behind pseudonyms are, or who speaks for them.")
commands.add_typer(_subject, name="subject")

Pseudonym = Annotated[str, typer.Argument(help="What the records call the person.", metavar="PSEUDONYM")]
Principal = Annotated[str, typer.Argument(help="Who calls, with the role subject.", metavar="TENANT/NAME")]


@_subject.command("bind")
def bind(
    pseudonym: Pseudonym,
    principal: Principal,
    capacity: Annotated[
        Capacity, typer.Option("--as", help="Whether they are that person, or how they speak for them.")
    ],
    evidence: Annotated[
        Path | None,
        typer.Option(help="The document that lets them speak for somebody else, as JSON: document, page, clause."),
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Let a principal read and withdraw what is recorded about a person."""
    proof = read_document(evidence, Evidence, "evidence") if evidence else None
    members = {"pseudonym": pseudonym, "principal": named(PrincipalId, principal), "capacity": capacity}
    binding = validate_wire(SubjectBinding, members | {"evidence": proof}, "binding")
    with connected(profile) as (_, client):
        accepted = client.bind_subject(binding)
        say(f"{principal} is bound to {pseudonym} as {capacity.value}, log entry {accepted.receipt.index}")


@_subject.command("release")
def release(
    pseudonym: Pseudonym,
    principal: Principal,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    profile: ProfileOption = None,
) -> None:
    """End a binding: the principal no longer reads or withdraws what is recorded about the person."""
    members = {"pseudonym": pseudonym, "principal": named(PrincipalId, principal), "reason": reason}
    with connected(profile) as (_, client):
        accepted = client.release_subject(validate_wire(SubjectRelease, members, "release"))
        say(f"{principal} is no longer bound to {pseudonym}, log entry {accepted.receipt.index}")


@_subject.command("list")
def list_subjects(profile: ProfileOption = None) -> None:
    """List the bindings that hold; with a subject's profile, their own."""
    with connected(profile) as (_, client):
        rows = [
            (held.binding.pseudonym, held.binding.principal, held.binding.capacity.value, f"{held.since:%Y-%m-%d}")
            for held in client.list_subjects().subjects
        ]
    show_table("Subjects", ("pseudonym", "principal", "as", "since"), rows)


@_subject.command("event")
def life_event(
    pseudonym: Pseudonym,
    event: Annotated[LifeEvent, typer.Argument(help="What happened.")],
    on: Annotated[str, typer.Option("--on", help="The day on which it happened.", metavar="YYYY-MM-DD")],
    evidence: Annotated[Path, typer.Option(help="Where it is written, as JSON: document, page, clause.")],
    profile: ProfileOption = None,
) -> None:
    """Report a life event: every consent about the person is asked for anew, and what rests on it is suspended."""
    proof = read_document(evidence, Evidence, "evidence")
    members = {"pseudonym": pseudonym, "event": event, "happened_on": on, "evidence": proof}
    with connected(profile) as (_, client):
        recorded = client.report_life_event(validate_wire(LifeEventReport, members, "life event"))
    say(f"to be confirmed anew: {', '.join(recorded.consents)}")
    say(f"suspended: {', '.join(recorded.suspended) or 'nothing'}")
    if recorded.suspended:
        say("they return by 'consent confirm' and 'consent reinstate', or under another consent by 'renewal ask'")
    say(f"no longer bound: {', '.join(recorded.released) or 'nobody'}")
