"""`imprimatur alias`: movable names for versions, several set at once, and what they named before.

`show --as-of` prints what a reference meant at a moment; it is here because it is the same question.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, named, say, show_table
from sdk.client import Client
from sdk.errors import InputError
from sdk.spec.api import AliasChange, AliasesSet, AliasView
from sdk.spec.ids import AliasName, ConceptId, parse_version_ref

_alias = typer.Typer(no_args_is_help=True, help="Name versions by movable aliases such as @stable.")
commands = typer.Typer()
commands.add_typer(_alias, name="alias")

Alias = Annotated[str, typer.Argument(help="An alias, such as demo/fox@stable.", metavar="TENANT/NAME@ALIAS")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="As it stood at this moment, such as 2026-03-03T14:00+09:00.", metavar="TIME"),
]


@_alias.command("set")
def set_alias(
    pairs: Annotated[
        list[str],
        typer.Argument(
            help="An alias and the version it is to name; more pairs are set in the same act.",
            metavar="TENANT/NAME@ALIAS N ...",
        ),
    ],
    expect: Annotated[
        int | None, typer.Option(help="Set it only if it names this version now; 0 for none. For one pair.", min=0)
    ] = None,
    profile: ProfileOption = None,
) -> None:
    """Let aliases name approved versions: all of them, or none."""
    if len(pairs) % 2 or (expect is not None and len(pairs) != 2):
        raise InputError("expected pairs of an alias and a number, and --expect with one pair only")
    changes = [_change(name, number, expect) for name, number in zip(pairs[::2], pairs[1::2], strict=True)]
    with connected(profile) as (_, client):
        _say_set(client.set_aliases(changes))


@_alias.command("remove")
def remove_alias(alias: Alias, profile: ProfileOption = None) -> None:
    """Take an alias away. What it named stays on record."""
    with connected(profile) as (_, client):
        _say_set(client.set_aliases([_change(alias, "0", None)]))


@_alias.command("list")
def list_aliases(
    concept: Annotated[str | None, typer.Option(help="Of this concept only.", metavar="TENANT/NAME")] = None,
    as_of: AsOf = None,
    profile: ProfileOption = None,
) -> None:
    """List what aliases name, now or at a moment."""
    moment = parse_moment(as_of) if as_of else None
    of = named(ConceptId, concept) if concept else None
    with connected(profile) as (_, client):
        found = client.list_aliases(concept=of, as_of=moment)
    _show("Aliases", found.aliases)


@_alias.command("history")
def alias_history(alias: Alias, profile: ProfileOption = None) -> None:
    """List everything that an alias ever named, oldest first."""
    concept, name = _alias_ref(alias)
    with connected(profile) as (_, client):
        _show(f"{concept}@{name}", client.alias_history(concept, name).aliases)


def show_at(client: Client, reference: str, moment: datetime) -> None:
    """Print what a reference meant at a moment, and where that version stood then."""
    stood = client.history(named(parse_version_ref, reference), moment)
    say(f"{stood.concept}@{stood.number} was {stood.status.value} at {moment.isoformat()}, since {stood.since}")
    say(f"  manifest    {stood.manifest}")
    say(f"  aliases     {' '.join(stood.aliases) or '-'}")
    say(f"  policies    {stood.policies or 'not recorded that early'}")
    for consent, status in stood.consents.items():
        say(f"  consent     {consent} {status.value}")
    say("This is what the registry says; 'imprimatur audit verify' checks its log, which has every change")


def parse_moment(text: str) -> datetime:
    """A moment as people type it. Raises `InputError` without a zone: an hour means nothing by itself."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise InputError(f"expected a moment such as 2026-03-03T14:00+09:00, found {text!r}") from exc
    if moment.tzinfo is None:
        raise InputError(f"{text!r} has no zone; write 2026-03-03T14:00+09:00, or ...Z for UTC")
    return moment


def _change(name: str, number: str, expect: int | None) -> AliasChange:
    concept, alias = _alias_ref(name)
    if not number.isdecimal():
        raise InputError(f"expected a version number such as 2 for {name}, found {number!r}")
    return AliasChange(concept=concept, alias=alias, number=int(number), expected=expect)


def _alias_ref(text: str) -> tuple[ConceptId, AliasName]:
    ref = named(parse_version_ref, text)
    if ref.alias is None:
        raise InputError(f"expected an alias such as demo/fox@stable, found {text!r}")
    return ref.concept, ref.alias


def _say_set(done: AliasesSet) -> None:
    for view in done.aliases:
        names = f"names version {view.number}" if view.number else "names no version"
        say(f"{view.concept}@{view.alias} {names}, log entry {view.log_index}")


def _show(title: str, views: tuple[AliasView, ...]) -> None:
    rows = [
        (f"{v.concept}@{v.alias}", str(v.number or "-"), f"{v.set_at:%Y-%m-%d %H:%M:%SZ}", str(v.set_by)) for v in views
    ]
    show_table(title, ("alias", "version", "since", "set by"), rows)
