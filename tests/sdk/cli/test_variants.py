"""`imprimatur variants`: a folder of rows, refusals among them; and the canvas options that it shares with `compose`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.workshop import AS_OPTIONS, SCENE, Workshop

from sdk.cli.application import run
from sdk.cli.canvas import parse_boxes, parse_places, parse_size
from sdk.errors import InputError
from sdk.spec.money import Money
from sdk.spec.statements import GenerationPredicate, parse_predicate, parse_statement

CALL = (
    *("variants", "--subject", "demo/fox", "--scene", "a photo of {subject}", "--territory", "JP", "--territory", "US"),
    *("--purpose", "advertising", "--channel", "web", "--steps", "2"),
)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "variants.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_composes_what_may_be_and_says_why_the_rest_may_not(
    app: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "spring"
    assert run([*CALL, "--out", str(out)]) == 0
    assert [(row["territory"], row["outcome"]) for row in table(out)] == [("JP", "composed"), ("US", "refused")]
    assert len(list(out.glob("*.png"))) == 1
    assert "1 of 2 rows composed, 1 refused" in capsys.readouterr().out


def test_states_the_fee_of_each_row(app: Workshop, tmp_path: Path) -> None:
    assert run([*CALL, "--out", str(tmp_path / "spring"), "--fee", "JPY 4000"]) == 0
    (result,) = app.registry.results
    parsed = parse_statement(result.statement.payload, result.statement.payload_type)
    assert parse_predicate(parsed, GenerationPredicate).fee == Money(currency="JPY", amount="4000")


def test_goes_on_where_it_stopped(app: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "spring"
    assert run([*CALL, "--out", str(out), "--limit", "1"]) == 0
    assert len(table(out)) == 1
    assert run([*CALL, "--out", str(out)]) == 0
    assert len(table(out)) == 2
    assert len(app.registry.results) == 1


def test_a_place_and_a_size_reach_the_compose_call(
    app: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS, "--out", str(tmp_path / "out")]
    assert run([*call, "--place", "demo/cat=0,0,1,1"]) == 1
    assert "'demo/cat', which is none of the concepts given" in capsys.readouterr().err
    assert run([*call, "--size", "33x33"]) == 1
    assert "multiples of 8" in capsys.readouterr().err
    assert run([*call, "--place", "demo/fox=0,0.3,0.5,1", "--size", "64x32"]) == 0


def test_sizes_are_read() -> None:
    assert parse_size("512x768") == (512, 768)
    assert parse_size(None) is None
    with pytest.raises(InputError, match="such as 512x768"):
        parse_size("512")


def test_places_are_read() -> None:
    assert parse_places(["demo/fox=0,0.3,0.5,1"]) == {"demo/fox": (0.0, 0.3, 0.5, 1.0)}
    assert parse_places(None) is None
    assert parse_places(["demo/fox=left.png"]) == {"demo/fox": Path("left.png")}
    with pytest.raises(InputError, match="rows of a campaign have boxes"):
        parse_boxes(["demo/fox=left.png"])
    with pytest.raises(InputError, match="NAME=LEFT,TOP,RIGHT,BOTTOM"):
        parse_places(["demo/fox"])
    with pytest.raises(InputError, match="has two places"):
        parse_places(["demo/fox=0,0,1,1", "demo/fox=0,0,1,1"])
