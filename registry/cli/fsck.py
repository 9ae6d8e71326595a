"""What `imprimatur log fsck` does: a workspace's database, blobs and vault are checked, whether it is up or not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from registry.cli.postgres import running
from registry.cli.serving import open_runtime, workspace_settings
from registry.cli.supervisor import database_alone
from registry.cli.workspace import Workspace
from registry.fsck.check import FsckReport, check
from registry.settings import read_settings


def fsck_workspace(workspace: Workspace, say: Callable[[str], None]) -> FsckReport:
    """Check everything in one snapshot of the database, read-only."""
    own = read_settings(workspace.settings, {}).database_url
    up = bool(own) or running(workspace.database) is not None
    with nullcontext() if up else database_alone(workspace), open_runtime(workspace_settings(workspace)) as runtime:
        with runtime.sessions() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            return check(session, runtime, say)
