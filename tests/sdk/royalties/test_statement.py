"""The statement says what the account says, to people (PDF) and to spreadsheets (CSV), and how to check it."""

from __future__ import annotations

import csv
import io
import re
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fontTools.fontBuilder import FontBuilder
from support.governed import FOX, licence_grant, use_terms
from support.ledgers import LedgerWorld, ledger_file

from sdk.errors import InputError, VerificationError
from sdk.royalties.ledger import VerifiedLedger, verify_ledger
from sdk.royalties.statement import Statement, encode_csv, statement_of
from sdk.royalties.statement_pdf import encode_pdf
from sdk.royalties.statement_words import WORDS, StatementLanguage
from sdk.spec.money import Money
from sdk.spec.royalty import RoyaltyPeriod, RoyaltyTerms

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
UNTIL, NOW = datetime(2026, 3, 11, tzinfo=UTC), datetime(2026, 3, 12, 9, tzinfo=UTC)
OWED = RoyaltyTerms(
    currency="EUR", per_image="0.125", percent_of_fee="7.5", minimum_guarantee="10.00", period=RoyaltyPeriod.MONTH
)


def ledger(rights_holder: str = "Foxglove Pictures Ltd", **page: Any) -> VerifiedLedger:
    """January: 4 images for 200 euro; nothing in February; March, not over: 2 images for no fee, and one open use of 8."""
    grant = licence_grant(
        FOX, terms=use_terms(valid_from=START, valid_until=END), royalty=OWED, rights_holder=rights_holder
    )
    world = LedgerWorld(licences={"fox": grant}, versions={"demo/fox@1": ("fox",)})
    world.use("demo/fox@1", images=4, at=datetime(2026, 1, 20, tzinfo=UTC), fee=Money(currency="EUR", amount="200"))
    world.use("demo/fox@1", images=2, at=datetime(2026, 3, 2, tzinfo=UTC))
    world.use("demo/fox@1", images=None, count=8, at=datetime(2026, 3, 3, tzinfo=UTC))
    members = {"licence": world.licences["fox"].id, "since": START, "until": UNTIL} | page
    return verify_ledger(ledger_file([world.page(**members)]), world.trust)


@pytest.fixture
def statement() -> Statement:
    return statement_of(ledger(), None, now=NOW)


def texts(pdf: bytes) -> str:
    """What is printed with the built-in fonts, in order."""
    streams = re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)
    pages = b"\n".join(zlib.decompress(part) for part in streams if part[:1] == b"x")
    shown = re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj|\[(.*?)\] TJ", pages, re.DOTALL)
    lines = [plain or b"".join(re.findall(rb"\(((?:[^()\\]|\\.)*)\)", spaced)) for plain, spaced in shown]
    return "\n".join(re.sub(rb"\\(.)", rb"\1", line).decode("latin-1") for line in lines)


class TestCsv:
    def test_has_a_row_for_each_line_period_and_the_total(self, statement: Statement) -> None:
        rows = list(csv.DictReader(io.StringIO(encode_csv(statement).decode())))
        told = [(row["row"], row["starts"][:7], row["images"], row["earned"], row["due"], row["whole"]) for row in rows]
        assert told == [
            ("line", "2026-01", "4", "15.500", "", ""),
            ("period", "2026-01", "4", "15.500", "15.50", "yes"),
            ("period", "2026-02", "0", "0", "10.00", "yes"),
            ("line", "2026-03", "2", "0.250", "", ""),
            ("period", "2026-03", "2", "0.250", "0.25", "no"),
            ("total", "", "6", "", "25.75", ""),
        ]
        assert {row["ledger"] for row in rows} == {str(statement.ledger)}
        assert (rows[0]["versions"], rows[0]["fees_stated"], rows[0]["rate_per_image"]) == (
            "demo/fox@1",
            "200",
            "0.125",
        )

    @pytest.mark.parametrize("name", ["=HYPERLINK(A1)", "+1", "@x", "-1"])
    def test_says_nothing_that_a_spreadsheet_would_run(self, name: str) -> None:
        written = encode_csv(statement_of(ledger(name), None, now=NOW)).decode()
        assert {row["rights_holder"] for row in csv.DictReader(io.StringIO(written))} == {f"'{name}"}


class TestPdf:
    def test_says_who_is_paid_what_for_which_use_and_how_to_check_it(self, statement: Statement) -> None:
        said = " ".join(texts(encode_pdf(statement)).split())
        missing = [
            text
            for text in (
                "Foxglove Pictures Ltd",
                "Total due: EUR 25.75",
                "2026-01-01 to 2026-03-10 (UTC)",
                "EUR 0.125 per image; 7.5 % of the fee stated; at least EUR 10.00 per month",
                "2026-02-01 to 2026-02-28, no use",
                "2026-03-01 to 2026-03-31 (in part)",
                "15.500",
                "For 1 uses no fee was stated in EUR",
                "1 further generations (8 images granted) have no recorded result",
                "imprimatur royalties compute LEDGER",
                str(statement.ledger),
                statement.log_root.hex(),
                "Page 1 of 1",
            )
            if text not in said
        ]
        assert missing == [], said

    def test_of_one_statement_is_one_file(self, statement: Statement) -> None:
        assert encode_pdf(statement) == encode_pdf(statement)

    def test_in_other_letters_needs_a_font_and_says_so(self, statement: Statement, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="needs a font; give one that has it with --font"):
            encode_pdf(statement, language=StatementLanguage.JAPANESE)
        with pytest.raises(InputError, match="no font can be read"):
            encode_pdf(statement, font=tmp_path / "none.ttf")
        (tmp_path / "text.ttf").write_text("no font")
        with pytest.raises(InputError, match="no font can be read"):
            encode_pdf(statement, font=tmp_path / "text.ttf")

    def test_in_japanese_embeds_the_font(self, tmp_path: Path) -> None:
        holder = "狐塚スタジオ株式会社"
        font = make_font(tmp_path / "font.ttf", holder + "".join(japanese for _, japanese in WORDS.values()))
        made = statement_of(ledger(holder), None, now=NOW)
        pdf = encode_pdf(made, language=StatementLanguage.JAPANESE, font=font)
        assert b"/FontFile2" in pdf
        assert b"/Lang (ja)" in pdf


class TestStatement:
    def test_is_made_from_no_ledger_with_a_fault(self) -> None:
        broken = ledger(until=datetime(2026, 3, 1, tzinfo=UTC))
        assert broken.faults
        with pytest.raises(VerificationError, match="do not hold"):
            statement_of(broken, None, now=NOW)

    def test_is_about_a_licence_of_the_ledger(self) -> None:
        whole = ledger(licence=None)
        (licence,) = whole.licences
        with pytest.raises(InputError, match=f"this ledger has: {licence}"):
            statement_of(whole, None, now=NOW)
        assert statement_of(whole, licence, now=NOW).account.due == "25.75"

    def test_names_the_payee_of_the_terms(self, statement: Statement) -> None:
        assert statement.payee == "Foxglove Pictures Ltd"

    @pytest.mark.parametrize("key", WORDS)
    def test_says_the_same_in_both_languages(self, key: str) -> None:
        english, japanese = (sorted(re.findall(r"{(\w+)}", text)) for text in WORDS[key])
        assert english == japanese
        assert f"period.{RoyaltyPeriod.TERM.value}" in WORDS


def make_font(path: Path, letters: str) -> Path:
    """A font with an empty glyph for each of these letters, and for ASCII."""
    letters = "".join(sorted(set(letters) | {chr(code) for code in range(32, 127)}))
    names = {ord(letter): f"uni{ord(letter):04X}" for letter in letters}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    builder.setupGlyf({name: _empty_glyph() for name in (".notdef", *names.values())})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", *names.values()), (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Empty", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    return path


def _empty_glyph() -> Any:
    from fontTools.ttLib.tables._g_l_y_f import Glyph

    return Glyph()
