"""demo-out/index.html: what a person would want to look at after the demo, on one page.

The page refers to files beside it by relative path; it needs no script and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_STYLE = """
:root { color-scheme: light; --ink: #1d1b18; --faint: #78716a; --line: #e3ded6; --paper: #fbfaf7; --seal: #8c2f2b; }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 Georgia, 'Times New Roman', serif }
main { max-width: 1060px; margin: 0 auto; padding: 48px 24px 96px }
h1 { font-size: 40px; margin: 0 0 4px; letter-spacing: .01em }
h2 { margin: 56px 0 12px; padding-top: 20px; border-top: 1px solid var(--line); font-size: 24px }
h3 { margin: 24px 0 8px; font-size: 17px }
p { max-width: 70ch; margin: 8px 0 }
.faint, figcaption { color: var(--faint); font-size: 14px }
.row { display: flex; flex-wrap: wrap; gap: 14px; margin: 12px 0 }
figure { margin: 0 }
figure img { display: block; width: 176px; height: 176px; object-fit: cover; border-radius: 6px; background: #eee }
.small img { width: 112px; height: 112px; image-rendering: auto }
.tiny img { width: 84px; height: 84px; border-radius: 4px }
figcaption { max-width: 176px; padding-top: 4px }
.tiny figcaption { max-width: 84px; font-size: 12px }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin: 12px 0 }
th, td { text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: normal; color: var(--faint) }
code, .mono { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere }
blockquote { margin: 12px 0; padding: 8px 16px; border-left: 3px solid var(--seal); background: #fff }
.ok { color: #2f6b3a } .no { color: var(--seal) }
"""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image file inside the output folder, with its caption."""

    path: str
    caption: str = ""


def pictures(items: Sequence[Picture], *, size: str = "") -> str:
    """A row of captioned pictures; `size` is "", "small" or "tiny"."""
    figures = "".join(
        f'<figure class="{size}"><img src="{escape(item.path)}" alt="{escape(item.caption)}">'
        f"<figcaption>{escape(item.caption)}</figcaption></figure>"
        for item in items
    )
    return f'<div class="row">{figures}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text cells."""
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def section(title: str, *parts: str) -> str:
    """A titled section of ready HTML parts."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def heading(text: str) -> str:
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def refusal(text: str) -> str:
    """What somebody was told when the answer was no."""
    return f'<blockquote class="no">{escape(text)}</blockquote>'


def write_page(folder: Path, title: str, lead: str, sections: Sequence[str]) -> Path:
    """Write index.html into `folder` and return its path."""
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f'<body><main><h1>{escape(title)}</h1><p class="faint">{escape(lead)}</p>{"".join(sections)}</main></body></html>'
    )
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path
