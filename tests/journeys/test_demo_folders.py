"""The demo's folders: an earlier run's are removed, anything else is left as it is."""

from pathlib import Path

import pytest

from examples.demo.folders import OUT_MARK, WORKSPACE_MARK, make_out, remove_former
from examples.demo.stage import DemoFailed


def test_what_the_demo_made_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_out(out)
    (out / "index.html").write_text("page")
    remove_former(out, OUT_MARK)
    assert not out.exists()


def test_a_folder_of_something_else_stays(tmp_path: Path) -> None:
    own = tmp_path / "holiday"
    own.mkdir()
    (own / "beach.jpg").write_bytes(b"sea")
    with pytest.raises(DemoFailed, match=r"holiday holds no imprimatur\.toml"):
        remove_former(own, WORKSPACE_MARK)
    assert (own / "beach.jpg").read_bytes() == b"sea"


def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("notes")
    with pytest.raises(DemoFailed, match="is a file"):
        remove_former(path, OUT_MARK)
    assert path.read_text() == "notes"


def test_nothing_or_an_empty_folder_is_no_hindrance(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    remove_former(empty, OUT_MARK)
    remove_former(tmp_path / "none", OUT_MARK)
    assert not empty.exists()
