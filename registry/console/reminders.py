"""What the clock will do soon: terms that end, minors who come of age, and which approved versions end with them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from registry.console.view import ViewDep, may_read_versions
from registry.reminders import service

router = APIRouter()


@router.get("/reminders")
def list_reminders(view: ViewDep) -> Response:
    """The reminders whose day is ahead, the nearest first."""
    with view.runtime.transaction(view.caller.tenant) as session:
        found = service.standing(session, view.runtime, view.caller)
    return view.page("reminders.html", reminders=found, linked=may_read_versions(view.caller))
