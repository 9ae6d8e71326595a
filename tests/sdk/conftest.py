"""A workshop to compose in, over a tiny base model that all tests of the SDK share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_backbone import make_backbone_dir
from support.workshop import Workshop, make_workshop


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone_dir(tmp_path_factory.mktemp("base") / "sd", "sd")


@pytest.fixture
def workshop(tmp_path: Path, base: Path) -> Workshop:
    return make_workshop(tmp_path, base=base)
