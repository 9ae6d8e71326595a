"""The row of a concept. Insert-only: a concept keeps its kind and its owner for ever."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db import Base
from sdk.spec.ids import ConceptId, PrincipalId, TenantName
from sdk.spec.manifest import ConceptKind

KINDS = ", ".join(f"'{kind.value}'" for kind in ConceptKind)


class ConceptRow(Base):
    """One concept."""

    __tablename__ = "concepts"
    __table_args__ = (CheckConstraint(f"kind IN ({KINDS})", name="kind"),)

    id: Mapped[ConceptId] = mapped_column(primary_key=True)
    tenant: Mapped[TenantName] = mapped_column(index=True)
    kind: Mapped[str]
    title: Mapped[str]
    owner: Mapped[PrincipalId]
    created_at: Mapped[datetime]
    log_index: Mapped[int] = mapped_column(BigInteger)
