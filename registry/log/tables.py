"""Rows of the log. All tables are inserted only: the database refuses UPDATE, DELETE and TRUNCATE, and a gap.

The content is the leaf; event, actor and subject stand beside it for queries and are derived from it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.ids import PrincipalId, TenantName


class LogEntryRow(Base):
    """One entry: its place, its exact bytes, and columns to find it by."""

    __tablename__ = "log_entries"
    __table_args__ = tuple(
        Index(f"ix_log_entries_tenant_{column}", "tenant", column, "leaf_index")
        for column in ("event", "actor", "subject")
    )

    leaf_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    content: Mapped[bytes]
    at: Mapped[datetime]
    event: Mapped[str]
    tenant: Mapped[TenantName]
    actor: Mapped[PrincipalId]
    subject: Mapped[str]


class StatementRow(Base):
    """What the registry states about the act of an entry (`sdk.spec.recorded`): the signed envelope beside it."""

    __tablename__ = "log_statements"

    log_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tenant: Mapped[TenantName]
    envelope: Mapped[bytes]


class LogCosignatureRow(Base):
    """A witness's signature line over the checkpoint of `tree_size` entries."""

    __tablename__ = "log_cosignatures"

    tree_size: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    witness: Mapped[str] = mapped_column(primary_key=True)  # its name in the registry's log policy
    cosigned_at: Mapped[datetime] = mapped_column(primary_key=True)
    line: Mapped[str]


class LogNodeRow(Base):
    """The hash over the 2**level entries from node_index * 2**level on; written once they are all there."""

    __tablename__ = "log_nodes"

    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    node_index: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    hash: Mapped[bytes]
