"""The first two steps, which make the place that the others happen in: a workspace, and its services."""

from __future__ import annotations

from pathlib import Path

from examples.demo.demo import Demo
from examples.demo.stage import require


def make_workspace(demo: Demo, workspace: Path, base_model: Path | None) -> None:
    base = ("--base-model", str(base_model)) if base_model else ()
    demo.must("init", str(workspace), "--tenant", demo.story.subject.id.tenant, *base)
    again = demo.run("init", str(workspace))
    require(again.returncode != 0, "a second init should refuse to touch a workspace that exists")
    demo.refused("init again where a workspace is", again.stderr)
    keys = [path for path in (workspace / "keys").rglob("*.pem") if path.parent.name == "keys" or "key" in path.name]
    require(
        bool(keys) and all(path.stat().st_mode & 0o077 == 0 for path in keys),
        "private keys should be readable by their owner only",
    )


def start_services(demo: Demo, workspace: Path) -> None:
    demo.must("up", str(workspace), "--detach")
    with demo.studio.client("trainer") as client:
        require(client.health().status == client.trainer_health().status == "ok", "both services should be healthy")
