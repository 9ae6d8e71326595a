"""The signed status list of a tenant, as it stands now.

Rules:
1. A list is signed anew when what it says has changed, or when half of its life is over; not for every request. The
   signed list is kept in the database, so that all processes of a registry hand out the same one.
2. Signing holds the list's row, and `valid_from` only ever grows, whatever the clocks of the processes say: a client
   refuses a list that is older than one it saw.
3. The time of a list is read before what it says is: a list from after a revocation was committed tells it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from registry.runtime import Runtime
from registry.status.tables import StatusListRow
from registry.versions.reading import statuses_by_entry
from sdk.errors import NotFound
from sdk.signing.status import sign_status_list
from sdk.spec.digest import Digest
from sdk.spec.ids import TenantName
from sdk.spec.status_list import ENTRIES_PER_LIST, StatusListName, make_bits, make_credential

_TICK: Final = timedelta(microseconds=1)


def signed_list(session: Session, runtime: Runtime, tenant: TenantName, number: int) -> bytes:
    """The newest signed list, made now if none stands.

    Raises:
        NotFound: no version of the tenant was submitted in that part of the log.
    """
    first = number * ENTRIES_PER_LIST
    statuses = statuses_by_entry(session, tenant, first, first + ENTRIES_PER_LIST, runtime.clock())
    if not statuses:
        raise NotFound(f"there is no status list {number} of {tenant}")
    row = session.get(StatusListRow, (tenant, number))
    digest = Digest.of(make_bits(statuses))
    if row and row.bits == digest and runtime.clock() < _renewed_at(row.signed_at, runtime):
        return row.content
    return _sign(session, runtime, tenant, number)


def _renewed_at(signed_at: datetime, runtime: Runtime) -> datetime:
    return signed_at + timedelta(seconds=runtime.settings.status_ttl_seconds) / 2


def _sign(session: Session, runtime: Runtime, tenant: TenantName, number: int) -> bytes:
    row = _held(session, runtime, tenant, number)
    now = runtime.clock()
    first = number * ENTRIES_PER_LIST
    bits = make_bits(
        statuses_by_entry(session, tenant, first, first + ENTRIES_PER_LIST, now)
    )  # as they are under the lock
    if row.content and row.bits == Digest.of(bits) and now < _renewed_at(row.signed_at, runtime):
        return row.content  # another process was first
    at = max(now, row.signed_at + _TICK)
    name = StatusListName(log_origin=runtime.trust_root.log_origin, tenant=tenant, number=number)
    ttl = timedelta(seconds=runtime.settings.status_ttl_seconds)
    row.content = sign_status_list(make_credential(name, bits, at=at, ttl=ttl), runtime.status_signer)
    row.bits, row.signed_at = Digest.of(bits), at
    session.flush()
    return row.content


def _held(session: Session, runtime: Runtime, tenant: TenantName, number: int) -> StatusListRow:
    """The row, locked to the end of the transaction; an empty one is made if there is none."""
    before = runtime.clock() - _TICK
    empty = {"tenant": tenant, "number": number, "bits": Digest.of(b""), "signed_at": before, "content": b""}
    session.execute(insert(StatusListRow).values(empty).on_conflict_do_nothing())
    statement = select(StatusListRow).where(StatusListRow.tenant == tenant, StatusListRow.number == number)
    return session.scalars(statement.with_for_update().execution_options(populate_existing=True)).one()
