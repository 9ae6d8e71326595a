"""How much was used: the question of GET /v1/generations/usage and its answer.

The application that composes is the principal of its credential, so usage by application is usage by principal.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from sdk.spec.api import Moment
from sdk.spec.canonical import WireModel
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.terms import Territory


class UsageDimension(StrEnum):
    """What usage can be told apart by."""

    CONCEPT = "concept"
    VERSION = "version"  # tenant/name@number
    APPLICATION = "application"  # the principal that composed
    TERRITORY = "territory"  # that the use was asked for
    DAY = "day"  # in UTC, of the decision
    MONTH = "month"


class UsageQuery(WireModel):
    """What is counted and what it is told apart by; a member that is none excludes nothing."""

    by: tuple[UsageDimension, ...] = Field(default=(UsageDimension.CONCEPT,), max_length=len(UsageDimension))
    concept: ConceptId | None = None
    application: PrincipalId | None = None
    territory: Territory | None = None
    since: Moment | None = None
    until: Moment | None = None  # not included

    @model_validator(mode="after")
    def _names_a_dimension_once(self) -> UsageQuery:
        if len(set(self.by)) != len(self.by):
            raise ValueError("a dimension is named twice")
        return self


class UsageCount(WireModel):
    """Attempts and what came of them."""

    permitted: int  # generations
    denied: int  # attempts that policy refused
    images_granted: int
    images_recorded: int


class UsageRow(WireModel):
    """The count of one combination: `key` has a value for each dimension, in the order asked for."""

    key: tuple[str, ...]
    count: UsageCount


class UsageReport(WireModel):
    """Usage in rows, ordered by key.

    A generation of two concepts counts in the rows of both and once in the total, so that rows told apart by concept
    or version may add up to more than the total.
    """

    by: tuple[UsageDimension, ...]
    rows: tuple[UsageRow, ...]
    total: UsageCount
