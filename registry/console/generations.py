"""Who generated what with which versions, and what was refused and why."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from registry.console.filters import Text, midnight, named
from registry.console.view import BASE, View, ViewDep, may_read_versions
from registry.generations import query as reading
from registry.generations.search import GenerationSearch, find
from registry.log import query as log_query
from registry.log.proofs import receipts
from sdk.errors import FormatError, PolicyDenied
from sdk.spec.ids import ConceptId, PrincipalId, RecordId
from sdk.spec.policy import Effect

router = APIRouter()


@router.get("/generations")
def list_generations(
    view: ViewDep,
    concept: Text = "",
    application: Text = "",
    outcome: Text = "",
    since: Text = "",
    until: Text = "",
    before: Annotated[int | None, Query(ge=0, lt=2**62)] = None,
) -> Response:
    """The table, newest first. A filter left empty excludes nothing, as browsers send empty fields too."""
    search = GenerationSearch(
        concept=named(ConceptId, concept),
        application=named(PrincipalId, application),
        effect=_effect(outcome),
        since=midnight(since),
        until=midnight(until, after=1),
        before=before,
    )
    with view.runtime.transaction(view.caller.tenant) as session:
        found = find(session, view.runtime, view.caller, search)
    filters = {"concept": concept, "application": application, "outcome": outcome, "since": since, "until": until}
    return view.page(
        "generations.html",
        generations=found.generations,
        filters=filters,
        older="?" + urlencode(filters | {"before": found.next_before}) if found.next_before is not None else None,
        here=f"{BASE}/generations?outcome=deny" if search.effect is Effect.DENY else f"{BASE}/generations",
    )


@router.get("/generations/{generation}")
def show_generation(generation: RecordId, view: ViewDep) -> Response:
    """One generation with its decision, its images and, for who may read the log, its proofs."""
    with view.runtime.transaction(view.caller.tenant) as session:
        found = reading.one(session, view.runtime, view.caller, generation)
        logged = [index for index in (found.intent_index, found.result_index) if index is not None]
        proofs = receipts(session, view.runtime, logged) if _reads_log(view) else ()
    return view.page("generation.html", generation=found, proofs=proofs, linked=may_read_versions(view.caller))


def _reads_log(view: View) -> bool:
    try:
        log_query.require_reader(view.runtime, view.caller)
    except PolicyDenied:
        return False
    return True


def _effect(text: str) -> Effect | None:
    try:
        return Effect(text) if text else None
    except ValueError as exc:
        raise FormatError(f"an outcome is permit or deny, not {text!r}") from exc
