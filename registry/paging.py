"""Pages of a list: where the next one begins, as text that clients hand back unread.

A cursor holds the sorting key of the last thing shown (a keyset), so a page neither repeats nor skips anything however
much is added meanwhile. It is no secret and proves nothing: what a caller may see is decided anew for every page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query
from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.orm import Session

from sdk.spec.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursor, PageQuery, encode_cursor, parse_cursor

_Row = TypeVar("_Row")


def page_query(
    cursor: Cursor | None = None, limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
) -> PageQuery:
    """The page that a request asks for, beside whatever else it asks."""
    return PageQuery(cursor=cursor, limit=limit)


PageDep = Annotated[PageQuery, Depends(page_query)]


def page_of(
    session: Session,
    statement: Select[_Row],
    query: PageQuery | None,
    *,
    by: Sequence[ColumnElement[Any] | Any],
    key: Callable[[Any], tuple[str | int, ...]],
    kinds: Sequence[type[str] | type[int]],
) -> tuple[Sequence[Any], str | None]:
    """The rows of one page in the order of the columns `by`, and where the next one begins; without a query, all rows.

    `key` takes from a row what `by` sorts by; `kinds` are the types of its parts.

    Raises:
        InputError: the cursor is none of this list.
    """
    if query is None:
        return session.scalars(statement.order_by(*by)).all(), None
    if begin := parse_cursor(query.cursor, *kinds):
        statement = statement.where(tuple_(*by) > tuple_(*begin))
    rows = session.scalars(statement.order_by(*by).limit(query.limit + 1)).all()
    shown = rows[: query.limit]
    return shown, encode_cursor(*key(shown[-1])) if len(rows) > query.limit else None
