"""Concepts, and each with its versions and the statuses they came to."""

from __future__ import annotations

from itertools import groupby

from fastapi import APIRouter, Response

from registry.concepts import service as concepts
from registry.console.view import ViewDep, may_read_versions
from registry.versions import history, reading, service
from sdk.spec.ids import ConceptId

router = APIRouter()


@router.get("/concepts")
def list_concepts(view: ViewDep) -> Response:
    """The concepts of the tenant."""
    with view.runtime.transaction(view.caller.tenant) as session:
        found = concepts.all_of(session, view.caller.tenant)
        views = [service.concept_view(session, view.runtime, concept) for concept in found]
    return view.page("concepts.html", concepts=views)


@router.get("/concepts/{tenant}/{name}")
def show_concept(tenant: str, name: str, view: ViewDep) -> Response:
    """One concept: its versions, newest first, with their history, and its aliases."""
    with view.runtime.transaction(view.caller.tenant) as session:
        concept = concepts.load(session, view.caller.tenant, ConceptId(f"{tenant}/{name}"))
        versions, _ = service.views_of(session, view.runtime, concept)
        statuses = {
            number: tuple(rows)
            for number, rows in groupby(reading.statuses_of(session, concept.id), key=lambda row: row.number)
        }
        aliases, _ = history.aliases_at(session, view.caller.tenant, view.runtime.clock(), concept.id)
    return view.page(
        "concept.html",
        concept=concept,
        versions=versions[::-1],
        statuses=statuses,
        aliases=aliases,
        linked=may_read_versions(view.caller),
    )
