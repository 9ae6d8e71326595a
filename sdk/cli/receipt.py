"""`imprimatur receipt`: keep the proof that an act is in the log as a file, and verify one with public keys alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, now, read_file, say
from sdk.client import Client
from sdk.errors import InputError, NotFound
from sdk.profile import load_profile
from sdk.receipt import ProvenEntry, require_about, verify_log_proof
from sdk.resolve import load_trust_root, witness_policy
from sdk.signing.cosign import policy_of
from sdk.spec.api import LogQuery
from sdk.spec.digest import Digest
from sdk.spec.log_entry import AuditEventType
from sdk.spec.log_policy import LogPolicy, Party, parse_log_policy
from sdk.spec.log_proof import parse_log_proof
from sdk.spec.note_keys import parse_note_key

commands = typer.Typer()
_receipt = typer.Typer(no_args_is_help=True, help="Keep proofs that acts are in the log, and verify them offline.")
commands.add_typer(_receipt, name="receipt")

TrustRootOption = Annotated[
    Path | None, typer.Option("--trust-root", help="The registry's trust-root.json.", show_default=False)
]
EventOption = Annotated[AuditEventType | None, typer.Option(help="It must be this event.", show_default=False)]
SubjectOption = Annotated[
    str | None, typer.Option(help="It must be about this, such as demo/fox@1.", show_default=False)
]


@_receipt.command("get")
def get_receipt(
    out: Annotated[Path, typer.Option(help="Where the .tlog-proof goes.", show_default=False)],
    index: Annotated[
        int | None, typer.Argument(help="The entry's index in the log.", metavar="INDEX", min=0, show_default=False)
    ] = None,
    event: EventOption = None,
    subject: SubjectOption = None,
    profile: ProfileOption = None,
) -> None:
    """Write the receipt of an entry as a .tlog-proof file, verified: by its index, or the newest of an event and subject."""
    with connected(profile) as (chosen, client):
        index = _newest(client, LogQuery(event=event, subject=subject, limit=1000)) if index is None else index
        content = client.log_proof(index)
        trust = load_trust_root(chosen.trust_root, now=now())
        proven = verify_log_proof(content, policy_of(trust, note=parse_log_proof(content).checkpoint))
    out.write_bytes(content)
    _show(proven)
    say(f"receipt: {out}")


@_receipt.command("verify")
def verify_receipt(
    file: Annotated[Path, typer.Argument(help="A .tlog-proof file.", metavar="FILE")],
    key: Annotated[
        str | None,
        typer.Option(help="The log's verifier key, name+hash+key; nothing else is read.", show_default=False),
    ] = None,
    log_policy: Annotated[
        Path | None,
        typer.Option("--log-policy", help="A tlog-policy file: logs, witnesses, quorum.", show_default=False),
    ] = None,
    trust_root: TrustRootOption = None,
    event: EventOption = None,
    subject: SubjectOption = None,
    evidence: Annotated[
        Path | None, typer.Option(help="The entry must name this file by its digest.", show_default=False)
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Verify a receipt offline: signature, witnesses, inclusion, and what it is about."""
    content = read_file(file, "receipt")
    policy = _policy(key, log_policy, trust_root, profile, parse_log_proof(content).checkpoint)
    proven = verify_log_proof(content, policy)
    document = Digest.of(read_file(evidence, "evidence")) if evidence else None
    require_about(proven, event=event, subject=subject, evidence=document)
    _show(proven)


@_receipt.command("key")
def show_key(trust_root: TrustRootOption = None, profile: ProfileOption = None) -> None:
    """Print the log's verifier key as a tlog-policy, for --log-policy, for witnesses and for other tools."""
    for party in policy_of(load_trust_root(trust_root or load_profile(profile).trust_root, now=now())).logs:
        typer.echo(f"log {party.key}")
    typer.echo("quorum none")


def _newest(client: Client, query: LogQuery) -> int:
    if query.event is None and query.subject is None:
        raise InputError("say which entry: its index, or --event and --subject")
    newest: int | None = None
    while True:
        page = client.log_entries(query)
        newest = page.entries[-1].index if page.entries else newest
        if page.next_after is None:
            break
        query = query.model_copy(update={"after": page.next_after})
    if newest is None:
        raise NotFound("the log has no such entry; see 'imprimatur audit log'")
    return newest


def _policy(
    key: str | None, log_policy: Path | None, trust_root: Path | None, profile: Path | None, note: bytes
) -> LogPolicy:
    if sum(each is not None for each in (key, log_policy, trust_root)) > 1:
        raise InputError("give one of --key, --log-policy and --trust-root")
    if key:
        return LogPolicy(logs=(Party(key=parse_note_key(key)),))
    if log_policy:
        return parse_log_policy(read_file(log_policy, "log policy"))
    if trust_root:
        return policy_of(load_trust_root(trust_root, now=now()), note=note)
    chosen = load_profile(profile)
    return policy_of(load_trust_root(chosen.trust_root, now=now()), witness_policy(chosen), note=note)


def _show(proven: ProvenEntry) -> None:
    entry, checkpoint = proven.entry, proven.checkpoint
    say(f"entry {proven.index} of {checkpoint.origin}: {entry.event.value} of {entry.subject}")
    say(f"  by       {entry.actor}, {entry.at:%Y-%m-%d %H:%M:%S} UTC")
    for name, digest in sorted(entry.evidence.items()):
        say(f"  {name:<8} {digest}")
    say(f"  under    the signed checkpoint of {checkpoint.tree_size} entries")
    for name, at in sorted(proven.cosigned.items()):
        say(f"  cosigned {name}, {at:%Y-%m-%d %H:%M:%S} UTC")
