"""What stands behind a version: who approved it, under which consents and licences. As a page of origins shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from registry.approvals import query as approvals
from registry.approvals.query import Act
from registry.approvals.tables import Verdict
from registry.auth import Caller
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.version import Terms, Version
from sdk.spec.ids import parse_version_ref


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A version with its approvals, and its terms as they are now; of erased consents the terms are gone."""

    version: Version
    approvals: Sequence[Act]
    terms: Terms


def contracts_of(session: Session, runtime: Runtime, caller: Caller, names: Iterable[str]) -> tuple[Contract, ...]:
    """Of the versions `tenant/name@number`, each once, in the order given."""
    refs = [parse_version_ref(name) for name in dict.fromkeys(names)]
    found = [service.load(session, caller.tenant, ref.concept, ref.number) for ref in refs if ref.number is not None]
    return tuple(
        Contract(
            version=version,
            approvals=[act for act in approvals.acts_on(session, version) if act.act == Verdict.APPROVE.value],
            terms=service.terms_of(session, version, runtime.clock()),
        )
        for version in found
    )
