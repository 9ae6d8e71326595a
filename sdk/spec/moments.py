"""Moments in UTC, which is how this system tells them, whatever zone somebody wrote them in."""

from __future__ import annotations

from datetime import UTC, datetime


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; beyond the calendar's first or last year there, that year's end.

    A licence "for ever" may end at 9999-12-31T23:59:59-05:00, which UTC has no name for.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return (datetime.min if moment.year == 1 else datetime.max).replace(tzinfo=UTC)
