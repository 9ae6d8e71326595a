"""`imprimatur ledger`: refused attempts with a concept, for the person it is about, for owners and for auditors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from sdk.cli.accounting import as_moment
from sdk.cli.connection import ProfileOption, connected, named, say
from sdk.spec.denials import DenialAbout, DenialQuery, DeniedAttempt, DeniedRule
from sdk.spec.ids import ConceptId

commands = typer.Typer()


@commands.command("ledger")
def show_ledger(
    concept: Annotated[str | None, typer.Option(help="Only with this concept.", show_default=False)] = None,
    since: Annotated[datetime | None, typer.Option(help="From this moment on, UTC.", show_default=False)] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this moment, UTC.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(help="At most this many.", min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on from here.", show_default=False)] = None,
    profile: ProfileOption = None,
) -> None:
    """Show who tried what with a concept and was refused, newest first. A subject sees those with their own."""
    query = DenialQuery(
        concept=named(ConceptId, concept) if concept else None,
        since=as_moment(since),
        until=as_moment(until),
        limit=limit,
        cursor=cursor,
    )
    with connected(profile) as (_, client):
        page = client.list_denials(query)
    if not page.denials:
        say("no refused attempt")
    for attempt in page.denials:
        _show(attempt)
    if page.next_cursor:
        say(f"there are older ones: --cursor {page.next_cursor}")


def _show(attempt: DeniedAttempt) -> None:
    others = f" and {attempt.others} other concepts" if attempt.others else ""
    say(f"{attempt.at:%Y-%m-%d %H:%M:%S} UTC  {attempt.by} was refused to {attempt.act.value}")
    say(f"  with     {', '.join(attempt.concepts)}{others}")
    if attempt.use:
        say(
            f"  for      {attempt.use.purpose}, {attempt.use.territory}, {attempt.use.channel}; {attempt.images} images"
        )
    for rule in attempt.rules:
        say(f"  because  {_because(rule)}")
    say(f"  log      entry {attempt.log_index}")


def _because(rule: DeniedRule) -> str:
    if rule.about is DenialAbout.OTHER:
        return "of another concept in the same attempt"
    return f"{rule.plain} ({rule.rule})" if rule.plain else str(rule.rule)
