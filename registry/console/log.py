"""The audit log: its signed checkpoint, its entries a page at a time, and the proof that an entry is in it."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Response

from registry.console.filters import named
from registry.console.view import ViewDep
from registry.log import proofs, service
from registry.log import query as reading
from sdk.errors import FormatError
from sdk.spec.api import LogQuery
from sdk.spec.canonical import validate_wire
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType, parse_log_entry
from sdk.spec.merkle import leaf_hash

PAGE_ENTRIES: Final = 50

Text = Annotated[str, Query(max_length=300)]
router = APIRouter()


@router.get("/log")
def show_log(
    view: ViewDep,
    event: Text = "",
    subject: Text = "",
    actor: Text = "",
    after: Annotated[int, Query(ge=-1, lt=2**62)] = -1,
) -> Response:
    """The checkpoint over everything, and the tenant's entries, oldest first."""
    reading.require_reader(view.runtime, view.caller)
    asked = {"event": _event(event), "subject": subject.strip() or None, "actor": named(PrincipalId, actor)}
    query = validate_wire(LogQuery, asked | {"after": after, "limit": PAGE_ENTRIES}, "log")
    with view.runtime.transaction(view.caller.tenant) as session:
        size = service.tree_size(session)
        note = proofs.checkpoint_note(session, view.runtime, size)
        page = reading.page(session, view.caller.tenant, query)
        newest = reading.before_newest(session, view.caller.tenant, query)
    filters = {"event": event, "subject": subject, "actor": actor}
    return view.page(
        "log.html",
        entries=page.entries,
        size=size,
        note=note,
        filters=filters,
        events=tuple(AuditEventType),
        newer="?" + urlencode(filters | {"after": page.next_after}) if page.next_after is not None else None,
        newest="?" + urlencode(filters | {"after": newest}),
        first="?" + urlencode(filters) if after >= 0 else None,
    )


@router.get("/log/{index}")
def show_entry(index: Annotated[int, Path(ge=0, lt=2**62)], view: ViewDep) -> Response:
    """One entry with the proof that it is under the checkpoint."""
    reading.require_reader(view.runtime, view.caller)
    with view.runtime.transaction(view.caller.tenant) as session:
        reading.require_entry_of(session, view.caller.tenant, index)
        proof = proofs.receipts(session, view.runtime, [index])[0]
    entry = parse_log_entry(proof.entry)
    return view.page("entry.html", entry=entry, proof=proof, leaf=leaf_hash(proof.entry).hex())


def _event(text: str) -> AuditEventType | None:
    try:
        return AuditEventType(text) if text else None
    except ValueError as exc:
        raise FormatError(f"the log knows no event {text!r}; choose one of the list") from exc
