"""`imprimatur explain`: why a generation was permitted, and what its pictures attended to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, named, now, read_document, say
from sdk.errors import InputError
from sdk.resolve import current_trust_root
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.explanation import Explanation, GenerationAttention
from sdk.spec.ids import RecordId

commands = typer.Typer()


@commands.command("explain")
def explain_generation(
    generation: Annotated[str, typer.Argument(help="The generation, such as gen_...; `identify` finds it.")],
    images: Annotated[
        Path | None,
        typer.Option(help="The folder that `compose --explain` wrote, for pictures and maps.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write one self-contained HTML page to this file.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Say which rules decided, who approved what under which terms, and where the pictures attended to each concept."""
    from sdk.explain.explanation import describe, explain

    record = named(RecordId, generation)
    attention = _read_attention(images / attention_file(record)) if images else None
    with connected(profile) as (chosen, client):
        trust = current_trust_root(client, chosen, now=now())
        explanation = explain(client, trust, record, attention)
    if as_json:
        say(encode_canonical(explanation).decode())
    else:
        for line in describe(explanation):
            say(line)
    if out:
        save_page(explanation, images, out)
        say(str(out))


def _read_attention(path: Path) -> GenerationAttention:
    if not path.exists():
        raise InputError(f"{path} is not there; compose with --explain keeps it, or leave --images out")
    return read_document(path, GenerationAttention, "attention")


def attention_file(generation: RecordId) -> str:
    """The name under which `compose --explain` keeps attention beside the images."""
    return f"{generation}.attention.json"


def save_page(explanation: Explanation, images: Path | None, out: Path) -> None:
    """Write the page, with those pictures in the folder `images` that the explanation is about."""
    from sdk.explain.page import write_page

    wanted = {attended.image for attended in explanation.images}
    files = (path.read_bytes() for path in sorted(images.glob("*.png")) if path.is_file()) if images else ()
    found = {Digest.of(content): content for content in files}
    page = write_page(explanation, {digest: found[digest] for digest in wanted & set(found)})
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise InputError(f"the page cannot be written to {out}: {exc.strerror}") from exc
