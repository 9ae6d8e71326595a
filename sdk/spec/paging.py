"""Pages of a list: what is asked for, and where the next one begins. A list that is not ended says `next_cursor`.

A cursor is text that clients hand back unread; the services write the sorting key of the last thing shown into it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from sdk.errors import InputError
from sdk.spec.canonical import WireModel

DEFAULT_LIMIT = 200
MAX_LIMIT = 1000

Cursor = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,600}$")]
"""Where a page begins, as the page before it said. Its inside means nothing to a client."""


class PageQuery(WireModel):
    """Which page of a list; a page is stable while things are added."""

    cursor: Cursor | None = None
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


class Page(WireModel):
    """A page of a list; what it lists is the one other member."""

    next_cursor: Cursor | None = None


def encode_cursor(*key: str | int) -> str:
    """The cursor after the thing with this sorting key."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def parse_cursor(cursor: str | None, *kinds: type[str] | type[int]) -> Sequence[str | int] | None:
    """The sorting key in a cursor; none when there is no cursor.

    Raises:
        InputError: it is no cursor of this list.
    """
    if cursor is None:
        return None
    try:
        key = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as exc:
        raise _no_cursor() from exc
    if not isinstance(key, list) or [type(part) for part in key] != list(kinds):
        raise _no_cursor()
    if not all(_is_storable(part) for part in key if isinstance(part, str)):
        raise _no_cursor()
    if any(isinstance(part, int) and not -(2**62) < part < 2**62 for part in key):
        raise _no_cursor()
    return key


def _is_storable(text: str) -> bool:
    """Whether a database takes it: no NUL, and no half of a character."""
    return not any(letter == "\x00" or "\ud800" <= letter <= "\udfff" for letter in text)


def _no_cursor() -> InputError:
    return InputError("cursor is none of this list; take next_cursor of the page before, or begin without one")
