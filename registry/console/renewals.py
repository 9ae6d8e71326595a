"""Renewals as people read them: what waits for reviewers, as part of a version's page, and the form that asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from registry.approvals import query as approvals
from registry.console.pages import guarded
from registry.console.sessions import require_form_token
from registry.console.view import BASE, View, ViewDep
from registry.console.work import VERSION, Number
from registry.versions import renewal, renewal_reading, service
from registry.versions.lifecycle import RENEWABLE
from registry.versions.version import Terms, Version
from sdk.spec.canonical import validate_wire
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.paging import PageQuery
from sdk.spec.policy import Decision, Role
from sdk.spec.renewal import RenewalRequest, RenewalStatus, RenewalView

FormText = Annotated[str, Form(max_length=2000)]
_ROUNDS: Final = PageQuery(limit=100)

router = APIRouter()


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Terms that wait for reviewers, with what policy would say if the reader approved them now."""

    view: RenewalView
    terms: Terms
    new: frozenset[RecordId]  # records that the version does not rest on now
    foreseen: Decision | None


Rounds = Sequence[tuple[RenewalView, Sequence[approvals.Act]]]


def renewals_of(view: View, session: Session, version: Version, terms: Terms) -> tuple[Waiting | None, Rounds]:
    """The renewal of `version` that waits, and all that there were, with what was signed about each."""
    page = renewal_reading.page(session, view.runtime, version, _ROUNDS).renewals
    rounds = []
    waiting = None
    for one in page:
        row = renewal_reading.of_round(session, version, one.round)
        acts = approvals.acts_on_renewal(session, row)
        rounds.append((one, acts))
        if one.status is RenewalStatus.WAITING:
            waiting = _waiting(view, session, version, terms, one, acts)
    return waiting, rounds


def may_ask(view: View, version: Version) -> bool:
    """Whether the reader is shown the form that asks for other terms."""
    return asks_for(view, version) and version.stored_status in RENEWABLE


def asks_for(view: View, version: Version) -> bool:
    """Whether the reader may ask for reviews of it: as its owner, or as who had it trained."""
    named = view.caller.principal in (version.owner, version.trainer_of_record)
    return named and bool(view.caller.roles & {Role.OWNER, Role.TRAINER})


@router.post(f"{VERSION}/renewals")
def ask_for_renewal(
    tenant: str,
    name: str,
    number: Number,
    view: ViewDep,
    form_token: FormText,
    consents: FormText,
    licences: FormText,
) -> Response:
    """Put a version up for review under other records."""
    require_form_token(view.secret, form_token)
    concept = ConceptId(f"{tenant}/{name}")
    members = {"consents": consents.split(), "licences": licences.split()}
    wanted = validate_wire(RenewalRequest, members, "renewal")
    with view.runtime.transaction(view.caller.tenant) as session:
        version = service.load(session, view.caller.tenant, concept, number)
        renewal.ask(session, view.runtime, view.caller, version, wanted)
    address = f"{BASE}/concepts/{concept}/versions/{number}#renewal"
    return guarded(RedirectResponse(address, status_code=303))


def _waiting(
    view: View,
    session: Session,
    version: Version,
    standing: Terms,
    shown: RenewalView,
    acts: Sequence[approvals.Act],
) -> Waiting:
    terms = renewal.terms_under(session, view.runtime, version, shown.consents, shown.licences)
    known = {held.id for held in standing.consents} | {held.id for held in standing.licences}
    undecided = Role.REVIEWER in view.caller.roles and view.caller.principal not in {act.by for act in acts}
    asked = replace(version, review_requested_by=shown.requested_by)
    return Waiting(
        view=shown,
        terms=terms,
        new=frozenset({*shown.consents, *shown.licences} - known),
        foreseen=approvals.foresee(view.runtime, view.caller, asked, terms, "renew") if undecided else None,
    )
