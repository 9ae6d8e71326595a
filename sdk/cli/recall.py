"""`imprimatur notices`, `acknowledge` and `audit blast-radius`: what the end of a version means for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.audit import audit
from sdk.cli.break_glass import show_break_glasses
from sdk.cli.connection import ProfileOption, connected, named, say, show_table
from sdk.cli.recall_text import show_blast_radius
from sdk.cli.reminders import show_reminders
from sdk.cli.review import Reference, verified
from sdk.errors import InputError
from sdk.spec.ids import parse_version_ref
from sdk.spec.recall import NoticeAcknowledgement

commands = typer.Typer()


@commands.command()
def notices(profile: ProfileOption = None) -> None:
    """Show which versions this application was granted and has to stop using; to others, break-glass in force and terms that end."""
    with connected(profile) as (_, client):
        told = client.list_notices()
    rows = [
        (
            f"{notice.concept}@{notice.number}",
            notice.status.value,
            f"{notice.ended_at:%Y-%m-%d %H:%M:%S}",
            notice.reason,
            f"{notice.acknowledged_at:%Y-%m-%d %H:%M:%S}" if notice.acknowledged_at else "no",
        )
        for notice in told.notices
    ]
    show_table("Notices", ("version", "is", "since (UTC)", "reason", "acknowledged"), rows)
    if told.break_glasses:
        show_break_glasses(told.break_glasses)
    if told.reminders:
        show_reminders(told.reminders)


@commands.command()
def acknowledge(
    reference: Reference,
    comment: Annotated[str, typer.Option(help="What was done about what was made with it.")] = "",
    profile: ProfileOption = None,
) -> None:
    """Put on record that this application has stopped using a version."""
    ref = named(parse_version_ref, reference)
    if ref.number is None:
        raise InputError(f"name the version by its number, such as {ref.concept}@1; 'imprimatur notices' lists them")
    with connected(profile) as (_, client):
        answer = NoticeAcknowledgement(concept=ref.concept, number=ref.number, comment=comment)
        receipt = client.acknowledge_notice(answer)
    say(f"{reference} is acknowledged (entry {receipt.index} of the log)")


@audit.command("blast-radius")
def blast_radius(
    reference: Reference,
    out: Annotated[Path | None, typer.Option(help="Write the signed report here.", show_default=False)] = None,
    profile: ProfileOption = None,
) -> None:
    """Show what the end of a version affects, or would: applications, open grants, images, who was told."""
    with connected(profile) as (chosen, client):
        show_blast_radius(chosen, client, verified(chosen, client, reference), out=out)
