"""The registry's routes as its vocabulary lists them: the indented lines of the docstrings under `sdk.spec`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

SPEC = Path(__file__).resolve().parents[2] / "sdk" / "spec"
OF_THE_TRAINER = {"training.py", "rendering.py"}


def registry_map() -> list[tuple[str, str]]:
    """`(method, path)` of every route, without its query."""
    docs = [ast.get_docstring(ast.parse(p.read_text()), clean=False) or "" for p in _files()]
    return [found for doc in docs for found in re.findall(r"^    ([A-Z]+) +(/[^ ?]*)", doc, re.MULTILINE)]


def _files() -> list[Path]:
    return [path for path in sorted(SPEC.glob("*.py")) if path.name not in OF_THE_TRAINER]
