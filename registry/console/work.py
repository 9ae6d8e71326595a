"""Review as work: the queue, and the forms that put a draft up, assign a version and comment on it.

A form does what the API does, through the same service, as whoever is signed in; then it shows the version again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Path, Query, Response
from fastapi.responses import RedirectResponse

from registry.console.pages import guarded
from registry.console.sessions import require_form_token
from registry.console.view import BASE, View, ViewDep
from registry.reviews import query, service
from registry.versions import renewal_reading
from sdk.errors import FormatError, InputError
from sdk.spec.canonical import validate_wire
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.paging import Cursor, PageQuery
from sdk.spec.review import Assignment, NewComment, ReviewQuery, ReviewRequest

Number = Annotated[int, Path(ge=1, lt=2**31)]
FormText = Annotated[str, Form(max_length=5000)]
VERSION = "/concepts/{tenant}/{name}/versions/{number}"

router = APIRouter()


@router.get("/queue")
def show_queue(
    view: ViewDep, show: Annotated[str, Query(max_length=10)] = "", cursor: Annotated[Cursor | None, Query()] = None
) -> Response:
    """A page of what waits for reviewers: of all, or of what is overdue, or of what the caller is to review."""
    mine = view.caller.principal if show == "mine" else None
    asked = ReviewQuery(reviewer=mine, overdue=show == "overdue", cursor=cursor)
    with view.runtime.transaction(view.caller.tenant) as session:
        queue = query.queue(session, view.runtime, view.caller, asked)
        waiting = renewal_reading.waiting(session, view.runtime, view.caller.tenant, PageQuery())
    renewals = () if show or cursor else waiting.renewals  # nobody is assigned to one, and it has no date
    return view.page("queue.html", queue=queue, renewals=renewals, show=show, now=view.runtime.clock())


@router.post(f"{VERSION}/review-request")
def request_review(tenant: str, name: str, number: Number, view: ViewDep, form_token: FormText) -> Response:
    """Put a draft up for review."""
    require_form_token(view.secret, form_token)
    concept = ConceptId(f"{tenant}/{name}")
    with view.runtime.transaction(view.caller.tenant) as session:
        service.ask(session, view.runtime, view.caller, concept, number, ReviewRequest())
    return _shown(concept, number, "work")


@router.post(f"{VERSION}/assignment")
def assign_review(
    tenant: str,
    name: str,
    number: Number,
    view: ViewDep,
    form_token: FormText,
    expected: Annotated[int, Form(ge=0, lt=2**31)],
    reviewers: Annotated[tuple[str, ...], Form(max_length=16)] = (),
    due_at: FormText = "",
) -> Response:
    """Say who is to review a version, and until when."""
    require_form_token(view.secret, form_token)
    concept = ConceptId(f"{tenant}/{name}")
    asked = {"reviewers": tuple(map(PrincipalId, reviewers)), "due_at": _moment(due_at), "expected": expected}
    wanted = validate_wire(Assignment, asked, "assignment")
    with view.runtime.transaction(view.caller.tenant) as session:
        service.assign(session, view.runtime, view.caller, concept, number, wanted)
    return _shown(concept, number, "work")


@router.post(f"{VERSION}/comments")
def post_comment(
    tenant: str,
    name: str,
    number: Number,
    view: ViewDep,
    form_token: FormText,
    text: FormText = "",
    reply_to: Annotated[int | None, Form(ge=1, lt=2**31)] = None,
) -> Response:
    """Comment on a version, or reply to a comment."""
    require_form_token(view.secret, form_token)
    concept = ConceptId(f"{tenant}/{name}")
    written = text.replace("\r\n", "\n").strip()
    new = validate_wire(NewComment, {"text": written, "reply_to": reply_to}, "comment")
    with view.runtime.transaction(view.caller.tenant) as session:
        said = service.comment(session, view.runtime, view.caller, concept, number, new)
    return _shown(concept, number, f"comment-{said.comment.comment}")


def may_assign(view: View) -> bool:
    """Whether the caller is shown the form that assigns."""
    return bool(view.caller.roles & set(service.ASSIGNERS))


def may_comment(view: View) -> bool:
    """Whether the caller is shown the form that comments."""
    return bool(view.caller.roles & set(service.COMMENTERS))


def _shown(concept: ConceptId, number: int, place: str) -> Response:
    address = f"{BASE}/concepts/{concept}/versions/{number}#{place}"
    return guarded(RedirectResponse(address, status_code=303))


def _moment(text: str) -> datetime | None:
    """What a browser's date-and-time field sends, which is a moment in UTC here. Raises `InputError`."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except (ValueError, FormatError) as exc:
        raise InputError(f"a moment is written 2026-03-31T17:00, not {text!r}") from exc
