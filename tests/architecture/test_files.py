"""The shape of the tree: sizes, names, docstrings, and the file map of the README."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("sdk", "registry", "trainer", "benchmarks")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc"}
MAX_LINES = 400
TOP_LEVEL = {
    *("registry", "sdk", "trainer", "migrations", "policies", "tests", "pyproject.toml", "README.md"),
    *("docs", "benchmarks", "examples", "deploy", "LICENSE", "NOTICE", "CHANGELOG.md", "CONTRIBUTING.md"),
    *("Makefile", "constraints.txt", ".ci", ".gitignore"),
}
UNTRACKED = {".git", ".venv", "demo-workspace", "demo-out", "build", "dist", ".cache"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


class TestSourceFiles:
    @pytest.mark.parametrize("path", SOURCES, ids=relative)
    def test_opens_with_a_docstring(self, path: Path) -> None:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{relative(path)} does not say what lives in it"

    @pytest.mark.parametrize("path", SOURCES, ids=relative)
    def test_is_no_longer_than_a_reader_can_hold(self, path: Path) -> None:
        lines = len(path.read_text().splitlines())
        assert lines <= MAX_LINES, f"{relative(path)} has {lines} lines; cut it by journey"

    @pytest.mark.parametrize("path", SOURCES, ids=relative)
    def test_is_named_after_what_it_knows(self, path: Path) -> None:
        assert path.stem not in FORBIDDEN_NAMES
        assert not re.search(r"_(v\d+|old|legacy)$", path.stem)


class TestTopLevel:
    def test_holds_only_the_agreed_names(self) -> None:
        caches = {path.name for path in ROOT.iterdir() if path.name.endswith(("_cache", ".egg-info"))}
        present = {path.name for path in ROOT.iterdir()} - UNTRACKED - caches - {".hypothesis", "__pycache__"}
        assert present <= TOP_LEVEL, f"unexpected at top level: {sorted(present - TOP_LEVEL)}"


class TestFileMap:
    def test_readme_names_every_module_of_the_house(self) -> None:
        readme = (ROOT / "README.md").read_text()
        section = readme.split("## File map", 1)[1].split("\n## ", 1)[0]
        missing = [relative(path.parent) for path in SOURCES if f"`{relative(path.parent)}/`" not in section]
        assert not missing, f"the README's file map lacks {sorted(set(missing))}"

    def test_readme_names_no_folder_that_is_gone(self) -> None:
        readme = (ROOT / "README.md").read_text()
        section = readme.split("## File map", 1)[1].split("\n## ", 1)[0]
        named = re.findall(r"^\| `([a-z_/0-9-]+/)`", section, flags=re.MULTILINE)
        assert named
        assert [name for name in named if not (ROOT / name).is_dir()] == []


class TestDecisions:
    def test_each_has_a_number_of_its_own_and_says_it(self) -> None:
        records = sorted((ROOT / "docs" / "adr").glob("*.md"))
        numbers = [path.name[:4] for path in records]
        assert len(set(numbers)) == len(numbers), "two decisions have one number"
        assert [path.name for path in records if not path.read_text().startswith(f"# {path.name[:4]}. ")] == []
