"""One page request: who looks, in which language, and where they may go from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse

from registry.approvals import break_glass
from registry.auth import Caller
from registry.blobs import READERS
from registry.consent.query import LIST_READERS
from registry.console.language import LANGUAGE_COOKIE, Language, chosen_language, language_of
from registry.console.pages import PAGE_CSP, guarded, render
from registry.console.sessions import caller_of_session, form_token
from registry.generations.query import readable_of, require_all_readable
from registry.log.query import require_reader
from registry.rate_limits import CALLER
from registry.reminders.service import READERS as REMINDER_READERS
from registry.reviews.query import QUEUE_READERS
from registry.runtime import Runtime, RuntimeDep
from sdk.errors import ImprimaturError
from sdk.spec.break_glass import BreakGlassView

BASE: Final = "/console"
SESSION_COOKIE: Final = "imprimatur_session"
FORM_COOKIE: Final = "imprimatur_form"
_YEAR_SECONDS: Final = 365 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class View:
    """A page request of somebody who is signed in."""

    request: Request
    runtime: Runtime
    caller: Caller
    secret: str  # of the session

    def page(self, template: str, **values: Any) -> Response:
        """The page that `template` makes of `values`."""
        framed: dict[str, Any] = {
            "caller": self.caller,
            "navigation": navigation(self.runtime, self.caller),
            "form_token": form_token(self.secret),
            "opened": self._opened(),
        }
        return page(self.request, template, **framed, **values)

    def _opened(self) -> tuple[BreakGlassView, ...]:
        """What is in use by break-glass now: every page tells it to whoever may know."""
        with self.runtime.transaction(self.caller.tenant) as session:
            return break_glass.in_force(session, self.runtime, self.caller)


def view_of(request: Request, runtime: RuntimeDep) -> View:
    """The view of whoever is signed in. Raises `AuthenticationRequired`."""
    secret = request.cookies.get(SESSION_COOKIE, "")
    with runtime.transaction() as session:
        caller = caller_of_session(session, runtime, secret)
    setattr(request.state, CALLER, caller)
    return View(request=request, runtime=runtime, caller=caller, secret=secret)


AnyViewDep = Annotated[View, Depends(view_of)]
"""Whoever is signed in, a subject included."""


def view_of_member(view: AnyViewDep) -> View:
    """The view of somebody who works for the tenant. Raises `PermissionDenied`."""
    view.caller.require_member()
    return view


ViewDep = Annotated[View, Depends(view_of_member)]


def page(request: Request, template: str, *, status_code: int = 200, csp: str = PAGE_CSP, **values: Any) -> Response:
    """A page in the language of `request`; a language that its address asks for is remembered."""
    language = language_of(request)
    framed = {"caller": None, "navigation": (), "opened": (), "base": BASE, "here": request.url.path} | values
    links = {other: _in_language(request, other) for other in Language} if request.method == "GET" else {}
    response = HTMLResponse(render(template, language, languages=links, **framed), status_code=status_code)
    response.headers["Content-Language"] = language.value
    response.headers["Vary"] = "Accept-Language, Cookie"
    if chosen := chosen_language(request):
        set_cookie(response, request, LANGUAGE_COOKIE, chosen.value, seconds=_YEAR_SECONDS)
    return guarded(response, csp)


def set_cookie(response: Response, request: Request, name: str, value: str, *, seconds: int) -> None:
    """A cookie for the console alone: no script reads it, no other site sends it."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=BASE,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def navigation(runtime: Runtime, caller: Caller) -> tuple[tuple[str, str], ...]:
    """The pages that the caller may read: a word of the catalogue, and a path under `BASE`."""
    if not caller.is_member:
        return (("nav.consents", "/consents"), ("nav.denials", "/denials"))
    pages = [("nav.concepts", "/concepts")]
    if caller.roles & set(LIST_READERS):
        pages.append(("nav.consents", "/consents"))
    if caller.roles & set(REMINDER_READERS):
        pages.append(("nav.reminders", "/reminders"))
    if caller.roles & set(QUEUE_READERS):
        pages.insert(0, ("nav.queue", "/queue"))
    if _may(lambda: readable_of(runtime, caller)):
        pages += [("nav.generations", "/generations"), ("nav.refusals", "/generations?outcome=deny")]
        pages.append(("nav.origins", "/origins"))
    if _may(lambda: require_all_readable(runtime, caller)):
        pages += [("nav.denials", "/denials"), ("nav.accounts", "/accounts")]
    if _may(lambda: require_reader(runtime, caller)):
        pages.append(("nav.log", "/log"))
    return tuple(pages)


def may_read_versions(caller: Caller) -> bool:
    """Whether the caller may look into a version; its pictures are blobs, and these are their readers."""
    return bool(caller.roles & set(READERS))


def _may(check: Callable[[], object]) -> bool:
    try:
        check()
    except ImprimaturError:
        return False
    return True


def _in_language(request: Request, language: Language) -> str:
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return "?" + urlencode([*kept, ("lang", language.value)])
