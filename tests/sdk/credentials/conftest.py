"""A certificate authority for the tests of one file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sdk.credentials.authority import create_authority


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "content-credentials"
    create_authority(folder, organization="Demo Studio", now=datetime.now(UTC))
    return folder


@pytest.fixture(scope="module")
def authority(folder: Path) -> str:
    return (folder / "ca.pem").read_text()
