"""A ledger file: writing it from pages, and reading what it proves.

A file is whole when its pages follow each other to the last one, about one tenant, licence and period, under one
checkpoint. What is missing inside is found too, but only the log knows whether a receipt was left out altogether:
`missing_receipts` compares the ledger with its entries, which everybody may fetch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sdk.errors import FormatError, InputError, VerificationError
from sdk.royalties.receipts import LicensedUse, VerifiedPage, verify_page, verify_receipt
from sdk.signing.trust import TrustRoot
from sdk.spec.canonical import encode_canonical, parse_json, validate_wire
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId, RecordId, TenantName, parse_version_ref
from sdk.spec.ledger import LedgerPage
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogEntry, parse_log_entry
from sdk.spec.terms import LicenceGrant

MAX_PAGE_BYTES = 16 * 1_048_576  # bytes of one line of the file


@dataclass(frozen=True, kw_only=True)
class LedgerFault:
    """What a ledger does not prove, and why."""

    about: str  # a generation, or a page
    says: str


@dataclass(frozen=True, kw_only=True)
class VerifiedLedger:
    """What a ledger proves. `uses` are the receipts that hold, each once; `faults` are all others."""

    tenant: TenantName
    licence: RecordId | None
    since: datetime | None
    until: datetime | None
    note: bytes  # the signed checkpoint
    checkpoint: LogCheckpoint
    digest: Digest  # of the file
    licences: Mapping[RecordId, LicenceGrant]
    uses: tuple[LicensedUse, ...]
    faults: tuple[LedgerFault, ...]


def encode_page(page: LedgerPage) -> bytes:
    """A page as a line of a ledger file."""
    return encode_canonical(page) + b"\n"


def write_ledger(path: Path, pages: Iterable[LedgerPage]) -> Digest:
    """Write a ledger file and return its digest. Raises `InputError` when the file is there already."""
    try:
        with path.open("xb") as file:
            for page in pages:
                file.write(encode_page(page))
    except FileExistsError as exc:
        raise InputError(f"there is a file at {path} already; name another") from exc
    except OSError as exc:
        raise InputError(f"no ledger can be written to {path}: {exc.strerror}") from exc
    return Digest.of(path.read_bytes())


def verify_ledger(content: bytes, trust: TrustRoot) -> VerifiedLedger:
    """Verify a ledger file, receipt by receipt.

    Raises:
        FormatError, VerificationError: its first page cannot be read or proven, so nothing of it can.
    """
    lines = content.splitlines()
    if not lines:
        raise FormatError("the ledger is empty; a ledger has at least one page")
    first = verify_page(_parse_page(lines[0], 1), trust)
    reading = _Reading(first, trust)
    for number, line in enumerate(lines, 1):
        reading.read(number, line)
    reading.end(len(lines))
    return VerifiedLedger(
        tenant=first.page.tenant,
        licence=first.page.licence,
        since=first.page.since,
        until=first.page.until,
        note=first.page.checkpoint.encode(),
        checkpoint=first.checkpoint,
        digest=Digest.of(content),
        licences=reading.licences,
        uses=tuple(reading.uses.values()),
        faults=tuple(reading.faults),
    )


def missing_receipts(ledger: VerifiedLedger, entries: Sequence[LogEntry]) -> tuple[LedgerFault, ...]:
    """Results in the log that the ledger should have a receipt of, and has none that holds.

    `entries` are those of the log from its first on, at least up to the ledger's checkpoint. What came after that, in the
    period of a ledger that has an end, is missing too: it was written before its period was over.
    """
    end = ledger.checkpoint.tree_size if ledger.until is None else len(entries)
    counted = {str(use.generation) for use in ledger.uses if use.images is not None}
    concepts: dict[str, set[ConceptId]] = {}  # that each permit names
    missing = []
    for index, entry in enumerate(entries[:end]):
        if entry.event is AuditEventType.GENERATION_PERMITTED:
            names = entry.facts.get("versions", "").split()
            concepts[entry.subject] = {parse_version_ref(name).concept for name in names}
        elif _is_due(entry, ledger, concepts) and entry.subject not in counted:
            late = (
                "; the ledger was written before it, so export it again" if index >= ledger.checkpoint.tree_size else ""
            )
            says = f"entry {index} of the log records its result, but the ledger has no receipt of it that holds{late}"
            missing.append(LedgerFault(about=entry.subject, says=says))
    return tuple(missing)


def _is_due(entry: LogEntry, ledger: VerifiedLedger, concepts: Mapping[str, set[ConceptId]]) -> bool:
    """Whether `entry` is a result that the ledger is about."""
    if entry.event is not AuditEventType.GENERATION_RECORDED or entry.actor.tenant != ledger.tenant:
        return False
    if (ledger.since and entry.at < ledger.since) or (ledger.until and entry.at >= ledger.until):
        return False
    covered = ledger.licences[ledger.licence].covers if ledger.licence else None
    return covered is None or not concepts.get(entry.subject, set()).isdisjoint(covered)


class _Reading:
    """The uses and faults of the pages read so far."""

    def __init__(self, first: VerifiedPage, trust: TrustRoot) -> None:
        self._first = first
        self._trust = trust
        self._next: int | None = -1
        self.uses: dict[RecordId, LicensedUse] = {}
        self.licences: dict[RecordId, LicenceGrant] = {}
        self.faults: list[LedgerFault] = []

    def read(self, number: int, line: bytes) -> None:
        """Add one page; one that cannot be read or proven is a fault, and its receipts do not count."""
        try:
            page = _parse_page(line, number)
            self._follow(page)
            verified = verify_page(page, self._trust)
            self._require_same_ledger(verified)
        except (FormatError, VerificationError) as exc:
            self._fault(f"page {number}", f"{exc.message}; its receipts are not counted")
            return
        self.licences.update(verified.licences)
        for place, receipt in enumerate(page.receipts, 1):
            about = f"receipt {place} of page {number}"
            try:
                about = str(RecordId(parse_log_entry(receipt.permit.content).subject))
                use = verify_receipt(receipt, verified, self._trust)
            except (FormatError, VerificationError) as exc:
                self._fault(about, exc.message)
                continue
            if use.generation in self.uses:
                self._fault(about, f"a second receipt of it is on page {number}; it counts once")
            else:
                self.uses[use.generation] = use

    def end(self, pages: int) -> None:
        """After the last page: say so if it is not the last of the ledger."""
        if self._next is not None:
            self._fault(f"page {pages}", f"the ledger goes on after permit {self._next}, but the file ends here")

    def _follow(self, page: LedgerPage) -> None:
        expected, self._next = self._next, page.next_after
        if page.after != expected:
            self._fault(
                f"the page after permit {expected}",
                f"it is missing: a page that begins after permit {page.after} is in its place",
            )

    def _require_same_ledger(self, verified: VerifiedPage) -> None:
        first, page = self._first.page, verified.page
        if verified.checkpoint != self._first.checkpoint:
            raise VerificationError("it is under another checkpoint than the first page")
        if (page.tenant, page.licence, page.since, page.until) != (
            first.tenant,
            first.licence,
            first.since,
            first.until,
        ):
            raise VerificationError("it is of another ledger than the first page")

    def _fault(self, about: str, says: str) -> None:
        self.faults.append(LedgerFault(about=about, says=says))


def _parse_page(line: bytes, number: int) -> LedgerPage:
    what = f"page {number} of the ledger"
    return validate_wire(LedgerPage, parse_json(line, what, max_bytes=MAX_PAGE_BYTES), what)
