"""Which policies were in force at a moment: a row each time the registry comes to decide by another bundle.

Rules:
1. Whoever starts to serve says by which bundle; the same one again is no change.
2. Each change is an entry in the log (`registry.issuance`), and in the same transaction a row with every file. Rows are
   only added.
3. Every decision carries its bundle's digest besides, so that what is told here can be held against decisions.
The bundle is the registry's, not a tenant's: everybody who may call may read every one of them.
"""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from registry.db import Base
from registry.log.query import newest_index
from registry.runtime import Runtime, require_past
from sdk.errors import NotFound
from sdk.spec.api import PolicyBundleView
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType


class PolicyBundleRow(Base):
    """A bundle that came into force; in force until the next row. Insert-only."""

    __tablename__ = "policy_bundles"
    __table_args__ = (CheckConstraint("place >= 1", name="place"),)

    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[Digest]
    content: Mapped[bytes]  # the canonical form of {name: text}, which the digest is of
    since: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)


def note_in_force(session: Session, runtime: Runtime) -> bool:
    """Note that this registry decides by its bundle, as its log says last; returns whether that is a change."""
    newest = session.scalar(select(PolicyBundleRow).order_by(PolicyBundleRow.place.desc()).limit(1))
    if newest and newest.digest == runtime.policy_bundle.digest:
        return False
    now = runtime.clock()
    session.add(
        PolicyBundleRow(
            place=newest.place + 1 if newest else 1,
            digest=runtime.policy_bundle.digest,
            content=encode_canonical(dict(runtime.policy_bundle.files)),
            since=max(now, newest.since) if newest else now,  # a clock that was set back changes no order
            log_index=newest_index(session, (AuditEventType.LOG_OPENED, AuditEventType.POLICY_CHANGED)),
        )
    )
    session.flush()
    return True


def digest_at(session: Session, at: datetime) -> Digest | None:
    """The digest of the bundle that was in force at a moment; none before the first that is recorded."""
    row = _row_at(session, at)
    return row.digest if row else None


def bundle_at(session: Session, runtime: Runtime, at: datetime) -> PolicyBundleView:
    """The bundle that was in force at a moment, with all its files.

    Raises:
        InputError: the moment has not come.
        NotFound: none is recorded that early.
    """
    require_past(runtime, at)
    row = _row_at(session, at)
    if row is None:
        raise NotFound(
            f"no policies are recorded as in force at {at.isoformat()}; decisions of then name their bundle by digest"
        )
    return _view(row)


def bundle_of(session: Session, digest: Digest) -> PolicyBundleView:
    """The bundle with this digest, as it came into force last. Raises `NotFound`."""
    statement = select(PolicyBundleRow).where(PolicyBundleRow.digest == digest)
    row = session.scalar(statement.order_by(PolicyBundleRow.place.desc()).limit(1))
    if row is None:
        raise NotFound(f"no policies {digest} were ever in force here; decisions name those that were")
    return _view(row)


def _view(row: PolicyBundleRow) -> PolicyBundleView:
    return PolicyBundleView(digest=row.digest, files=json.loads(row.content), since=row.since, log_index=row.log_index)


def _row_at(session: Session, at: datetime) -> PolicyBundleRow | None:
    statement = select(PolicyBundleRow).where(PolicyBundleRow.since <= at)
    return session.scalar(statement.order_by(PolicyBundleRow.place.desc()).limit(1))
