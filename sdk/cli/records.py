"""`imprimatur concept` and `licence`: naming concepts and recording what rights holders grant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, named, read_document, say, show_table, write_json
from sdk.spec.api import NewConcept
from sdk.spec.canonical import validate_wire
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ConceptKind
from sdk.spec.odrl import licence_to_odrl
from sdk.spec.terms import LicenceGrant

commands = typer.Typer()
_concept = typer.Typer(no_args_is_help=True, help="Name concepts and list them.")
_licence = typer.Typer(no_args_is_help=True, help="Record licences and export them.")
commands.add_typer(_concept, name="concept")
commands.add_typer(_licence, name="licence")


@_concept.command("create")
def create_concept(
    concept: Annotated[str, typer.Argument(help="The new concept's id, such as demo/fox.", metavar="TENANT/NAME")],
    kind: Annotated[ConceptKind, typer.Option(help="What it is; a person needs two approvals.")],
    title: Annotated[str, typer.Option(help="What people call it.")],
    profile: ProfileOption = None,
) -> None:
    """Name a concept. It has no version until one is trained."""
    wanted = validate_wire(NewConcept, {"id": named(ConceptId, concept), "kind": kind, "title": title}, "concept")
    with connected(profile) as (_, client):
        made = client.create_concept(wanted)
        say(f"{made.id} is named ({made.kind.value}: {made.title}), owned by {made.owner}")


@_concept.command("list")
def list_concepts(profile: ProfileOption = None) -> None:
    """List your tenant's concepts."""
    with connected(profile) as (_, client):
        rows = [
            (str(c.id), c.kind.value, c.title, f"@{c.approved_number}" if c.approved_number else "-", str(c.owner))
            for c in client.list_concepts().concepts
        ]
    show_table("Concepts", ("concept", "kind", "title", "approved", "owner"), rows)


@_licence.command("grant")
def grant_licence(
    file: Annotated[
        Path, typer.Argument(help="A licence grant as JSON, such as examples/licence.json.", metavar="FILE")
    ],
    profile: ProfileOption = None,
) -> None:
    """Record a licence. Prints its id, which training refers to."""
    grant = read_document(file, LicenceGrant, "licence grant")
    with connected(profile) as (_, client):
        accepted = client.grant_licence(grant)
        say(f"licence {accepted.id} is recorded, log entry {accepted.receipt.index}")


@_licence.command("export")
def export_licence(
    licence: Annotated[str, typer.Argument(help="The licence's id.", metavar="ID")],
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file. \\[default: print]")] = None,
    profile: ProfileOption = None,
) -> None:
    """Write a licence as a W3C ODRL 2.2 agreement (JSON-LD)."""
    with connected(profile) as (_, client):
        held = client.get_licence(named(RecordId, licence))
        tenant = client.whoami().tenant
    write_json(licence_to_odrl(held, tenant), out)
