"""A statement for the rights holder: what is due under one licence, with what anybody needs to compute it again.

Made from a verified ledger alone. A ledger with a fault makes no statement: first the fault is mended.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sdk.errors import InputError, VerificationError
from sdk.royalties.ledger import VerifiedLedger
from sdk.royalties.report import report_of
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId, TenantName
from sdk.spec.royalty_report import LicenceAccount, PeriodAccount, RoyaltyLine
from sdk.spec.terms import LicenceGrant

COLUMNS = (
    "row",  # line, period or total
    "starts",
    "ends",  # not included
    "whole",
    "versions",
    "uses",
    "images",
    "fees_stated",
    "rate_per_image",
    "percent_of_fee",
    "earned",
    "minimum_guarantee",
    "due",
    "currency",
    "licence",
    "rights_holder",
    "ledger",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is due, to whom, and from which ledger it was computed."""

    tenant: TenantName
    grant: LicenceGrant
    account: LicenceAccount
    since: datetime | None
    until: datetime
    made_at: datetime
    ledger: Digest
    receipts: int
    open_uses: int  # under this licence, without a result
    open_images: int
    log_origin: str
    log_size: int
    log_root: bytes

    @property
    def payee(self) -> str:
        """Who is paid."""
        return self.account.terms.payee or self.account.rights_holder


def statement_of(ledger: VerifiedLedger, licence: RecordId | None, *, now: datetime) -> Statement:
    """The statement about `licence`, or about the one licence that the ledger is of.

    Raises:
        InputError: there is no such licence in the ledger, or it has no royalty terms.
        VerificationError: something in the ledger does not hold.
    """
    if ledger.faults:
        raise VerificationError(
            f"{len(ledger.faults)} receipts or pages of the ledger do not hold; see 'royalties verify', and export it again"
        )
    named = licence or ledger.licence
    report = report_of(ledger, now=now)
    account = next((account for account in report.accounts if account.licence == named), None)
    if named is None or account is None:
        known = ", ".join(account.licence for account in report.accounts) or "none"
        raise InputError(f"say which licence the statement is about; with royalty terms this ledger has: {known}")
    unfinished = [use for use in ledger.uses if use.images is None and named in use.versions]
    return Statement(
        tenant=ledger.tenant,
        grant=ledger.licences[named],
        account=account,
        since=ledger.since,
        until=report.until,
        made_at=now,
        ledger=ledger.digest,
        receipts=sum(use.images is not None and named in use.versions for use in ledger.uses),
        open_uses=len(unfinished),
        open_images=sum(use.granted for use in unfinished),
        log_origin=ledger.checkpoint.origin,
        log_size=ledger.checkpoint.tree_size,
        log_root=ledger.checkpoint.root_hash,
    )


def encode_csv(statement: Statement) -> bytes:
    """The statement as CSV (RFC 4180), UTF-8: a row for each line, each period and the total."""
    written = io.StringIO()
    writer = csv.DictWriter(written, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(_rows(statement))
    return written.getvalue().encode()


def last_day(ends: datetime) -> datetime:
    """The last moment of what ends, not included, at `ends`: how people write a period."""
    return ends - timedelta(microseconds=1)


def _rows(statement: Statement) -> Iterator[dict[str, str]]:
    account = statement.account
    about = {
        "currency": account.terms.currency,
        "licence": account.licence,
        "rights_holder": _harmless(account.rights_holder),
        "ledger": statement.ledger,
    }
    for period in account.periods:
        for line in period.lines:
            yield about | _line(statement, period, line)
        yield about | _period(period)
    yield about | {"row": "total", "uses": str(account.uses), "images": str(account.images), "due": account.due}


def _line(statement: Statement, period: PeriodAccount, line: RoyaltyLine) -> dict[str, str]:
    terms = statement.account.terms
    return {
        "row": "line",
        "starts": period.starts.isoformat(),
        "ends": period.ends.isoformat(),
        "versions": " ".join(line.versions),
        "uses": str(line.uses),
        "images": str(line.images),
        "fees_stated": line.fees,
        "rate_per_image": terms.per_image or "",
        "percent_of_fee": terms.percent_of_fee or "",
        "earned": line.earned,
    }


def _period(period: PeriodAccount) -> dict[str, str]:
    return {
        "row": "period",
        "starts": period.starts.isoformat(),
        "ends": period.ends.isoformat(),
        "whole": "yes" if period.whole else "no",
        "uses": str(period.uses),
        "images": str(period.images),
        "earned": period.earned,
        "minimum_guarantee": period.minimum or "",
        "due": period.due,
    }


def _harmless(text: str) -> str:
    """What no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
