"""trainer.run: what one training leaves behind, and that a killed process changes none of it."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.tiny_backbone import BEACH, FOX, make_backbone_dir, make_training_set

from trainer.em import EMConfig
from trainer.em.config import CRFConfig, EStepConfig, MStepConfig, StopConfig
from trainer.em.progress import TrainingPhase, TrainingProgress
from trainer.em.state import load_state
from trainer.loading import load_backbone
from trainer.run import STATE_FILE, run_training

ROOT = Path(__file__).resolve().parents[2]
CONFIG = EMConfig(
    max_rounds=2,
    e_step=EStepConfig(timesteps=2, timestep_low=10, timestep_high=70),
    crf=CRFConfig(grid=16, iterations=2),
    m_step=MStepConfig(steps=6, batch_size=2),
    stop=StopConfig(evaluation_timesteps=1),
)
TIMED = ("report.json", "report.html", STATE_FILE)  # hold seconds


def die_in_the_second_m_step(progress: TrainingProgress) -> None:
    if progress.round == 2 and progress.phase is TrainingPhase.TOKENS:
        os.kill(os.getpid(), signal.SIGKILL)


def train(base: Path, out: Path, on_progress=lambda progress: None) -> None:  # type: ignore[no-untyped-def]
    torch.set_num_threads(1)
    run_training(load_backbone(base), make_training_set((FOX, BEACH)), CONFIG, out, on_progress=on_progress)


def digests(out: Path) -> dict[str, str]:
    """Every file but those that hold seconds, by its path, with the digest of its bytes."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in TIMED)
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_backbone_dir(tmp_path_factory.mktemp("base"), "sd")


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an uninterrupted training leaves."""
    out = tmp_path_factory.mktemp("whole")
    train(base, out)
    return out


class TestRunTraining:
    def test_leaves_what_its_file_says(self, whole: Path) -> None:
        concepts, pictures = (FOX.name, BEACH.name), ("p0", "p1", "p2")
        assert set(digests(whole)) == {
            *(f"{concept}/learned_embeds.safetensors" for concept in concepts),
            *(f"masks/{concept}/{picture}.png" for concept in concepts for picture in pictures),
            *(f"samples/{concept}/{number}.png" for concept in concepts for number in range(4)),
            *(f"rounds/{picture}/{number}.png" for picture in pictures for number in range(3)),
        }
        assert all((whole / name).is_file() for name in TIMED)

    def test_a_process_killed_in_an_m_step_and_gone_on_from_leaves_the_same_bytes(
        self, base: Path, whole: Path, tmp_path: Path
    ) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
        killed = subprocess.run([sys.executable, __file__, base, tmp_path], env=environment, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]
        assert load_state(tmp_path / STATE_FILE).round == 1
        train(base, tmp_path)
        assert digests(tmp_path) == digests(whole)


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]), die_in_the_second_m_step)
