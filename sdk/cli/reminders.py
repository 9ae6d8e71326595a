"""`imprimatur reminders`: terms that end soon, minors who come of age soon, and the approvals that end with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, say, show_table
from sdk.spec.reminders import Reminder

commands = typer.Typer()


@commands.command()
def reminders(
    everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    profile: ProfileOption = None,
) -> None:
    """List the days that are near: what ends, and which approved versions end with it."""
    with connected(profile) as (_, client):
        found = client.list_reminders().reminders
    show_reminders([one for one in found if everything or not one.over])
    if any(one.versions for one in found if not one.over):
        say("a version is renewed under other records, without training it again, by: imprimatur renewal ask")


def show_reminders(found: Sequence[Reminder]) -> None:
    """Print them as a table, the nearest day first."""
    columns = ("due (UTC)", "what", "record", "concepts", "approved versions")
    show_table("Reminders", columns, [_row(one) for one in sorted(found, key=lambda one: one.due_at)])


def _row(reminder: Reminder) -> tuple[str, ...]:
    due = f"{reminder.due_at:%Y-%m-%d %H:%M}"
    return (
        f"{due}, over" if reminder.over else due,
        reminder.kind.value,
        str(reminder.record),
        " ".join(reminder.covers),
        " ".join(reminder.versions) or "-",
    )
