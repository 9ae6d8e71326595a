"""One self-contained page of an explanation: no scripts, nothing loaded from anywhere, every text escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from sdk.explain.explanation import terms_in_words
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.explanation import ConceptAttention, Explanation, ImageAttention, TracedVersion

_SIDE: Final = 256  # pixels of a map
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem } code { font-size: .9em; overflow-wrap: anywhere }
table { border-collapse: collapse } td, th { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0 }
.row { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0; width: 256px } figcaption { font-size: .85rem }
figure div { position: relative } img { width: 256px; display: block } img + img { position: absolute; top: 0; height: 100% }
meter { width: 100% } .note { color: #666; font-size: .85rem }
"""


def write_page(explanation: Explanation, images: Mapping[Digest, bytes]) -> str:
    """The page as HTML. `images` are the files at hand by digest; without one its maps stand alone."""
    title = f"Why {explanation.generation}"
    return "\n".join(
        (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{_STYLE}</style><h1>{escape(title)}</h1>",
            *_decision(explanation),
            *_pictures(explanation, images),
            *(line for version in explanation.versions for line in _version(version)),
            "<h2>As data</h2><details><summary>JSON</summary>",
            f"<code>{escape(encode_canonical(explanation).decode())}</code></details></html>",
        )
    )


def _decision(explanation: Explanation) -> Iterator[str]:
    decision, use = explanation.decision, explanation.use
    yield f"<p><b>{decision.effect.value}</b> for {escape(explanation.application)}, asked for "
    asked = f"{use.purpose} in {use.territory} on {use.channel}, {explanation.decided_at:%Y-%m-%d %H:%M:%S} UTC"
    recorded = [at for at in (explanation.intent_index, explanation.result_index) if at is not None]
    yield f"{escape(asked)}. Log entries {' and '.join(map(str, recorded))}.</p>"
    yield "<h2>Rules that decided</h2><table><tr><th>rule<th>about<th>why"
    for reason in decision.reasons:
        yield f"<tr><td><code>{escape(reason.rule)}</code><td>{escape(reason.about)}<td>{escape(reason.message)}"
    yield f'</table><p class="note">policies <code>{decision.bundle}</code>, facts <code>{decision.context}</code></p>'


def _pictures(explanation: Explanation, images: Mapping[Digest, bytes]) -> Iterator[str]:
    yield "<h2>Where the pictures attended to each concept</h2>"
    if not explanation.images:
        yield "<p>No attention was kept. Compose with <code>explain</code> to keep it.</p>"
        return
    yield '<p class="note">Bright: where, while it was drawn, the network looked at a concept rather than at the other '
    yield "words of the scene. The share is of the whole picture. It says where the network looked, and is no proof of "
    yield "what caused a pixel.</p>"
    for attended in explanation.images:
        yield from _picture(attended, images.get(attended.image))


def _picture(attended: ImageAttention, content: bytes | None) -> Iterator[str]:
    yield f'<p><code>{attended.image}</code></p><div class="row">'
    if content:
        yield f'<figure><img src="{_uri(content)}" alt="The picture"><figcaption>the picture</figcaption></figure>'
    for each in attended.concepts:
        name = escape(each.concept or "other words")
        below = f'<img src="{_uri(content)}" alt="">' if content else ""
        yield f'<figure><div>{below}<img src="{_uri(_heat(each, over=bool(content)))}" alt="Map of {name}"></div>'
        yield f'<figcaption>{name}: {each.share:.0%}<meter value="{each.share:.4f}"></meter></figcaption></figure>'
    yield "</div>"


def _version(version: TracedVersion) -> Iterator[str]:
    yield f"<h2>{escape(version.name)}</h2><table><tr><th>manifest<td><code>{version.manifest}</code>"
    for approval in version.approvals:
        yield f"<tr><th>approved by<td>{escape(approval.reviewer)}, log entry {approval.log_index}"
    for kind, records in (("consent", version.consents), ("licence", version.licences)):
        for record in records:
            yield f"<tr><th>{kind}<td><code>{record.id}</code><br>{escape(terms_in_words(record.terms))}"
    yield "</table>"


def _heat(attention: ConceptAttention, *, over: bool) -> bytes:
    """The map as a PNG, brightest at its peak; over a picture it is dark where the concept was not looked at."""
    from PIL import Image

    grid = Image.frombytes("L", (attention.columns, attention.rows), attention.cells)
    peak = max(attention.cells) or 1
    height = round(_SIDE * attention.rows / attention.columns)
    seen = grid.point(lambda value: 255 * value / peak).resize((_SIDE, height), Image.Resampling.BICUBIC)
    picture = seen
    if over:
        picture = Image.new("LA", seen.size)
        picture.putalpha(seen.point(lambda value: round(0.9 * (255 - value))))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")
