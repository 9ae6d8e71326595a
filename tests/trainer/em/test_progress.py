"""trainer.em.progress: what a training tells, and that one which diverges ends before anybody is told a loss that is none."""

from __future__ import annotations

import pytest
import torch

from sdk.errors import TrainingInputError
from tests.support.tiny_backbone import make_training_set, tiny_backbone
from trainer.em import EMConfig, TrainingProgress, fit
from trainer.em.config import CRFConfig, EStepConfig, MStepConfig
from trainer.em.progress import REPORT_EVERY, ProgressReporter

CONFIG = EMConfig(
    e_step=EStepConfig(timesteps=1, timestep_low=10, timestep_high=70),
    crf=CRFConfig(grid=8),
    m_step=MStepConfig(steps=4 * REPORT_EVERY, batch_size=1),
)


class TestProgressReporter:
    def test_tells_the_loss_of_every_few_updates(self) -> None:
        heard: list[TrainingProgress] = []
        report = ProgressReporter(CONFIG, heard.append, done=0)
        for step in range(1, 2 * REPORT_EVERY + 1):
            report.on_step(step, torch.tensor(float(step)))
        assert [(told.step, told.loss) for told in heard] == [(n, float(n)) for n in (REPORT_EVERY, 2 * REPORT_EVERY)]

    @pytest.mark.parametrize("loss", ["nan", "inf", "-inf"])
    def test_a_loss_that_is_no_number_ends_the_training_untold(self, loss: str) -> None:
        heard: list[TrainingProgress] = []
        report = ProgressReporter(CONFIG, heard.append, done=0)
        with pytest.raises(TrainingInputError, match=r"diverged: after 5 steps .* give m_step.learning_rate a smaller"):
            report.on_step(REPORT_EVERY, torch.tensor(float(loss)))
        assert heard == []


def test_a_training_that_diverges_ends_at_its_next_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.em.m_step.clip_scale", lambda _gradients, _limit: torch.tensor(float("nan")))
    with pytest.raises(TrainingInputError, match=f"diverged: after {REPORT_EVERY} steps"):
        fit(tiny_backbone(), make_training_set(), CONFIG)
