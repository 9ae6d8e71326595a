"""trainer.em.together."""

import dataclasses

import pytest
import torch
from torch import Tensor

from tests.support.tiny_backbone import BEACH, BIRD, FOX, RESOLUTION, make_picture, make_training_set, tiny_backbone
from trainer.data import TrainingSet
from trainer.em.config import CRFConfig, EMConfig, MStepConfig
from trainer.em.loop import alternate
from trainer.em.m_step import answer
from trainer.em.progress import TrainingPhase, TrainingProgress
from trainer.em.state import EMState
from trainer.em.together import Training, fit_together

CONFIG = EMConfig(max_rounds=2, crf=CRFConfig(grid=16), m_step=MStepConfig(steps=3, batch_size=2, windows=((1, 1),)))
LONGER = dataclasses.replace(CONFIG, seed=3, max_rounds=3)


def trainings() -> list[Training]:
    return [
        Training(pictures=make_training_set((FOX, BEACH)), config=CONFIG),
        Training(pictures=make_training_set((BIRD,)), config=LONGER),
    ]


class TestFitTogether:
    @pytest.mark.parametrize("family", ["sd", "sdxl"])
    def test_each_gets_the_gradients_that_it_would_get_alone(self, family: str) -> None:
        asks = [
            next(asking) for asking in (alternate(tiny_backbone(family), t.pictures, t.config) for t in trainings())
        ]
        for ask, shared in zip(asks, answer(asks), strict=True):
            (alone,) = answer([ask])
            torch.testing.assert_close(shared.loss, alone.loss)
            for key, gradient in alone.gradients.items():
                torch.testing.assert_close(shared.gradients[key], gradient, rtol=1e-3, atol=1e-4 * gradient.abs().max())

    def test_all_come_to_their_ends(self) -> None:
        states = fit_together(tiny_backbone(), trainings())
        assert [isinstance(state, EMState) and state.round for state in states] == [2, 3]

    def test_shares_every_pass_while_both_learn(self) -> None:
        backbone = tiny_backbone()
        sizes: list[int] = []
        handle = backbone.unet.register_forward_hook(
            lambda _module, inputs, _output: sizes.append(len(inputs[0])) if torch.is_grad_enabled() else None
        )
        fit_together(backbone, trainings())
        handle.remove()
        assert sizes == [4] * 6 + [2] * 3

    def test_one_that_fails_ends_alone(self) -> None:
        class Cancelled(Exception):
            pass

        def cancel(progress: TrainingProgress) -> None:
            if progress.phase is TrainingPhase.MASKS:
                raise Cancelled

        first, second = trainings()
        ended, state = fit_together(tiny_backbone(), [dataclasses.replace(first, on_progress=cancel), second])
        assert isinstance(ended, Cancelled)
        assert isinstance(state, EMState)
        assert state.round == LONGER.max_rounds

    def test_pictures_of_another_size_run_beside_in_passes_of_their_own(self) -> None:
        first, second = trainings()
        wide = [make_picture(f"{number}", [BIRD.name], pixels=large_pixels()) for number in range(2)]
        pictures = TrainingSet(pictures=tuple(wide), concepts=(BIRD,), resolution=2 * RESOLUTION, warnings=())
        states = fit_together(tiny_backbone(), [first, dataclasses.replace(second, pictures=pictures)])
        assert [type(state) for state in states] == [EMState, EMState]

    def test_windows_of_another_shape_run_in_passes_of_their_own(self) -> None:
        backbone, seen = tiny_backbone(), list[tuple[int, ...]]()
        handle = backbone.unet.register_forward_hook(
            lambda _module, inputs, _output: seen.append(inputs[0].shape) if torch.is_grad_enabled() else None
        )
        windows = MStepConfig(steps=3, batch_size=2, windows=((0.5, 1),))
        fit_together(
            backbone,
            [dataclasses.replace(t, config=dataclasses.replace(t.config, m_step=windows)) for t in trainings()],
        )
        handle.remove()
        assert {tuple(shape[2:]) for shape in seen} <= {(4, 8), (8, 4)}
        assert sum(shape[0] for shape in seen) == 2 * 3 * (CONFIG.max_rounds + LONGER.max_rounds)


def large_pixels() -> Tensor:
    return torch.arange(3 * (2 * RESOLUTION) ** 2).remainder(251).to(torch.uint8).view(3, 2 * RESOLUTION, -1)
