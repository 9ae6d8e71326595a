"""What people type into the filter of a list. An empty field excludes nothing: browsers send empty fields too."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final, TypeVar

from fastapi import Query

from sdk.errors import FormatError
from sdk.spec.ids import PatternedText

Text = Annotated[str, Query(max_length=300)]
_FIRST_YEAR: Final = 1900
_Named = TypeVar("_Named", bound=PatternedText)


def named(kind: type[_Named], text: str) -> _Named | None:
    """The id that was typed, if one was. Raises `FormatError`."""
    return kind(text.strip()) if text.strip() else None


def midnight(text: str, *, after: int = 0) -> datetime | None:
    """The start of the day `text`, in UTC, or of the day `after` it. Raises `FormatError`."""
    try:
        if not text:
            return None
        day = datetime.combine(date.fromisoformat(text), time(), UTC)
        if day.year < _FIRST_YEAR:
            raise FormatError(f"nothing here is as old as {text}; name a day from {_FIRST_YEAR} on")
        return day + timedelta(days=after)
    except (ValueError, OverflowError) as exc:
        raise FormatError(f"a day is written 2026-03-31, not {text!r}") from exc
