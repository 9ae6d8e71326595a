"""The demo's run: every step in order; exit status 0 only if each did what it should."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from examples.demo import opening, steps
from examples.demo.demo import Demo
from examples.demo.folders import OUT_MARK, WORKSPACE_MARK, make_out, remove_former
from examples.demo.page import TRAINING_FOLDER, write_page
from examples.demo.stage import DemoFailed, Stage
from examples.demo.story import EXAMPLES, load_story
from examples.demo.studio import WorkspaceStudio
from sdk.errors import ImprimaturError


def main() -> int:
    """Run the demo; return the exit status."""
    for library in ("TRANSFORMERS", "DIFFUSERS"):  # they speak of optional parts, between the demo's own lines
        os.environ.setdefault(f"{library}_VERBOSITY", "error")
    arguments = _arguments()
    workspace, out = arguments.workspace.absolute(), arguments.out.absolute()
    console = Console()
    demo = Demo(
        studio=WorkspaceStudio(workspace),
        story=load_story(),
        stage=Stage(console),
        training_files=out / TRAINING_FOLDER,
    )
    try:
        demo.studio.command("down", str(workspace))  # what an interrupted run may have left
        remove_former(workspace, WORKSPACE_MARK)
        remove_former(out, OUT_MARK)
        make_out(out)
        perform(demo, workspace, arguments.base_model)
    except (DemoFailed, ImprimaturError) as exc:
        console.print("[bold red]The demo failed:[/bold red]", end=" ")
        demo.stage.say(str(exc))
        return 1
    finally:
        demo.studio.command("down", str(workspace))
    summarise(demo, write_page(demo, out), console)
    return 0


def perform(demo: Demo, workspace: Path, base_model: Path | None) -> None:
    """Every step, in order."""
    stage = demo.stage
    with stage.step("Make a workspace: database, log, trust root, keys"):
        opening.make_workspace(demo, workspace, base_model)
    with stage.step("Start registry and trainer"):
        opening.start_services(demo, workspace)
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
    with stage.step("Find the contracts of copies that lost their credentials"):
        steps.find_copies(demo)
    with stage.step("Revoke the subject"):
        steps.revoke(demo)


def summarise(demo: Demo, page: Path, console: Console) -> None:
    """Say how long everything took, what came of it, and where to look."""
    console.rule("[bold]Done", align="left")
    for step in demo.stage.finished:
        console.print(f"{step.number:3d}. {step.title:<60}{step.seconds:7.1f} s", highlight=False)
    console.print(f"{'':5}{'together':<60}{demo.stage.seconds:7.1f} s\n", highlight=False)
    images = sum(len(made.composition.images) for made in demo.composed)
    console.print(f"{images} images, each with Content Credentials that a C2PA reader trusts", highlight=False)
    console.print(f"{len(demo.accounts)} generations and {demo.log_size} log entries, verified", highlight=False)
    console.print(f"{len(demo.refusals)} refusals, each for the reason it should have\n", highlight=False)
    console.print("[bold]Look at[/bold]", end=" ")
    demo.stage.say(str(page))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument(
        "--workspace",
        type=Path,
        default=Path("demo-workspace"),
        help="made anew; one that an earlier demo made is removed",
    )
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="where index.html and the pictures go")
    parser.add_argument(
        "--base-model", type=Path, help="a local diffusers directory; the shipped base model when left out"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
