"""Where a version stands: the whole rule on one screen; the table is the documentation.

    draft --submit--> submitted --endorse--> in-review --approve--> approved --supersede--> superseded
                          |                     |                     |<-----reinstate---.
                          |                     |                     |------suspend----> suspended --revoke--> revoked
                          |------approve--------|-------------------->|------revoke-----> revoked
                          `------reject---------'--> rejected

`expired` is no transition: an approved version whose term is over is expired by the clock (`status_at`), so that no
job has to run for it to be true. It is never stored. Suspended by the clock is a version whose consent falls due on a day
that is known before, when a minor comes of age; what is done about it then is stored. A version that waits for reviewers may be
opened by break-glass for a while: the clock opens and shuts it, its stored status stays. Renewal gives an approved version other
terms, and it stays approved; one that is suspended is reinstated by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sdk.errors import Conflict
from sdk.spec.bundle import VersionStatus


class VersionEvent(StrEnum):
    """What can happen to a version."""

    SUBMIT = "submit"  # its review is asked for
    ENDORSE = "endorse"  # a reviewer approves, and the threshold is not reached yet
    APPROVE = "approve"  # a reviewer approves, and the threshold is reached
    REJECT = "reject"  # a reviewer rejects
    SUPERSEDE = "supersede"  # another version of the concept is approved
    SUSPEND = "suspend"  # a consent is withdrawn, or has to be confirmed anew
    REINSTATE = "reinstate"  # the consents that it rests on all hold again
    REVOKE = "revoke"  # a reviewer or the owner ends its use


TRANSITIONS: Final[Mapping[tuple[VersionStatus, VersionEvent], VersionStatus]] = MappingProxyType(
    {
        (VersionStatus.DRAFT, VersionEvent.SUBMIT): VersionStatus.SUBMITTED,
        (VersionStatus.SUBMITTED, VersionEvent.ENDORSE): VersionStatus.IN_REVIEW,
        (VersionStatus.SUBMITTED, VersionEvent.APPROVE): VersionStatus.APPROVED,
        (VersionStatus.SUBMITTED, VersionEvent.REJECT): VersionStatus.REJECTED,
        (VersionStatus.IN_REVIEW, VersionEvent.ENDORSE): VersionStatus.IN_REVIEW,
        (VersionStatus.IN_REVIEW, VersionEvent.APPROVE): VersionStatus.APPROVED,
        (VersionStatus.IN_REVIEW, VersionEvent.REJECT): VersionStatus.REJECTED,
        (VersionStatus.APPROVED, VersionEvent.SUPERSEDE): VersionStatus.SUPERSEDED,
        (VersionStatus.APPROVED, VersionEvent.SUSPEND): VersionStatus.SUSPENDED,
        (VersionStatus.APPROVED, VersionEvent.REVOKE): VersionStatus.REVOKED,
        (VersionStatus.SUSPENDED, VersionEvent.REINSTATE): VersionStatus.APPROVED,
        (VersionStatus.SUSPENDED, VersionEvent.REVOKE): VersionStatus.REVOKED,
    }
)

BY_CLOCK: Final = (VersionStatus.EXPIRED, VersionStatus.BREAK_GLASS)
STORED: Final = tuple(status for status in VersionStatus if status not in BY_CLOCK)
WAITING: Final = (VersionStatus.SUBMITTED, VersionStatus.IN_REVIEW)
RENEWABLE: Final = (VersionStatus.APPROVED, VersionStatus.SUSPENDED)
USABLE: Final = (VersionStatus.APPROVED, VersionStatus.BREAK_GLASS)
FINAL: Final = tuple(status for status in STORED if not any(status is start for start, _ in TRANSITIONS))


def advance(status: VersionStatus, event: VersionEvent, version: str) -> VersionStatus:
    """The status of `version` after `event`.

    Raises:
        Conflict: the pair is not in the table.
    """
    if (after := TRANSITIONS.get((status, event))) is None:
        possible = ", ".join(known.value for start, known in TRANSITIONS if start is status) or "nothing more"
        raise Conflict(f"{version} is {status.value}, so {event.value} is not possible; possible is: {possible}")
    return after


def status_at(
    stored: VersionStatus, *, term_is_over: bool, consent_is_due: bool = False, is_opened: bool = False
) -> VersionStatus:
    """The status that holds when the term of a consent or licence is over, when a consent has to be confirmed anew, and when
    the version is opened by a break-glass whose terms hold."""
    if is_opened and stored in WAITING:
        return VersionStatus.BREAK_GLASS
    if stored is not VersionStatus.APPROVED:
        return stored
    if term_is_over:
        return VersionStatus.EXPIRED
    return VersionStatus.SUSPENDED if consent_is_due else stored
