"""What stands behind a version: who approved it, under which consents and licences. As a page of origins shows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from registry.approvals import query as approvals
from registry.approvals.query import Act
from registry.auth import Caller
from registry.runtime import Runtime
from registry.versions import service
from registry.versions.version import Terms, Version
from sdk.spec.ids import parse_version_ref


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A version with its terms as they are now, and the approvals of those; of erased consents the terms are gone."""

    version: Version
    approvals: Sequence[Act]
    terms: Terms


def contracts_of(session: Session, runtime: Runtime, caller: Caller, names: Iterable[str]) -> tuple[Contract, ...]:
    """Of the versions `tenant/name@number`, each once, in the order given."""
    refs = [parse_version_ref(name) for name in dict.fromkeys(names)]
    found = [service.load(session, caller.tenant, ref.concept, ref.number) for ref in refs if ref.number is not None]
    held = [(version, service.terms_of(session, version, runtime.clock())) for version in found]
    return tuple(
        Contract(
            version=version,
            approvals=approvals.approvals_under(session, version, terms),
            terms=terms,
        )
        for version, terms in held
    )
