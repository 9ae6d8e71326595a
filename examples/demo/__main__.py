"""The demo's run: every step in order; exit status 0 only if each did what it should."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from examples.demo import steps
from examples.demo.page import write_gallery
from examples.demo.stage import DemoFailed, Stage
from examples.demo.story import EXAMPLES, load_story
from sdk.errors import ImprimaturError


def main() -> int:
    """Run the demo; return the exit status."""
    arguments = _arguments()
    console = Console()
    demo = steps.Demo(
        workspace=arguments.workspace.absolute(),
        out=arguments.out.absolute(),
        base_model=arguments.base_model,
        story=load_story(),
        stage=Stage(console),
    )
    for folder in (demo.workspace, demo.out):
        shutil.rmtree(folder, ignore_errors=True)
    demo.out.mkdir(parents=True)
    try:
        perform(demo)
    except (DemoFailed, ImprimaturError) as exc:
        console.print(f"[bold red]The demo failed:[/bold red] {exc}")
        return 1
    finally:
        subprocess.run([str(steps.COMMAND), "down", str(demo.workspace)], capture_output=True, check=False)
    summarise(demo, console)
    return 0


def perform(demo: steps.Demo) -> None:
    """Every step, in order."""
    stage = demo.stage
    with stage.step("Make a workspace: database, log, trust root, keys"):
        steps.make_workspace(demo)
    with stage.step("Start registry and trainer"):
        steps.start_services(demo)
    with stage.step("Record consent and licence"):
        steps.record_terms(demo)
    with stage.step("Train both concepts together, and submit them"):
        steps.train(demo, EXAMPLES / "concepts.yaml")
    with stage.step("Try to compose before anybody approved"):
        steps.compose_too_early(demo)
    with stage.step("Approve: the trainer may not, the reviewer does"):
        steps.approve(demo)
    with stage.step("Compose: together, and each alone in new scenes"):
        steps.compose(demo)
    with stage.step("Audit: who generated what; verify the log from outside"):
        steps.audit(demo)
    with stage.step("Revoke the subject"):
        steps.revoke(demo)


def summarise(demo: steps.Demo, console: Console) -> None:
    """Write the page, and say where it is and how long everything took."""
    page = write_gallery(demo)
    for step in demo.stage.finished:
        console.print(f"{step.number:3d}. {step.title}: {step.seconds:.1f} s")
    images = sum(len(composition.images) for composition in demo.compositions.values())
    console.print(
        f"{images} images, {len(demo.accounts)} generations on record, {len(demo.refusals)} refusals as expected"
    )
    console.print(f"[bold]Look at {page}[/bold]")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument(
        "--workspace", type=Path, default=Path("demo-workspace"), help="made anew; removed if it exists"
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where index.html and the pictures go")
    parser.add_argument(
        "--base-model", type=Path, help="a local diffusers directory; the shipped base model when left out"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
