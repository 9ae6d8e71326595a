"""`imprimatur break-glass`: two people open a version for a while before its approval. Both verify it; each signs for themselves.

    reviewer$ imprimatur break-glass sign demo/fox@3 --with demo/aiko --hours 12 --reason "..." --out fox.json
    aiko$     imprimatur break-glass open fox.json

The file holds a statement with one signature: nothing is open until the second person signs and sends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from sdk.break_glass import read_opening
from sdk.cli.connection import ProfileOption, connected, named, now, read_file, say, show_table
from sdk.cli.review import Reference, verified
from sdk.errors import InputError
from sdk.profile import Profile
from sdk.resolve import current_trust_root
from sdk.signing.signer import load_key_file, sign_envelope
from sdk.signing.trust import TrustRole
from sdk.spec.break_glass import MAX_HOURS, BreakGlassPredicate, BreakGlassView
from sdk.spec.canonical import validate_wire
from sdk.spec.envelope import Envelope, encode_envelope, parse_envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.statements import encode_statement, parse_predicate, parse_statement
from sdk.verify import terms_of

_break_glass = typer.Typer(no_args_is_help=True, help="Two people open a version for a while before its approval.")
commands = typer.Typer()
commands.add_typer(_break_glass, name="break-glass")


@_break_glass.command("sign")
def sign(
    reference: Reference,
    second: Annotated[
        str, typer.Option("--with", help="Who signs it with you; one of you is nobody whose work it is.")
    ],
    reason: Annotated[str, typer.Option(help="Why it cannot wait; it is recorded for ever, and shown to everybody.")],
    hours: Annotated[int, typer.Option(help="How long it is open, from now.", min=1, max=MAX_HOURS)],
    out: Annotated[Path, typer.Option(help="Write the statement here, for the second person.")],
    profile: ProfileOption = None,
) -> None:
    """Sign first: nothing is open yet."""
    with connected(profile) as (chosen, client):
        version = verified(chosen, client, reference)
        at = now()
        said = {
            "concept": version.bundle.concept,
            "number": version.bundle.number,
            "signers": sorted((chosen.principal, named(PrincipalId, second))),
            "terms": terms_of(version.bundle),
            "reason": reason,
            "signed_at": at,
            "expires_at": at + timedelta(hours=hours),
        }
        predicate = validate_wire(BreakGlassPredicate, said, "break-glass")
        payload = encode_statement(predicate, subjects={str(version.bundle.concept): version.digest})
        envelope = sign_envelope(payload, load_key_file(chosen.need("signing_key")))
        trust = current_trust_root(client, chosen, now=at)
        read_opening(envelope, version, trust, by_both=False)
        if second not in trust.holders_of(TrustRole.APPROVAL):
            raise InputError(f"{second} has no key that is trusted for approval, so they cannot sign; name who has one")
    out.write_bytes(encode_envelope(envelope))
    say(f"{version.name} is not open yet: {second} signs with 'imprimatur break-glass open {out}'")


@_break_glass.command("open")
def open_version(
    statement: Annotated[Path, typer.Argument(help="What the first person signed.", metavar="FILE")],
    profile: ProfileOption = None,
) -> None:
    """Sign second, and open it: every reviewer and auditor is told."""
    envelope = parse_envelope(read_file(statement, "break-glass"))
    claimed = parse_predicate(parse_statement(envelope.payload, envelope.payload_type), BreakGlassPredicate)
    with connected(profile) as (chosen, client):
        version = verified(chosen, client, f"{claimed.concept}@{claimed.number}")
        trust = current_trust_root(client, chosen, now=now())
        predicate = read_opening(envelope, version, trust, by_both=False)
        _require_second(chosen, predicate)
        say(f"{version.name} until {predicate.expires_at:%Y-%m-%d %H:%M} UTC, because: {predicate.reason}")
        whole = _cosigned(envelope, chosen)
        opened = client.break_glass(version.bundle.concept, version.bundle.number, whole)
    say(
        f"{opened.name} is open, not approved (entry {opened.log_index}); it is used as {opened.name} and by no other name"
    )


@_break_glass.command("list")
def show_all(
    everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    profile: ProfileOption = None,
) -> None:
    """List what is open now: by whom, why and until when."""
    with connected(profile) as (_, client):
        found = client.list_break_glasses().break_glasses
    show_break_glasses([opened for opened in found if everything or opened.in_force])


def show_break_glasses(found: Sequence[BreakGlassView]) -> None:
    """Print them as a table."""
    columns = ("version", "open until (UTC)", "by", "because", "entry")
    show_table("Break-glass", columns, [_row(opened) for opened in found])


def _row(opened: BreakGlassView) -> tuple[str, ...]:
    until = f"{opened.expires_at:%Y-%m-%d %H:%M}"
    return (
        opened.name,
        until if opened.in_force else f"{until}, over",
        " ".join(opened.signers),
        opened.reason,
        str(opened.log_index),
    )


def _require_second(profile: Profile, predicate: BreakGlassPredicate) -> None:
    if profile.principal not in predicate.signers:
        raise InputError(
            f"{' and '.join(predicate.signers)} open {predicate.concept}@{predicate.number}, not {profile.principal}"
        )


def _cosigned(envelope: Envelope, profile: Profile) -> Envelope:
    mine = sign_envelope(envelope.payload, load_key_file(profile.need("signing_key")))
    return envelope.model_copy(update={"signatures": (*envelope.signatures, *mine.signatures)})
