"""trainer.renderer: where a rendering worker draws."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_backbone import make_backbone_dir

from sdk.errors import ConfigurationError
from sdk.generate.pipeline import LoadedPipeline
from trainer import renderer
from trainer.app import make_runtime
from trainer.settings import TrainerSettings


def run(folder: Path, device: str) -> None:
    base = make_backbone_dir(folder / "base", "sd")
    settings = TrainerSettings(directory=folder, database_url="postgresql://x/y", base_model=base, device=device)
    renderer.run(make_runtime(settings))


class TestRun:
    def test_draws_on_the_device_that_the_settings_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded: list[LoadedPipeline] = []
        monkeypatch.setattr(renderer, "renderer_profile", lambda settings: None)
        monkeypatch.setattr(renderer, "draw_with", loaded.append)
        monkeypatch.setattr(renderer, "serve_renders", lambda *_, **__: None)
        run(tmp_path, "meta")  # a device that every machine has and nobody else asks for
        assert {part.device.type for part in (loaded[0].pipeline.unet, loaded[0].pipeline.vae)} == {"meta"}

    def test_refuses_a_device_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigurationError, match=r"\[trainer\] device 'gpu' is none; write 'auto', 'cpu' or 'cuda'"
        ):
            run(tmp_path, "gpu")
