"""An application in which torch cannot be imported composes through a rendering worker: three real processes and a queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from support.database import DatabaseServer
from support.renders import RenderHouse, make_render_house, write_renderer_profile

import sdk
from sdk.credentials.read import verify_credentials
from sdk.generate.pipeline import load_pipeline

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 240.0  # seconds; a worker that loads torch on a busy machine takes most of it

APPLICATION = """
import json, sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "diffusers", "transformers", "safetensors"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, NoTorch())
import sdk
result = sdk.compose({"hero": "demo/fox"}, "a photo of {hero}", purpose="advertising", territory="JP", channel="web",
                     count=2, seed=7, steps=2, run="service")
result.images[0].save(sys.argv[1])
print(json.dumps({"generation": result.generation_id, "images": [str(image.digest) for image in result.images]}))
assert "torch" not in sys.modules
"""


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a port of this machine, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.timeout(600)
def test_an_application_without_torch_gets_the_pixels_that_torch_would_draw(
    postgres_server: DatabaseServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        url = stack.enter_context(postgres_server.fresh_database())
        house = stack.enter_context(make_render_house(url, tmp_path))
        registry = stack.enter_context(served(house.studio.registry.app))
        trainer = stack.enter_context(served(house.app))
        stack.enter_context(worker(house, url, registry))
        profile = write_application_profile(house, registry, trainer)
        done = run_application(profile, tmp_path / "fox.png")
        assert done.returncode == 0, done.stderr + (tmp_path / "worker.log").read_text()
        answer = json.loads(done.stdout)
        saved = (tmp_path / "fox.png").read_bytes()
        credentials = verify_credentials(saved, [house.studio.authority])
        assert credentials.use
        assert credentials.use.generation == answer["generation"]
        with house.studio.client("app") as client:
            view = client.get_generation(answer["generation"])
            assert [str(image.digest) for image in view.images] == answer["images"]
            local = sdk.compose(
                {"hero": "demo/fox"}, "a photo of {hero}", purpose="advertising", territory="JP", channel="web", count=2,
                seed=7, steps=2, run="local", profile=house.studio.profile("app"), client=client,
            )  # fmt: skip
        assert load_pipeline(house.studio.base_model)
        assert local.images[0].image.tobytes() == sdk.ComposedImage(png=saved).image.tobytes()


@contextmanager
def worker(house: RenderHouse, url: str, registry: str) -> Iterator[None]:
    """A rendering worker, as `imprimatur trainer renderer` starts it."""
    folder, port = house.studio.folder, registry.rpartition(":")[2]
    (folder / "imprimatur.toml").write_text(
        f'[registry]\nport = {port}\n[trainer]\nbase_model = "{house.studio.base_model}"\npoll_seconds = 0.2\n'
    )
    write_renderer_profile(house.studio, registry=registry)
    command = [sys.executable, "-c", "from sdk.cli import main; main()", "trainer", "renderer", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=DEADLINE)


def write_application_profile(house: RenderHouse, registry: str, trainer: str) -> Path:
    """The profile of an application that has no base model."""
    house.studio.profile("app")
    lines = (house.studio.folder / "app.toml").read_text().splitlines()
    kept = [line for line in lines if line.split(" = ")[0] not in ("base_model", "registry", "trainer")]
    path = house.studio.folder / "torchless.toml"
    path.write_text("\n".join([*kept, f'registry = "{registry}"', f'trainer = "{trainer}"']) + "\n")
    path.chmod(0o600)
    return path


def run_application(profile: Path, out: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IMPRIMATUR_PROFILE": str(profile)}
    return subprocess.run(
        [sys.executable, "-c", APPLICATION, str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
