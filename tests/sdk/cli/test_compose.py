"""`imprimatur compose`: files, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.governed import record_id
from support.workshop import AS_OPTIONS, SCENE, Workshop

from sdk.cli.application import run
from sdk.credentials.read import verify_credentials
from sdk.spec.api import GenerationResult
from sdk.spec.digest import Digest
from sdk.spec.money import Money
from sdk.spec.statements import GenerationPredicate, parse_predicate, parse_statement


def fee_of(result: GenerationResult) -> Money | None:
    """What the application states that it charges."""
    parsed = parse_statement(result.statement.payload, result.statement.payload_type)
    return parse_predicate(parsed, GenerationPredicate).fee


class TestComposeCommand:
    def test_saves_the_recorded_files(self, app: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "new" / "folder"
        assert run(["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS, "--out", str(out)]) == 0
        saved = sorted(out.iterdir())
        assert [Digest.of(path.read_bytes()) for path in saved] == [i.digest for i in app.registry.results[0].images]
        assert verify_credentials(saved[0].read_bytes(), [app.authority]).use
        assert f"generation {record_id('gen')} is recorded" in capsys.readouterr().out

    def test_a_refusal_is_one_line(self, app: Workshop, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        options = [*AS_OPTIONS, "--territory", "US", "--out", str(tmp_path / "out")]
        assert run(["compose", "demo/fox", "--scene", SCENE, *options]) == 1
        out, err = capsys.readouterr()
        assert out.strip() == ""
        assert "compose is refused" in err
        assert err.count("\n") == 1
        assert list((tmp_path / "out").iterdir()) == []

    def test_several_seeds_and_a_mask(self, app: Workshop, tmp_path: Path) -> None:
        Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
        call = ["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS[:-2], "--out", str(tmp_path / "out")]
        place = ["--place", f"demo/fox={tmp_path / 'mask.png'}", "--scheduler", "dpm++"]
        assert run([*call, *place, "--seed", "3", "--seed", "8"]) == 0
        assert (app.registry.intents[0].count, app.registry.intents[0].seed) == (2, 3)

    def test_goes_under_the_key_that_it_is_given(self, app: Workshop, tmp_path: Path) -> None:
        call = ["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS, "--out", str(tmp_path / "out")]
        assert run([*call, "--idempotency-key", "spring-2027-poster-1"]) == 0
        assert app.registry.intents[0].idempotency_key == "spring-2027-poster-1"

    def test_states_the_fee(self, app: Workshop, tmp_path: Path) -> None:
        call = ["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS, "--out", str(tmp_path / "out")]
        assert run([*call, "--fee", "JPY 4000"]) == 0
        assert fee_of(app.registry.results[0]) == Money(currency="JPY", amount="4000")

    @pytest.mark.parametrize("fee", ["4000", "JPY", "", "JPY 4000 each", "yen 4000", "JPY much"])
    def test_a_fee_that_is_none_is_refused_before_anybody_is_asked(
        self, app: Workshop, tmp_path: Path, fee: str
    ) -> None:
        call = ["compose", "demo/fox", "--scene", SCENE, *AS_OPTIONS, "--out", str(tmp_path / "out")]
        assert run([*call, "--fee", fee]) == 1
        assert app.registry.asked == []

    def test_says_where_it_cannot_write(self, app: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        options = [*AS_OPTIONS, "--out", str(app.profile.path / "folder")]
        assert run(["compose", "demo/fox", "--scene", SCENE, *options]) == 1
        assert "cannot be written" in capsys.readouterr().err
