"""`imprimatur royalties`: the ledger of use, what it proves, and what is owed for it.

`verify` and `compute` need no registry: the ledger and the trust root are enough, and whoever pays should have both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from sdk.audit import verify_log
from sdk.cli.accounting import LicenceOption, SinceOption, UntilOption, royalty_query
from sdk.cli.connection import ProfileOption, connected, console, named, now, read_file, say, show_table
from sdk.client import Client
from sdk.errors import InputError, VerificationError
from sdk.profile import load_profile
from sdk.resolve import load_trust_root
from sdk.royalties.ledger import LedgerFault, VerifiedLedger, missing_receipts, verify_ledger, write_ledger
from sdk.royalties.report import report_of
from sdk.royalties.statement import encode_csv, statement_of
from sdk.royalties.statement_pdf import encode_pdf
from sdk.royalties.statement_words import StatementLanguage
from sdk.spec.canonical import encode_canonical
from sdk.spec.ids import RecordId
from sdk.spec.ledger import LedgerPage, LedgerQuery
from sdk.spec.royalty_report import LicenceAccount, RoyaltyReport

commands = typer.Typer()
_royalties = typer.Typer(no_args_is_help=True, help="Account for use from its receipts.")
commands.add_typer(_royalties, name="royalties")

LedgerArgument = Annotated[Path, typer.Argument(help="A ledger file, as 'royalties export' writes it.")]
TrustRootOption = Annotated[
    Path | None,
    typer.Option("--trust-root", help="Whose keys count. Default: that of the profile.", show_default=False),
]
LogOption = Annotated[
    str | None,
    typer.Option(
        "--log", help="A registry's address: is the ledger complete? Its log is open to all.", show_default=False
    ),
]


@_royalties.command("report")
def show_report(
    licence: LicenceOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    profile: ProfileOption = None,
) -> None:
    """Show what the registry says is due. It is its claim: 'compute' and 'audit royalties' need no belief in it."""
    with connected(profile) as (_, client):
        report = client.royalties(royalty_query(licence, since, until))
    show_report_of(report)


@_royalties.command("export")
def export_ledger(
    out: Annotated[Path, typer.Option(help="Write the ledger here; the file must not be there yet.")],
    licence: LicenceOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    profile: ProfileOption = None,
) -> None:
    """Export receipts of use with their proofs, for anybody to compute royalties from."""
    asked = royalty_query(licence, since, until)
    query = LedgerQuery(licence=asked.licence, since=asked.since, until=asked.until or now())
    with connected(profile) as (_, client), console().status("reading receipts") as status:
        counted = [0]

        def pages() -> Iterator[LedgerPage]:
            for page in client.ledger_pages(query):
                counted[0] += len(page.receipts)
                status.update(f"reading receipts: {counted[0]}")
                yield page

        digest = write_ledger(out, pages())
    say(f"{counted[0]} receipts in {out}")
    say(f"digest {digest}")


@_royalties.command("verify")
def verify(
    ledger: LedgerArgument,
    trust_root: TrustRootOption = None,
    log: LogOption = None,
    profile: ProfileOption = None,
) -> None:
    """Verify every receipt of a ledger; with --log, also that none is left out."""
    read, faults = read_ledger(ledger, trust_root, log, profile)
    recorded = [use for use in read.uses if use.images is not None]
    say(f"ledger of {read.tenant}, {_span(read)}, log {read.checkpoint.origin} at {read.checkpoint.tree_size} entries")
    say(f"{len(recorded)} generations with {sum(use.images or 0 for use in recorded)} images are proven")
    unfinished = [use for use in read.uses if use.images is None]
    if unfinished:
        say(f"{len(unfinished)} more, of {sum(use.granted for use in unfinished)} images granted, have no result yet")
    if log and not faults:
        say("the log records no other")
    raise_for_faults(faults)


@_royalties.command("compute")
def compute(
    ledger: LedgerArgument,
    out: Annotated[Path | None, typer.Option(help="Write the report here, as JSON.", show_default=False)] = None,
    trust_root: TrustRootOption = None,
    log: LogOption = None,
    profile: ProfileOption = None,
) -> None:
    """Compute what is due under each licence from the receipts of a ledger that hold, and from nothing else."""
    read, faults = read_ledger(ledger, trust_root, log, profile)
    report = report_of(read, now=now())
    show_report_of(report)
    if out:
        out.write_bytes(encode_canonical(report))
        say(f"report: {out}")
    raise_for_faults(faults)


@_royalties.command("statement")
def write_statement(
    ledger: LedgerArgument,
    out: Annotated[Path, typer.Option(help="Write the statement here: a name ending in .pdf or .csv.")],
    licence: Annotated[
        str | None, typer.Option(help="The licence. Default: the one that the ledger is of.", show_default=False)
    ] = None,
    language: Annotated[StatementLanguage, typer.Option(help="Of a PDF.")] = StatementLanguage.ENGLISH,
    font: Annotated[
        Path | None, typer.Option(help="A font file for letters beyond Latin-1 in a PDF.", show_default=False)
    ] = None,
    trust_root: TrustRootOption = None,
    log: LogOption = None,
    profile: ProfileOption = None,
) -> None:
    """Write a statement for the rights holder of a licence, as PDF or CSV, from a ledger that holds."""
    read, faults = read_ledger(ledger, trust_root, log, profile)
    raise_for_faults(faults)
    statement = statement_of(read, named(RecordId, licence) if licence else None, now=now())
    if out.suffix == ".csv":
        content = encode_csv(statement)
    elif out.suffix == ".pdf":
        content = encode_pdf(statement, language=language, font=font)
    else:
        raise InputError(f"a statement is a .pdf or a .csv, not {out.name}")
    out.write_bytes(content)
    say(f"{statement.payee}: {statement.account.terms.currency} {statement.account.due}")
    say(f"statement: {out}")


def show_report_of(report: RoyaltyReport) -> None:
    """Print every account of a report, and what is in none."""
    for account in report.accounts:
        show_account(account)
    if not report.accounts:
        say("no licence has royalty terms")
    if report.open_uses:
        say(f"{report.open_uses} generations of {report.open_images} images granted have no result, and earn nothing")


def show_account(account: LicenceAccount) -> None:
    """Print an account: a row for each period, and the sum."""
    terms = account.terms
    rows = [
        (
            f"{period.starts:%Y-%m-%d} to {period.ends:%Y-%m-%d}" + ("" if period.whole else " (in part)"),
            str(period.uses),
            str(period.images),
            period.earned,
            period.minimum or "",
            period.due,
        )
        for period in account.periods
    ]
    unstated = sum(line.unstated for period in account.periods for line in period.lines)
    heads = ("period", "uses", "images", "earned", "guaranteed", f"due, {terms.currency}")
    total = ("total", str(account.uses), str(account.images), "", "", account.due)
    show_table(f"{account.licence} of {account.rights_holder}", heads, [*rows, total])
    if unstated:
        say(f"{unstated} uses state no fee in {terms.currency}; a share of it is owed")


def read_ledger(
    path: Path, trust_root: Path | None, log: str | None, profile: Path | None
) -> tuple[VerifiedLedger, tuple[LedgerFault, ...]]:
    """The ledger at `path`, verified, and everything that is wrong with it; what it is and its digest are said."""
    trust = load_trust_root(trust_root or load_profile(profile).trust_root, now=now())
    content = read_file(path, "ledger")
    with console().status("verifying receipts"):
        read = verify_ledger(content, trust)
        faults = read.faults
        if log:
            with open_log(log) as source:
                known = verify_log(source, trust, remembered=[read.note])
            faults += missing_receipts(read, known.entries)
    say(f"{path}: {read.digest}")
    return read, faults


def open_log(address: str) -> Client:
    """A reader of a registry's log, which needs no credential; `address` is the registry's, or its log's."""
    return Client(address.rstrip("/").removesuffix("/v1/log"), "none")


def raise_for_faults(faults: Sequence[LedgerFault]) -> None:
    """Say each fault. Raises `VerificationError` when there is one."""
    for fault in faults:
        say(f"finding: {fault.about}: {fault.says}")
    if faults:
        raise VerificationError(f"{len(faults)} receipts or pages do not hold or are missing; see the findings above")


def _span(ledger: VerifiedLedger) -> str:
    since = f"{ledger.since:%Y-%m-%d %H:%M}" if ledger.since else "the beginning"
    until = f"{ledger.until:%Y-%m-%d %H:%M} UTC" if ledger.until else "now"
    return f"from {since} to {until}"
