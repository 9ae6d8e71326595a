"""`imprimatur audit`: the log's entries, who generated what, what is due, and verification without trusting the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.audit import GenerationAccount, VerifiedLog, account_for, sign_report, verify_log
from sdk.cli.accounting import LicenceOption, SinceOption, UntilOption, royalty_query
from sdk.cli.connection import ProfileOption, connected, console, named, now, read_file, say, show_table
from sdk.cli.outside import Asked, say_verified, show_acts, verify_from_outside
from sdk.cli.receipt import EventOption, SubjectOption, TrustRootOption
from sdk.client import Client
from sdk.errors import InputError, VerificationError
from sdk.findings import find_contradictions, find_faults
from sdk.profile import Profile
from sdk.resolve import current_trust_root, load_trust_root, log_memory, require_witnessed, watch_log, witness_policy
from sdk.royalties.ledger import encode_page, missing_receipts, verify_ledger
from sdk.royalties.report import differences, report_of
from sdk.signing.signer import load_key_file
from sdk.spec.api import LogQuery
from sdk.spec.envelope import encode_envelope
from sdk.spec.ids import ConceptId, PrincipalId
from sdk.spec.ledger import LedgerQuery
from sdk.spec.log_entry import AuditEventType

commands = typer.Typer()
audit = typer.Typer(no_args_is_help=True, help="Ask who did what, and verify the log without trusting the server.")
commands.add_typer(audit, name="audit")


@audit.command("log")
def show_entries(
    event: Annotated[AuditEventType | None, typer.Option(help="Only this event.", show_default=False)] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only about this, such as demo/fox@1.", show_default=False)
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Only by this principal.", show_default=False)] = None,
    after: Annotated[int, typer.Option(help="Only entries after this index.")] = -1,
    limit: Annotated[int, typer.Option(help="At most this many.", min=1, max=1000)] = 100,
    profile: ProfileOption = None,
) -> None:
    """List entries of the log."""
    by = named(PrincipalId, actor) if actor else None
    query = LogQuery(event=event, subject=subject, actor=by, after=after, limit=limit)
    with connected(profile) as (_, client):
        page = client.log_entries(query)
    rows = [
        (str(e.index), f"{e.entry.at:%Y-%m-%d %H:%M:%S}", e.entry.event.value, e.entry.subject, str(e.entry.actor))
        for e in page.entries
    ]
    show_table("Log", ("entry", "time (UTC)", "event", "about", "by"), rows)
    if page.next_after is not None:
        say(f"there are more: --after {page.next_after}")


@audit.command("generations")
def show_generations(
    concept: Annotated[str | None, typer.Option(help="Only with this concept.", show_default=False)] = None,
    profile: ProfileOption = None,
) -> None:
    """Show who generated what, with which versions, under which approvals; the log is verified first."""
    only = named(ConceptId, concept) if concept else None
    with connected(profile) as (chosen, client):
        log = _verified_log(chosen, client)
        listed = client.list_generations(only).generations
    accounts = account_for(log, listed)
    if not accounts:
        say("no generation yet")
    for account in accounts:
        _show_account(account)
    for contradiction in (contradictions := find_contradictions(log, listed)):
        say(f"finding: {contradiction}")
    if contradictions:
        raise VerificationError(
            "the registry lists generations otherwise than the log tells them; see the findings above"
        )


@audit.command("verify")
def verify(
    out: Annotated[Path | None, typer.Option(help="Write the signed audit report here.", show_default=False)] = None,
    log: Annotated[
        str | None,
        typer.Option(
            help="Read this log, by its address or a folder of tiles, without a profile or credential.",
            metavar="PREFIX",
            show_default=False,
        ),
    ] = None,
    trust_root: TrustRootOption = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="With --log: a checkpoint that you keep; the log must extend it.", show_default=False),
    ] = None,
    event: EventOption = None,
    subject: SubjectOption = None,
    evidence: Annotated[
        Path | None, typer.Option(help="The log must name this document, signed as it says.", show_default=False)
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Verify the whole log: signatures, inclusion of every entry, and that nothing seen before was rewritten; and an act in it."""
    about = Asked(event=event, subject=subject, document=read_file(evidence, "evidence") if evidence else None)
    if log is not None:
        if trust_root is None or out is not None:
            raise InputError("--log needs --trust-root, the public keys, and signs no report: --out is for a profile")
        verify_from_outside(log, load_trust_root(trust_root, now=now()), checkpoint, about)
        return
    if trust_root is not None or checkpoint is not None:
        raise InputError("--trust-root and --checkpoint go with --log; a profile names its own")
    with connected(profile) as (chosen, client), console().status("reading the log"):
        verified = _verified_log(chosen, client)
        listed = client.list_generations().generations
        faults = find_faults(verified, listed, tenant=chosen.principal.tenant)
        trust = current_trust_root(client, chosen, now=now())
        watch = watch_log(client, trust, log_memory(chosen))
        watch.see(verified.note)
        require_witnessed(client, watch, trust, witness_policy(chosen), ())
    say_verified(verified, "every entry is included; nothing seen before was rewritten")
    show_acts(verified, about, trust)
    if out:
        _write_report(out, chosen, verified, faults)
    for fault in faults:
        say(f"finding: {fault}")
    if faults:
        raise VerificationError(
            f"the log is intact, but {len(faults)} generations break the rules; see the findings above"
        )


@audit.command("royalties")
def check_royalties(
    licence: LicenceOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    profile: ProfileOption = None,
) -> None:
    """Compute royalties from receipts and the log, and name what the registry's report says otherwise."""
    query = royalty_query(licence, since, until)
    with connected(profile) as (chosen, client), console().status("reading the log and its receipts"):
        claimed = client.royalties(query)
        asked = LedgerQuery(licence=query.licence, since=query.since, until=claimed.until)
        content = b"".join(encode_page(page) for page in client.ledger_pages(asked))
        ledger = verify_ledger(content, current_trust_root(client, chosen, now=now()))
        log = _verified_log(chosen, client, ledger.note)
    faults = [f"{fault.about}: {fault.says}" for fault in (*ledger.faults, *missing_receipts(ledger, log.entries))]
    faults += differences(claimed, report_of(ledger, now=claimed.until))
    say(f"{len(ledger.uses)} receipts, all under the log of {log.checkpoint.tree_size} entries; ledger {ledger.digest}")
    for account in claimed.accounts:
        say(
            f"{account.licence}: {account.images} images, {account.terms.currency} {account.due} due, says the registry"
        )
    for fault in faults:
        say(f"finding: {fault}")
    if faults:
        raise VerificationError(f"the registry's report is not what its receipts come to: {len(faults)} findings")
    say("the receipts come to the same")


def _show_account(account: GenerationAccount) -> None:
    state = "recorded" if account.recorded else "permitted" if account.permitted else "denied"
    entries = " and ".join(str(index) for index in (account.intent_index, account.result_index) if index is not None)
    say(f"{account.generation} {state} for {account.application}, {account.at:%Y-%m-%d %H:%M:%S} UTC")
    say(f"  use          {account.purpose}")
    say(f"  versions     {', '.join(account.versions)}")
    for index, reviewer, version in account.approvals:
        say(f"  approved by  {reviewer} (entry {index}, {version})")
    for index, signers, version in account.break_glasses:
        say(f"  BREAK-GLASS  {version} was not approved; opened by {' and '.join(signers.split())} (entry {index})")
    say(f"  images       {len(account.images)}")
    say(f"  log          entries {entries}")


def _verified_log(profile: Profile, client: Client, *notes: bytes) -> VerifiedLog:
    """The whole log, which must extend everything that was seen of it before, and `notes`."""
    trust = current_trust_root(client, profile, now=now())
    seen = watch_log(client, trust, log_memory(profile)).notes
    return verify_log(client, trust, remembered=[*seen, *notes])


def _write_report(path: Path, profile: Profile, log: VerifiedLog, faults: tuple[str, ...]) -> None:
    signer = load_key_file(profile.need("signing_key"))
    report = sign_report(log, faults, auditor=profile.principal, at=now(), signer=signer)
    path.write_bytes(encode_envelope(report))
    say(f"signed report: {path}")
