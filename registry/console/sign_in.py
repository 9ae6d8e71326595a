"""Signing in with a credential, and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from registry.console import sessions
from registry.console.pages import guarded
from registry.console.view import BASE, FORM_COOKIE, SESSION_COOKIE, AnyViewDep, page, set_cookie
from registry.runtime import RuntimeDep
from sdk.errors import AuthenticationRequired

FORM_SECONDS = 3600  # seconds a sign-in form may lie open

FormText = Annotated[str, Form(max_length=200)]
router = APIRouter()


@router.get("/sign-in")
def show_sign_in(request: Request) -> Response:
    """The form."""
    return _form(request)


@router.post("/sign-in")
def sign_in(request: Request, runtime: RuntimeDep, credential: FormText, form_token: FormText) -> Response:
    """Open a session, and end the one this browser had."""
    sessions.require_form_token(request.cookies.get(FORM_COOKIE), form_token)
    try:
        with runtime.transaction() as session:
            sessions.close_session(session, runtime, request.cookies.get(SESSION_COOKIE))
            secret = sessions.open_session(session, runtime, credential)
    except AuthenticationRequired as exc:
        return _form(request, status=401, error=exc)
    response = guarded(RedirectResponse(f"{BASE}/", status_code=303))
    set_cookie(response, request, SESSION_COOKIE, secret, seconds=runtime.settings.console_session_minutes * 60)
    response.delete_cookie(FORM_COOKIE, path=BASE)
    return response


@router.post("/sign-out")
def sign_out(view: AnyViewDep, form_token: FormText) -> Response:
    """End the session."""
    sessions.require_form_token(view.secret, form_token)
    with view.runtime.transaction() as session:
        sessions.close_session(session, view.runtime, view.secret)
    response = guarded(RedirectResponse(f"{BASE}/sign-in", status_code=303))
    response.delete_cookie(SESSION_COOKIE, path=BASE)
    return response


def _form(request: Request, *, status: int = 200, error: AuthenticationRequired | None = None) -> Response:
    known = request.cookies.get(FORM_COOKIE, "")  # of another tab, whose form goes on being good
    secret = known if sessions.is_secret(known) else sessions.new_secret()
    token = sessions.form_token(secret)
    response = page(request, "sign_in.html", status_code=status, error=error, form_token=token)
    set_cookie(response, request, FORM_COOKIE, secret, seconds=FORM_SECONDS)
    return response
