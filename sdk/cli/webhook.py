"""`imprimatur webhook`: where events of the tenant are sent, how deliveries went, sending again."""

from __future__ import annotations

from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, say, show_table
from sdk.spec.canonical import validate_wire
from sdk.spec.webhooks import NewWebhook, WebhookEventType, WebhookView

commands = typer.Typer()
_webhook = typer.Typer(no_args_is_help=True, help="Send events to an address of your own.")
commands.add_typer(_webhook, name="webhook")

Webhook = Annotated[str, typer.Argument(help="The webhook's id, from the list.", metavar="ID")]


@_webhook.command("create")
def create(
    url: Annotated[str, typer.Argument(help="Where to send, https.", metavar="URL")],
    event: Annotated[list[WebhookEventType], typer.Option(help="What to send; give it several times for several.")],
    description: Annotated[str, typer.Option(help="What it is for, in your words.")] = "",
    profile: ProfileOption = None,
) -> None:
    """Send events from now on (administrators). Prints the key that verifies them."""
    wanted = validate_wire(NewWebhook, {"url": url, "events": tuple(event), "description": description}, "webhook")
    with connected(profile) as (_, client):
        made, key = client.create_webhook(wanted), client.webhook_key()
    say(f"{made.id} sends {', '.join(made.events)}; verify its messages with {key.public_key}")


@_webhook.command("list")
def list_all(profile: ProfileOption = None) -> None:
    """List the tenant's webhooks and where each stands."""
    with connected(profile) as (_, client):
        rows = [_row(view) for view in client.list_webhooks().webhooks]
    show_table("Webhooks", ("id", "address", "events", "position", "stands"), rows)


@_webhook.command("deliveries")
def deliveries(webhook: Webhook, profile: ProfileOption = None) -> None:
    """Show how deliveries ended."""
    with connected(profile) as (_, client):
        rows = [
            (
                view.message,
                view.outcome.value,
                str(view.attempts),
                str(view.status or "-"),
                f"{view.at:%Y-%m-%d %H:%M:%S}",
            )
            for view in client.list_deliveries(webhook).deliveries
        ]
    show_table("Deliveries", ("message", "outcome", "attempts", "status", "at"), rows)


@_webhook.command("replay")
def replay(
    webhook: Webhook,
    after: Annotated[int, typer.Option(min=-1, help="Send again what comes after this index of the log.")],
    profile: ProfileOption = None,
) -> None:
    """Send messages again, under the ids they had."""
    with connected(profile) as (_, client):
        client.replay_webhook(webhook, after)
    say(f"{webhook} sends again from entry {after + 1} on")


@_webhook.command("end")
def end(webhook: Webhook, profile: ProfileOption = None) -> None:
    """Send nothing more."""
    with connected(profile) as (_, client):
        client.end_webhook(webhook)
    say(f"{webhook} has ended")


def _row(view: WebhookView) -> tuple[str, ...]:
    stands = "ended" if view.ended_at else view.last_fault or "in order"
    if view.due_at and not view.ended_at:
        stands += f"; attempt {view.attempts + 1} at {view.due_at:%Y-%m-%d %H:%M}"
    return view.id, view.url, ", ".join(view.events), str(view.position), stands
