"""All checks, as one report; read-only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from registry.fsck.credentials import faults_of_credentials
from registry.fsck.evidence import EVIDENCE
from registry.fsck.files import faults_of_files
from registry.fsck.rows import faults_of_entries, faults_of_rows
from registry.fsck.states import faults_of_states, faults_of_status_lists
from registry.fsck.tree import faults_of_log
from registry.log.service import tree_size
from registry.personal import sealed_by
from registry.runtime import Runtime
from sdk.errors import ImprimaturError
from sdk.spec.log_entry import AuditEventType

UNCHECKED: Final[Mapping[str, str]] = {
    "concepts.title": "a label; no decision rests on it",
    "consent_withdrawals.reason": "words; the withdrawal itself is in the log",
    "generations.expires_at": "bounds a grant that ends in minutes; whether it expires at all is checked",
    "notice_acknowledgements.comment": "words; the acknowledgement itself is in the log",
    "notices_sent.ended_entry, notice_acknowledgements.ended_entry": "the end that the entry in the log comes after",
    "webhooks.description, webhooks.position, webhooks.attempts, webhooks.due_at, webhooks.last_fault": "how far it has come",
    "times of rows": "the entry's time counts; a row's is checked to a minute",
}
"""What in the tables that are checked no check would notice, and why that does no harm."""
UNCHECKED_TABLES: Final[Mapping[str, str]] = {
    "alembic_version": "the service does not start on another schema",
    "blob_holders": "who brought what is read by nobody but the next upload",
    "console_sessions": "end within a day",
    "idempotency_keys": "kept for a day",
    "webhook_deliveries": "what receivers answered; nobody but they could tell",
    **dict.fromkeys(
        ("training_jobs", "training_events", "training_progress", "training_versions"),
        "the trainer's work in progress; its results are versions",
    ),
    "training_keys": "the trainer's idempotency keys, kept for a day",
    **dict.fromkeys(
        ("renders", "render_images", "render_previews"),
        "the rendering service's work in progress; its results are recorded",
    ),
}
"""Tables that no check here looks into, and why that does no harm; those of the queue (procrastinate) besides."""
_LOOKED_INTO: Final = frozenset(
    {
        *("log_entries", "log_nodes", "log_cosignatures", "credentials", "erased_keys"),
        *(
            "version_consents",
            "version_states",
            "version_statuses",
            "version_previews",
            "version_keys",
            "sealed_artefacts",
        ),
        *("generation_versions", "generated_images", "image_fingerprints", "licence_uses", "blob_uploads"),
        "status_lists",
    }
)


@dataclass(frozen=True, kw_only=True)
class FsckReport:
    """What was checked and what was found; no finding means that everything agrees."""

    entries: int
    findings: tuple[str, ...]
    unchecked: tuple[str, ...]  # tables that no check here looks into: `UNCHECKED_TABLES`


def check(session: Session, runtime: Runtime, say: Callable[[str], None] = lambda part: None) -> FsckReport:
    """Check everything, in a session of the database's owner, whose transaction reads only from here on; `say` hears what is checked next."""
    session.execute(text("SET TRANSACTION READ ONLY"))
    found: list[str] = []
    with sealed_by(runtime.key_wrapper):
        for part, faults in parts(session, runtime).items():
            say(part)
            found += faults()
        return FsckReport(entries=tree_size(session), findings=tuple(found), unchecked=tuple(sorted(UNCHECKED_TABLES)))


def parts(session: Session, runtime: Runtime) -> dict[str, Callable[[], Iterator[str]]]:
    """The checks by name. Their order is free but for one: "entries without a row" counts what the tables' checks saw."""
    tally: Counter[AuditEventType] = Counter()
    checks: dict[str, Callable[[], Iterator[str]]] = {"log": lambda: faults_of_log(session, runtime)}
    checks |= {evidence.name: partial(faults_of_rows, session, evidence, tally) for evidence in EVIDENCE}
    checks |= {
        "entries without a row": lambda: faults_of_entries(session, EVIDENCE, tally),
        "states of versions": lambda: faults_of_states(session),
        "status lists": lambda: faults_of_status_lists(session, runtime.trust_root),
        "credentials": lambda: faults_of_credentials(session),
        "files": lambda: faults_of_files(session, runtime),
    }
    return {part: partial(_survived, session, part, faults) for part, faults in checks.items()}


def checked_tables() -> frozenset[str]:
    """The tables that some check here looks into."""
    return frozenset(evidence.name for evidence in EVIDENCE) | _LOOKED_INTO


def _survived(session: Session, part: str, faults: Callable[[], Iterator[str]]) -> Iterator[str]:
    """The faults of a part; what stops it is one, and stops no other part."""
    try:
        with session.begin_nested():
            yield from faults()
    except (ImprimaturError, SQLAlchemyError, ValueError) as exc:
        yield f"{part}: it cannot be read to its end: {exc}"
