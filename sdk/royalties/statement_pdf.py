"""A statement as a PDF of A4 pages, by fpdf2. Letters beyond Latin-1 need a font, which is then embedded.

fpdf2 writes no moment or id of its own, so the same statement is the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sdk.errors import ConfigurationError, InputError
from sdk.royalties.statement import Statement, last_day
from sdk.royalties.statement_words import StatementLanguage, say
from sdk.spec.royalty_report import PeriodAccount

if TYPE_CHECKING:
    from fpdf import FPDF

_FAMILY: Final = "statement"
_BUILT_IN: Final = "Helvetica"
_MARGIN: Final = 18  # mm
_LABEL: Final = 42  # mm
_FONT_STARTS: Final = frozenset({b"\0\1\0\0", b"OTTO", b"true", b"ttcf"})
_INK, _SOFT, _LINE = (29, 39, 51), (82, 96, 112), (200, 205, 212)


def encode_pdf(
    statement: Statement, *, language: StatementLanguage = StatementLanguage.ENGLISH, font: Path | None = None
) -> bytes:
    """The statement as a PDF.

    Raises:
        ConfigurationError: the extra `statement` is not installed.
        InputError: the font cannot be read, or there is a letter that needs one.
    """
    return _Page(statement, language, font).draw()


class _Page:
    """Draws one statement, top to bottom."""

    def __init__(self, statement: Statement, language: StatementLanguage, font: Path | None) -> None:
        self._statement = statement
        self._language = language
        self._pdf = _open(font, lambda page, pages: say("page", language, page=page, pages=pages))
        self._family = _FAMILY if font else _BUILT_IN
        self._has_bold = font is None
        self._pdf.set_creation_date(statement.made_at)
        self._pdf.set_title(self._say("title"))
        self._pdf.set_lang(language.value)

    def draw(self) -> bytes:
        """The file."""
        from fpdf.errors import FPDFUnicodeEncodingException

        try:
            self._heading()
            self._table()
            self._notes()
            self._check()
            return bytes(self._pdf.output())
        except FPDFUnicodeEncodingException as exc:
            raise InputError(
                f"the letter {exc.character!r} needs a font; give one that has it with --font, such as NotoSansCJK-Regular.ttc"
            ) from exc

    def _heading(self) -> None:
        statement, account = self._statement, self._statement.account
        self._font(20, bold=True)
        self._pdf.cell(0, 12, self._say("title"), new_x="LMARGIN", new_y="NEXT")
        self._pdf.ln(2)
        since = f"{statement.since:%Y-%m-%d}" if statement.since else self._say("beginning")
        for label, value in (
            ("payee", statement.payee),
            *((("rights-holder", account.rights_holder),) if account.terms.payee else ()),
            ("licensee", statement.tenant),
            ("licence", f"{statement.grant.license} ({account.licence})"),
            ("covers", ", ".join(statement.grant.covers)),
            ("span", self._say("from-to", first=since, last=f"{last_day(statement.until):%Y-%m-%d} (UTC)")),
            ("terms", self._terms()),
            ("made", f"{statement.made_at:%Y-%m-%d %H:%M} UTC"),
        ):
            self._fact(self._say(label), value)
        self._pdf.ln(3)
        self._font(14, bold=True)
        self._pdf.cell(
            0, 10, f"{self._say('total')}: {account.terms.currency} {account.due}", new_x="LMARGIN", new_y="NEXT"
        )
        self._pdf.ln(2)

    def _terms(self) -> str:
        terms = self._statement.account.terms
        period = self._say(f"period.{terms.period.value}")
        parts = (
            self._say("per-image", currency=terms.currency, amount=terms.per_image) if terms.per_image else "",
            self._say("of-fee", percent=terms.percent_of_fee) if terms.percent_of_fee else "",
            self._say("minimum", currency=terms.currency, amount=terms.minimum_guarantee, period=period)
            if terms.minimum_guarantee
            else period,
        )
        return "; ".join(filter(None, parts))

    def _table(self) -> None:
        from fpdf.fonts import FontFace

        heads = ("period", "uses", "images", "fees", "earned", "guaranteed", "due")
        self._font(9)
        self._pdf.set_draw_color(*_LINE)
        strong = FontFace(emphasis="BOLD" if self._has_bold else None, fill_color=(240, 242, 245))
        with self._pdf.table(
            col_widths=(58, 14, 17, 24, 26, 22, 24),
            text_align=("LEFT", *("RIGHT",) * 6),
            borders_layout="HORIZONTAL_LINES",
            headings_style=FontFace(emphasis="BOLD" if self._has_bold else None, color=_SOFT),
            line_height=5.5,
            padding=1,
        ) as table:
            table.row([self._say(f"head.{head}") for head in heads])
            for period in self._statement.account.periods:
                table.row(self._period_cells(period), style=strong)
                for line in period.lines:
                    cells = (", ".join(line.versions), str(line.uses), str(line.images), line.fees, line.earned, "", "")
                    table.row(cells)
        self._pdf.ln(4)

    def _period_cells(self, period: PeriodAccount) -> tuple[str, ...]:
        mark = "" if period.whole else f" ({self._say('in-part')})"
        unused = "" if period.uses else f", {self._say('unused')}"
        span = self._say("from-to", first=f"{period.starts:%Y-%m-%d}", last=f"{last_day(period.ends):%Y-%m-%d}")
        return (
            span + mark + unused,
            str(period.uses),
            str(period.images),
            "",
            period.earned,
            period.minimum or "",
            period.due,
        )

    def _notes(self) -> None:
        self._font(9, colour=_SOFT)
        for note in self._note_texts():
            self._pdf.multi_cell(0, 5, note, new_x="LMARGIN", new_y="NEXT")
        self._pdf.ln(3)

    def _note_texts(self) -> Iterator[str]:
        statement, currency = self._statement, self._statement.account.terms.currency
        yield self._say("rounding", currency=currency)
        if any(not period.whole for period in statement.account.periods):
            yield self._say("in-part-note")
        unstated = sum(line.unstated for period in statement.account.periods for line in period.lines)
        if unstated:
            yield self._say("unstated", uses=unstated, currency=currency)
        if statement.open_uses:
            yield self._say("open", uses=statement.open_uses, images=statement.open_images)

    def _check(self) -> None:
        statement = self._statement
        if self._pdf.will_page_break(70):
            self._pdf.add_page()
        self._font(12, bold=True)
        self._pdf.cell(0, 9, self._say("check"), new_x="LMARGIN", new_y="NEXT")
        self._font(9)
        self._pdf.multi_cell(0, 5, self._say("check-text"), new_x="LMARGIN", new_y="NEXT")
        self._pdf.ln(1)
        self._pdf.set_font("Courier", size=9)
        command = "imprimatur royalties compute LEDGER --trust-root FILE --log ADDRESS"
        self._pdf.cell(0, 7, command, new_x="LMARGIN", new_y="NEXT")
        for label, value in (
            ("ledger", statement.ledger),
            ("receipts", str(statement.receipts)),
            ("terms-digest", statement.account.digest),
            ("log", self._say("log-at", origin=statement.log_origin, size=statement.log_size)),
            ("root", statement.log_root.hex()),
        ):
            self._fact(self._say(label), value, size=8)

    def _fact(self, label: str, value: str, *, size: int = 10) -> None:
        self._font(size, colour=_SOFT)
        self._pdf.cell(_LABEL, 6, label)
        self._font(size)
        self._pdf.multi_cell(0, 6, value, new_x="LMARGIN", new_y="NEXT")

    def _font(self, size: int, *, bold: bool = False, colour: tuple[int, int, int] = _INK) -> None:
        self._pdf.set_font(self._family, style="B" if bold and self._has_bold else "", size=size)
        self._pdf.set_text_color(*colour)

    def _say(self, key: str, **filled: object) -> str:
        return say(key, self._language, **filled)


def _open(font: Path | None, number: Callable[[int, str], str]) -> FPDF:
    """An empty document whose pages are numbered in the words of `number`."""
    try:
        from fpdf import FPDF
    except ImportError as exc:
        raise ConfigurationError("a statement as PDF needs the extra: pip install 'imprimatur[statement]'") from exc

    class Numbered(FPDF):
        def footer(self) -> None:
            self.set_y(-_MARGIN + 4)
            self.set_font(_FAMILY if font else _BUILT_IN, size=8)
            self.set_text_color(*_SOFT)
            self.cell(0, 5, number(self.page_no(), "{nb}"), align="R")

    pdf = Numbered(format="A4")
    pdf.set_margins(_MARGIN, _MARGIN)
    pdf.set_auto_page_break(auto=True, margin=_MARGIN)
    if font:
        _require_font(font)
        pdf.add_font(_FAMILY, fname=font)
    pdf.add_page()
    return pdf


def _require_font(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as exc:
        raise InputError(f"no font can be read at {path}: {exc.strerror}") from exc
    if start not in _FONT_STARTS:
        raise InputError(f"no font can be read at {path}: it is neither TrueType nor OpenType")
