"""From a verified ledger to the account of each of its licences, as the registry would report it; and their differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from sdk.royalties.account import CountedUse, account_of
from sdk.royalties.ledger import VerifiedLedger
from sdk.royalties.receipts import LicensedUse
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import RecordId
from sdk.spec.royalty_report import LicenceAccount, RoyaltyReport
from sdk.spec.terms import LicenceEvidence, LicenceGrant


def report_of(ledger: VerifiedLedger, *, now: datetime) -> RoyaltyReport:
    """The accounts of the ledger's licences that have royalty terms, from the receipts that hold."""
    until = min(ledger.until or now, now)
    accounts = [
        account_of(_evidence(licence, grant), _counted(ledger, licence, grant), since=ledger.since, until=until)
        for licence, grant in sorted(ledger.licences.items())
        if grant.royalty
    ]
    unfinished = [use for use in ledger.uses if use.images is None]
    return RoyaltyReport(
        tenant=ledger.tenant,
        since=ledger.since,
        until=until,
        accounts=tuple(accounts),
        open_uses=len(unfinished),
        open_images=sum(use.granted for use in unfinished),
    )


def differences(claimed: RoyaltyReport, computed: RoyaltyReport) -> Iterator[str]:
    """What a report says otherwise than the receipts do, in words, licence by licence and period by period."""
    said = {account.licence: account for account in claimed.accounts}
    found = {account.licence: account for account in computed.accounts}
    for licence in sorted(said.keys() | found.keys()):
        if licence not in said:
            yield f"{licence}: {_sum(found[licence])} by its receipts, but the report leaves it out"
        elif licence not in found:
            yield f"{licence}: {_sum(said[licence])} by the report, but the ledger has no such licence"
        else:
            yield from _differences(said[licence], found[licence])


def _differences(said: LicenceAccount, found: LicenceAccount) -> Iterator[str]:
    if (said.digest, said.terms) != (found.digest, found.terms):
        yield f"{said.licence}: the report is under other terms than the licence in the ledger"
    periods = {period.starts: [period, None] for period in said.periods}
    for period in found.periods:
        periods.setdefault(period.starts, [None, None])[1] = period
    for start, (one, other) in sorted(periods.items()):
        if one != other:
            told = [f"{each.images} images, {each.due} due" if each else "nothing" for each in (one, other)]
            yield f"{said.licence}, from {start:%Y-%m-%d}: the report says {told[0]}; the receipts say {told[1]}"
    if said.due != found.due:
        yield f"{said.licence}: the report says {_sum(said)}; the receipts say {_sum(found)}"


def _sum(account: LicenceAccount) -> str:
    return f"{account.terms.currency} {account.due}"


def _counted(ledger: VerifiedLedger, licence: RecordId, grant: LicenceGrant) -> Iterator[CountedUse]:
    for use in ledger.uses:
        if use.images is not None and licence in use.versions:
            yield _count(use, use.versions[licence], grant)


def _count(use: LicensedUse, versions: tuple[str, ...], grant: LicenceGrant) -> CountedUse:
    stated = use.fee if use.fee and grant.royalty and use.fee.currency == grant.royalty.currency else None
    counted = CountedUse(at=use.at, versions=versions, uses=1, images=use.images or 0, unstated=0 if stated else 1)
    return replace(counted, fees=stated.amount.value) if stated else counted


def _evidence(licence: RecordId, grant: LicenceGrant) -> LicenceEvidence:
    return LicenceEvidence(id=licence, digest=Digest.of(encode_canonical(grant)), grant=grant)
