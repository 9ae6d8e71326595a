"""/v1/reminders."""

from __future__ import annotations

from fastapi import APIRouter

from registry.auth import CallerDep
from registry.paging import PageDep
from registry.reminders import service
from registry.runtime import RuntimeDep
from sdk.spec.reminders import ReminderPage

router = APIRouter(prefix="/v1/reminders", tags=["reminders"])


@router.get("")
def list_reminders(runtime: RuntimeDep, caller: CallerDep, page: PageDep) -> ReminderPage:
    """Terms that end soon and minors who come of age soon, in the order in which the registry reminded of them."""
    with runtime.transaction(caller.tenant) as session:
        return service.page(session, runtime, caller, page)
