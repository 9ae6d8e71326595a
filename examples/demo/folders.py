"""The demo's two folders, made anew at each run. Only what an earlier run made is removed, never anything else."""

import shutil
from pathlib import Path

from examples.demo.stage import DemoFailed

WORKSPACE_MARK = "imprimatur.toml"  # what makes a folder a workspace
OUT_MARK = ".imprimatur-demo"


def remove_former(folder: Path, mark: str) -> None:
    """Remove `folder` if it holds `mark` or nothing at all.

    Raises:
        DemoFailed: it holds something else; nothing was touched.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / mark).exists():
        raise DemoFailed(f"{folder} holds no {mark}, so no demo made it; name another folder, or empty this one")
    if folder.is_dir():
        shutil.rmtree(folder)
    elif folder.exists():
        raise DemoFailed(f"{folder} is a file; name another folder")


def make_out(folder: Path) -> None:
    """Make the folder of pages and pictures, marked as the demo's."""
    folder.mkdir(parents=True)
    (folder / OUT_MARK).write_text("Made by the demo, which removes this folder when it runs again.\n")
