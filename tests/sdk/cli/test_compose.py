"""`imprimatur compose`: files, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.governed import record_id
from support.workshop import AS_OPTIONS, SCENE, Workshop

from sdk.cli.application import run
from sdk.credentials.read import verify_credentials
from sdk.spec.digest import Digest


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

    def test_says_where_it_cannot_write(self, app: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
        options = [*AS_OPTIONS, "--out", str(app.profile.path / "folder")]
        assert run(["compose", "demo/fox", "--scene", SCENE, *options]) == 1
        assert "cannot be written" in capsys.readouterr().err
