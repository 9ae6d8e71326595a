"""In which language a page is shown: `?lang=`, else what was chosen before, else what the browser prefers."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from fastapi import Request

LANGUAGE_COOKIE: Final = "imprimatur_language"


class Language(StrEnum):
    """A language of the console, by its BCP 47 tag."""

    ENGLISH = "en"
    JAPANESE = "ja"


def chosen_language(request: Request) -> Language | None:
    """The language that the address asks for."""
    return _known(request.query_params.get("lang", ""))


def language_of(request: Request) -> Language:
    """The language to answer in; English when nothing is known."""
    earlier = _known(request.cookies.get(LANGUAGE_COOKIE, ""))
    return chosen_language(request) or earlier or _preferred(request.headers.get("accept-language", ""))


def _known(tag: str) -> Language | None:
    return next((language for language in Language if language.value == tag), None)


def _preferred(header: str) -> Language:
    """The first known language of an Accept-Language header (RFC 9110, 12.5.4), by weight."""
    weighed = []
    for part in header.split(","):
        tag, _, parameters = part.strip().partition(";")
        if language := _known(tag.split("-")[0].lower()):
            weighed.append((_weight(parameters), language))
    best = max(weighed, key=lambda pair: pair[0], default=(0.0, Language.ENGLISH))
    return best[1] if best[0] > 0 else Language.ENGLISH


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
