"""Consents as people read them, the person they are about first of all: what holds, the receipt, and how to end it.

A form does what the API does, through the same service, as whoever is signed in; withdrawing takes one of them.
"""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from registry.approvals import service as approvals
from registry.consent import answers, query, subjects
from registry.consent.receipts import receipt_of
from registry.console.pages import guarded
from registry.console.sessions import require_form_token
from registry.console.view import BASE, AnyViewDep, View, ViewDep
from registry.versions.reinstatement import is_any_suspended
from registry.versions.withdrawal import answer_consent, withdraw_consent
from sdk.policy.engine import require_permit
from sdk.spec.api import Withdrawal
from sdk.spec.canonical import encode_canonical, validate_wire
from sdk.spec.consent_events import ConsentAnswer
from sdk.spec.ids import RecordId
from sdk.spec.policy import Role
from sdk.spec.subjects import ConsentQuery
from sdk.spec.terms import ConsentEvidence, ConsentStatus, Expression

FormText = Annotated[str, Form(max_length=2000)]
_ENDED = (ConsentStatus.WITHDRAWN, ConsentStatus.REFUSED)
_MAY_BE_FOLLOWED = (ConsentStatus.RECONFIRMATION_DUE, ConsentStatus.EXPIRED, ConsentStatus.WITHDRAWN)

router = APIRouter()


@router.get("/consents")
def list_consents(view: AnyViewDep, after: Annotated[RecordId | None, Query()] = None) -> Response:
    """The tenant's consents, or those about whoever is signed in."""
    with view.runtime.transaction(view.caller.tenant) as session:
        page = query.page(session, view.runtime, view.caller, ConsentQuery(after=after))
    return view.page("consents.html", consents=page.consents, next_after=page.next_after)


@router.get("/consents/{consent}")
def show_consent(consent: RecordId, view: AnyViewDep) -> Response:
    """One consent: what it says, everything that happened to it, and what the reader may do."""
    view.caller.require(*query.LIST_READERS)
    with view.runtime.transaction(view.caller.tenant) as session:
        held = query.one(session, view.caller, consent, view.runtime.clock())
        told = receipt_of(session, view.runtime, view.caller, consent)
        capacities = subjects.capacities_of(session, view.caller, held.record.subject)
        confirmable = answers.confirmable(session, view.runtime, consent)
        may_reinstate = _may_reinstate(session, view, held)
    may = view.caller.roles & {Role.OWNER, Role.REVIEWER} or capacities
    return view.page(
        "consent.html",
        held=held,
        events=told.events,
        may_withdraw=bool(may) and held.status not in _ENDED,
        capacities=sorted(capacities) if held.status is ConsentStatus.RECONFIRMATION_DUE else (),
        confirmable=confirmable,
        may_reinstate=may_reinstate,
        may_be_followed=held.status in _MAY_BE_FOLLOWED and Role.OWNER in view.caller.roles,
    )


@router.get("/consents/{consent}/receipt.json")
def download_receipt(consent: RecordId, view: AnyViewDep) -> Response:
    """The receipt, as a file to keep."""
    view.caller.require(*query.LIST_READERS)
    with view.runtime.transaction(view.caller.tenant) as session:
        told = receipt_of(session, view.runtime, view.caller, consent)
    headers = {"Content-Disposition": f'attachment; filename="{consent}.json"'}
    return guarded(Response(encode_canonical(told), media_type="application/json", headers=headers))


@router.post("/consents/{consent}/withdrawal")
def withdraw(consent: RecordId, view: AnyViewDep, form_token: FormText, reason: FormText = "") -> Response:
    """Withdraw a consent for good."""
    require_form_token(view.secret, form_token)
    told = validate_wire(Withdrawal, {"reason": reason.strip() or "no reason given"}, "withdrawal")
    with view.runtime.transaction(view.caller.tenant) as session:
        withdraw_consent(session, view.runtime, view.caller, consent, told.reason)
    return _shown(consent)


@router.post("/consents/{consent}/answer")
def answer(consent: RecordId, view: AnyViewDep, form_token: FormText, given: FormText, capacity: FormText) -> Response:
    """Confirm a consent anew, or refuse to, as the person or as who speaks for them."""
    require_form_token(view.secret, form_token)
    with view.runtime.transaction(view.caller.tenant) as session:
        held = query.one(session, view.caller, consent, view.runtime.clock())
        members = {
            "answer": given,
            "expressed_by": held.record.subject,
            "expressed_as": capacity,
            "expressed_on": view.runtime.clock().date().isoformat(),
            "expressed_through": Expression.CREDENTIAL,
            "salt": secrets.token_hex(16),
        }
        answered = validate_wire(ConsentAnswer, members, "answer")
        answer_consent(session, view.runtime, view.caller, consent, answered)
    return _shown(consent)


@router.post("/consents/{consent}/reinstatement")
def reinstate(consent: RecordId, view: ViewDep, form_token: FormText) -> Response:
    """As a reviewer, approve again what was suspended until the consent was confirmed anew."""
    require_form_token(view.secret, form_token)
    with view.runtime.transaction(view.caller.tenant) as session:
        outcomes = approvals.reinstate(session, view.runtime, view.caller, consent)
    for outcome in outcomes:
        if outcome.decision:
            require_permit(outcome.decision)
    return _shown(consent)


def _may_reinstate(session: Session, view: View, held: ConsentEvidence) -> bool:
    """Whether to offer it; the rules have the last word."""
    confirmed = held.confirmed_on is not None and held.status is ConsentStatus.GIVEN
    return Role.REVIEWER in view.caller.roles and confirmed and is_any_suspended(session, held.id)


def _shown(consent: RecordId) -> Response:
    return guarded(RedirectResponse(f"{BASE}/consents/{consent}", status_code=303))
