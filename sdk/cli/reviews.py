"""`imprimatur review`: what waits for reviewers, who is to look at it until when, and what is said about it.

Verdicts are signed with `approve` and `reject` (`sdk.cli.review`).
"""

from __future__ import annotations

from typing import Annotated, Final

import typer

from sdk.cli.alias import parse_moment
from sdk.cli.connection import ProfileOption, connected, named, say, show_table
from sdk.errors import InputError
from sdk.spec.ids import ConceptId, PrincipalId, parse_version_ref
from sdk.spec.review import Assignment, Comment, NewComment, ReviewQuery, ReviewRequest, ReviewTask, threaded

_DEEPEST: Final = 6  # how far replies are indented

_review = typer.Typer(no_args_is_help=True, help="What waits for review, for whom, and until when.")
commands = typer.Typer()
commands.add_typer(_review, name="review")

Reference = Annotated[str, typer.Argument(help="A version, such as demo/fox@1.", metavar="TENANT/NAME@N")]
Reviewers = Annotated[
    list[str] | None, typer.Option("--reviewer", help="Who is to review it; may be repeated.", metavar="TENANT/NAME")
]
Due = Annotated[str | None, typer.Option("--due", help="Until when, such as 2026-12-01T17:00+09:00.", metavar="TIME")]


@_review.command("queue")
def show_queue(
    mine: Annotated[bool, typer.Option("--mine", help="Only what is assigned to you.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what is overdue.")] = False,
    profile: ProfileOption = None,
) -> None:
    """List what waits for reviewers: overdue first, then by due date, then longest."""
    with connected(profile) as (chosen, client):
        query = ReviewQuery(reviewer=chosen.principal if mine else None, overdue=overdue)
        tasks = client.list_reviews(query).tasks
        renewals = client.list_waiting_renewals().renewals
    columns = ("version", "risk", "status", "approvals", "due", "assigned to", "may review", "asked by", "comments")
    show_table("Waiting for review", columns, [_row(task) for task in tasks])
    if renewals and not (mine or overdue):  # nobody is assigned to those
        say(f"renewals that wait as well: {len(renewals)} (imprimatur renewal list)")


@_review.command("request")
def request_review(
    reference: Reference, reviewer: Reviewers = None, due: Due = None, profile: ProfileOption = None
) -> None:
    """Put a draft up for review. Whoever asks cannot approve."""
    concept, number = version_named(reference)
    moment = parse_moment(due) if due else None
    request = ReviewRequest(reviewers=_principals(reviewer), due_at=moment)
    with connected(profile) as (_, client):
        _say_task(client.request_review(concept, number, request))


@_review.command("assign")
def assign_review(
    reference: Reference,
    reviewer: Reviewers = None,
    due: Due = None,
    expect: Annotated[
        int | None, typer.Option(help="Only if it was assigned this many times; 0 for never.", min=0)
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Say who is to review a version and until when, in place of what was planned before."""
    concept, number = version_named(reference)
    moment = parse_moment(due) if due else None
    wanted = Assignment(reviewers=_principals(reviewer), due_at=moment, expected=expect)
    with connected(profile) as (_, client):
        _say_task(client.assign_review(concept, number, wanted))


@_review.command("comment")
def comment(
    reference: Reference,
    text: Annotated[str, typer.Argument(help="What you want to say.", metavar="TEXT")],
    reply_to: Annotated[int | None, typer.Option(help="The comment that you reply to.", min=1)] = None,
    profile: ProfileOption = None,
) -> None:
    """Comment on a version. Comments stay on record."""
    concept, number = version_named(reference)
    with connected(profile) as (_, client):
        said = client.comment(concept, number, NewComment(text=text, reply_to=reply_to))
    say(f"comment {said.comment.comment} on {concept}@{number}, log entry {said.log_index}")


@_review.command("comments")
def show_comments(reference: Reference, profile: ProfileOption = None) -> None:
    """Show what was said about a version, replies below what they reply to."""
    concept, number = version_named(reference)
    with connected(profile) as (_, client):
        part = client.list_comments(concept, number)
        said = list(part.comments)
        while part.next_after:
            part = client.list_comments(concept, number, after=part.next_after)
            said += part.comments
    if not said:
        say(f"nobody has commented on {concept}@{number}")
    for logged, depth in threaded(said):
        _say_comment(logged.comment, "    " * min(depth, _DEEPEST))


def _say_comment(comment: Comment, indent: str) -> None:
    say(f"{indent}[{comment.comment}] {comment.author}, {comment.written_at:%Y-%m-%d %H:%M}Z")
    for line in comment.text.splitlines():
        say(f"{indent}    {line}")


def _row(task: ReviewTask) -> tuple[str, ...]:
    due = f"{task.due_at:%Y-%m-%d %H:%MZ}" if task.due_at else "-"
    return (
        task.name,
        task.risk_class,
        task.status.value,
        f"{task.approvals} of {task.approvals_required}",
        f"OVERDUE {due}" if task.overdue else due,
        " ".join(task.reviewers) or "-",
        " ".join(task.may_review) or "nobody",
        str(task.requested_by),
        str(task.comments),
    )


def _say_task(task: ReviewTask) -> None:
    due = f", due {task.due_at:%Y-%m-%d %H:%M}Z" if task.due_at else ""
    say(f"{task.name} is {task.status.value}, for {', '.join(task.reviewers) or 'any reviewer'}{due}")
    say(f"it needs {task.approvals_required} approvals, of {', '.join(task.may_review) or 'people who are not there'}")


def version_named(text: str) -> tuple[ConceptId, int]:
    """A version by its number. Raises `InputError`."""
    ref = named(parse_version_ref, text)
    if ref.number is None:
        raise InputError(f"expected a version by its number, such as demo/fox@1, found {text!r}")
    return ref.concept, ref.number


def _principals(names: list[str] | None) -> tuple[PrincipalId, ...]:
    return tuple(named(PrincipalId, name) for name in names or ())
