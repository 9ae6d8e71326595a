"""Importing has no effects: no environment, no network, no directory, no torch where torch has no business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

IMPORT_EVERYTHING = """
import importlib, pkgutil, socket, sys
sys.path.insert(0, {root!r})

def refuse(*args, **kwargs):
    raise AssertionError("an import opened a connection")

socket.socket.connect = refuse
for package in ("sdk", "registry", "trainer"):
    for module in pkgutil.walk_packages([{root!r} + "/" + package], package + "."):
        if not module.name.startswith("trainer.mini.") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""

IMPORT_SDK = """
import sys
sys.path.insert(0, {root!r})
import sdk
from sdk import Client, errors
heavy = {{"torch", "diffusers", "transformers", "sqlalchemy", "fastapi"}} & set(sys.modules)
assert not heavy, heavy
"""


def run_python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-W", "error::ResourceWarning", "-c", code.format(root=str(ROOT))]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={"HOME": str(folder)}, timeout=280)


class TestImports:
    def test_every_module_imports_with_no_environment_and_leaves_nothing_behind(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)
        done = run_python(IMPORT_EVERYTHING, tmp_path)
        assert done.returncode == 0, done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_sdk_imports_without_torch_or_server_packages(self, tmp_path: Path) -> None:
        done = run_python(IMPORT_SDK, tmp_path)
        assert done.returncode == 0, done.stderr
