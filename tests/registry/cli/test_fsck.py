"""`imprimatur log fsck` on a workspace: it reads, finds, and changes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from registry.cli import commands
from registry.cli.init import Plan, create_workspace
from registry.cli.serving import open_runtime, workspace_settings
from registry.cli.supervisor import database_alone
from registry.cli.workspace import Address, Workspace
from sdk.errors import VerificationError
from sdk.spec.ids import TenantName

RUNNER = CliRunner()


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with tempfile.TemporaryDirectory(prefix="imprimatur-", dir="/tmp") as name:
        Path(name).chmod(0o711)
        addresses = [Address(host="127.0.0.1", port=port) for port in (18730, 18731)]
        plan = Plan(tenant=TenantName("studio"), registry=addresses[0], trainer=addresses[1])
        yield create_workspace(Path(name) / "ws", plan)


class TestFsck:
    @pytest.mark.timeout(600)
    def test_of_a_new_workspace_finds_nothing_and_of_a_changed_one_names_it(self, workspace: Workspace) -> None:
        sound = RUNNER.invoke(commands, ["log", "fsck", str(workspace.root)])
        assert sound.exit_code == 0, sound.output
        assert "and everything that stands beside them, agree" in sound.output
        with database_alone(workspace), open_runtime(workspace_settings(workspace)) as runtime:
            with runtime.sessions.begin() as session:
                session.execute(text("UPDATE credentials SET roles = '{admin}' WHERE principal = 'studio/app'"))
        changed = RUNNER.invoke(commands, ["log", "fsck", str(workspace.root)])
        assert isinstance(changed.exception, VerificationError)
        assert "finding: credentials: one of studio/app was issued otherwise" in changed.output
