"""Templates and headers. Whatever the console sends passes `guarded`, so no page can forget its headers.

A page loads its own style sheet and pictures and nothing else; there is no script anywhere, and none would run.
Templates escape everything; values never come marked as safe.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from registry.console.language import Language
from registry.console.words import say
from sdk.spec.moments import in_utc

HERE: Final = Path(__file__).resolve().parent
PAGE_CSP: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
UPLOADS_CSP: Final = PAGE_CSP.replace("img-src 'self'", "img-src 'self' data:")
"""A page that shows its reader a picture that they sent, and that is stored nowhere: it stands in the page itself."""
FILE_CSP: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"
REPORT_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
"""The report is a page that somebody uploaded: it may look as it likes, and do nothing."""

_AnyResponse = TypeVar("_AnyResponse", bound=Response)


def guarded(response: _AnyResponse, csp: str = PAGE_CSP, *, cache: str = "no-store") -> _AnyResponse:
    """`response` with the headers that everything the console sends carries."""
    response.headers["Content-Security-Policy"] = csp
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = cache
    return response


def render(template: str, language: Language, **values: Any) -> str:
    """The text of a page."""

    def words(key: str, **filled: object) -> str:
        return say(key, language, **filled)

    return _environment.get_template(template).render(t=words, lang=language.value, **values)


def _moment(value: datetime) -> str:
    return f"{in_utc(value):%Y-%m-%d %H:%M} UTC"


def _short(digest: str) -> str:
    return f"{digest[:19]}…" if digest.startswith("sha256:") else digest


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(moment=_moment, short=_short)
