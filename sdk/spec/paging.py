"""Pages of a list: what is asked for, and where the next one begins. A list that is not ended says `next_cursor`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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
