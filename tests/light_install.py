"""Install without extras into a fresh environment, then prove that the SDK works there and torch is absent.

Run by `make light-install`; exits non-zero with one line that says what is wrong.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PROBE = """
import importlib.util, sys
import sdk
for name in sdk.__all__:
    getattr(sdk, name)
heavy = {"torch", "diffusers", "transformers", "numpy", "sqlalchemy", "fastapi"}
loaded = heavy & set(sys.modules)
assert not loaded, f"import sdk loads {sorted(loaded)}"
present = sorted(name for name in heavy - {"numpy"} if importlib.util.find_spec(name))
assert not present, f"an install without extras brings {present}"
"""


def run(*command: str) -> None:
    """Run a command quietly; leave with its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir())
    if done.returncode:
        sys.exit(f"light install: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="imprimatur-light-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, "-c", str(ROOT / "constraints.txt"), str(ROOT))
        run(python, "-W", "error", "-c", PROBE)
        run(str(Path(folder) / "bin" / "imprimatur"), "--help")
    print("light install: the SDK imports and its command runs without torch or a server")


if __name__ == "__main__":
    main()
