"""trainer.em.loop: the alternation as a whole, on a network that knows nothing."""

import dataclasses
from pathlib import Path

import pytest
import torch

from sdk.errors import TrainingInputError
from tests.support.tiny_backbone import BEACH, FOX, make_picture, make_training_set, tiny_backbone
from tests.trainer.em.test_state import same_bits
from trainer.em import EMConfig, EMState, TrainingPhase, TrainingProgress, fit, load_state, save_state
from trainer.em.config import CRFConfig, EStepConfig, GuardConfig, MStepConfig, StopConfig
from trainer.em.e_step import harden
from trainer.em.loop import VECTOR_SPREAD, first_state, has_converged, learned_so_far, training_material
from trainer.em.problem import prepare
from trainer.em.state import RoundRecord

CONFIG = EMConfig(
    max_rounds=3,
    e_step=EStepConfig(timesteps=2, timestep_low=10, timestep_high=70),
    crf=CRFConfig(grid=16, iterations=2),
    m_step=MStepConfig(steps=5, batch_size=2),
    stop=StopConfig(min_rounds=3, evaluation_timesteps=2),
)


def without_times(state: EMState) -> EMState:
    records = tuple(dataclasses.replace(r, seconds_e_step=0.0, seconds_m_step=0.0) for r in state.records)
    return dataclasses.replace(state, records=records)


def record(round: int, loss: float, iou: float) -> RoundRecord:
    return RoundRecord(
        round=round,
        losses=(),
        evaluation_loss=loss,
        mask_iou=iou,
        verdicts=(),
        leakage=(),
        seconds_e_step=0,
        seconds_m_step=0,
    )


class Killed(Exception):
    """Stands for kill -9."""


class TestFit:
    @pytest.mark.parametrize("family", ["sd", "sd-v", "sdxl"])
    def test_learns_rows_and_masks_for_every_class_of_network(self, family: str) -> None:
        state = fit(tiny_backbone(family), make_training_set(), CONFIG)
        assert state.round == 3
        assert state.step == 15
        assert state.history.shape == (4, 3, 16, 16)
        assert [len(r.losses) for r in state.records] == [0, 5, 5, 5]
        assert set(state.rows) == ({"clip_l", "clip_g"} if family == "sdxl" else {"clip_l"})
        torch.testing.assert_close(state.posterior.sum(1), torch.ones(3, 16, 16))

    @pytest.mark.parametrize("rounds_before", [0, 1, 2])
    def test_a_killed_and_resumed_run_gives_the_same_bits(self, rounds_before: int, tmp_path: Path) -> None:
        backbone, pictures = tiny_backbone(), make_training_set()
        whole = fit(backbone, pictures, CONFIG)

        def die_in_the_middle(progress: TrainingProgress) -> None:
            if progress.phase is TrainingPhase.TOKENS and progress.round == rounds_before + 1:
                raise Killed

        with pytest.raises(Killed):
            fit(
                backbone,
                pictures,
                CONFIG,
                on_round=lambda state: save_state(state, tmp_path / "state"),
                on_progress=die_in_the_middle,
            )
        torch.manual_seed(123)  # the global generator must not matter
        saved = load_state(tmp_path / "state")
        assert saved.round == rounds_before
        assert same_bits(without_times(fit(backbone, pictures, CONFIG, saved)), without_times(whole))

    def test_the_seed_decides(self) -> None:
        one, two, other = (
            fit(tiny_backbone(), make_training_set(), dataclasses.replace(CONFIG, seed=seed, max_rounds=1))
            for seed in (1, 1, 2)
        )
        assert torch.equal(one.rows["clip_l"], two.rows["clip_l"])
        assert not torch.equal(one.rows["clip_l"], other.rows["clip_l"])

    @pytest.mark.parametrize("change", ["config", "pictures", "base", "concept"])
    def test_refuses_the_state_of_another_training(self, change: str) -> None:
        config = dataclasses.replace(CONFIG, max_rounds=1)
        state = fit(tiny_backbone(), make_training_set(), config)
        backbone, pictures = tiny_backbone(), make_training_set()
        if change == "config":
            config = dataclasses.replace(config, seed=5)
        elif change == "pictures":
            moved = [make_picture(f"p{n}", ["demo/fox", "demo/beach"], shift=4 * n + 1) for n in range(3)]
            pictures = make_training_set(pictures=moved)
        elif change == "base":
            backbone = tiny_backbone("sd-v")
        else:
            pictures = make_training_set((dataclasses.replace(FOX, class_word="dog"), BEACH))
        with pytest.raises(TrainingInputError, match="another base model"):
            fit(backbone, pictures, config, state)

    def test_a_finished_state_is_given_back(self) -> None:
        config = dataclasses.replace(CONFIG, max_rounds=1)
        state = fit(tiny_backbone(), make_training_set(), config)
        assert fit(tiny_backbone(), make_training_set(), config, state) is state

    def test_reports_progress_to_the_end(self) -> None:
        seen: list[TrainingProgress] = []
        fit(tiny_backbone(), make_training_set(), CONFIG, on_progress=seen.append)
        assert [p.phase for p in seen[:1]] == [TrainingPhase.PREPARE]
        assert seen[-1].phase is TrainingPhase.DONE
        assert (seen[-1].step, seen[-1].steps, seen[-1].rounds, seen[-1].eta_seconds) == (15, 15, 3, 0.0)
        tokens = [p for p in seen if p.phase is TrainingPhase.TOKENS]
        assert [p.step for p in tokens] == [5, 10, 15]
        assert all(p.loss is not None and p.eta_seconds is not None for p in tokens)

    def test_every_round_goes_on_from_the_last(self) -> None:
        states: list[EMState] = []
        backbone, pictures = tiny_backbone(), make_training_set()
        fit(backbone, pictures, CONFIG, on_round=states.append)
        assert [(state.round, state.step) for state in states] == [(0, 0), (1, 5), (2, 10), (3, 15)]
        for name in ("rows", "first_moments", "second_moments"):
            assert len({getattr(state, name)["clip_l"].numpy().tobytes() for state in states}) == 4
        assert len({state.generator.numpy().tobytes() for state in states}) == 4  # no two rounds draw alike
        assert all(torch.equal(state.said, states[0].said) for state in states)
        learned = learned_so_far(prepare(backbone, pictures, CONFIG), states[2])
        for part, kept in (
            (learned.rows, "rows"),
            (learned.first, "first_moments"),
            (learned.second, "second_moments"),
        ):
            assert torch.equal(part["clip_l"], getattr(states[2], kept)["clip_l"])

    def test_ends_when_it_has_converged(self) -> None:
        stop = StopConfig(min_rounds=1, patience=1, mask_iou=0.0, loss_gain=1.0, evaluation_timesteps=1)
        state = fit(tiny_backbone(), make_training_set(), dataclasses.replace(CONFIG, stop=stop))
        assert state.converged
        assert state.round == 2

    def test_what_the_class_words_said_is_heard_in_every_round(self) -> None:
        configs = [
            dataclasses.replace(CONFIG, max_rounds=1, e_step=dataclasses.replace(CONFIG.e_step, word_weight=weight))
            for weight in (0.0, 50.0)
        ]
        alone, beside = (fit(tiny_backbone(), make_training_set(), config) for config in configs)
        assert torch.equal(alone.said, beside.said)
        assert not torch.allclose(alone.posterior, beside.posterior, atol=1e-2)

    def test_every_round_says_how_much_attention_leaks(self) -> None:
        state = fit(tiny_backbone(), make_training_set(), dataclasses.replace(CONFIG, max_rounds=1))
        for each in state.records:
            torch.testing.assert_close(torch.tensor(each.leakage).sum(dim=1), torch.ones(2))

    def test_a_mask_the_user_gave_is_kept_to_the_end(self) -> None:
        mask = torch.zeros(32, 32, dtype=torch.bool)
        mask[:12, :12] = True
        picture = make_picture("p", ["demo/fox", "demo/beach"], masks={"demo/fox": mask})
        state = fit(tiny_backbone(), make_training_set(pictures=[picture]), dataclasses.replace(CONFIG, max_rounds=2))
        given = (state.history[:, 0] == 0).float()
        expected = torch.zeros(16, 16)
        expected[:6, :6] = 1
        assert torch.equal(given, expected.expand(3, 16, 16))

    def test_refused_masks_leave_the_old_ones(self) -> None:
        config = dataclasses.replace(CONFIG, guards=GuardConfig(warm_up=0, jump_iou=1.0))
        config = dataclasses.replace(config, m_step=dataclasses.replace(config.m_step, learning_rate=5.0))
        state = fit(tiny_backbone(), make_training_set(), config)
        refused = [v for r in state.records[1:] for v in r.verdicts if v.reason]
        assert refused
        assert all(torch.equal(masks, state.history[0]) for masks in state.history[1:])


class TestFirstState:
    def test_the_vectors_of_one_concept_start_apart(self) -> None:
        fox = dataclasses.replace(FOX, vectors=2)
        problem = prepare(tiny_backbone(), make_training_set((fox, BEACH)), CONFIG)
        one, other, beach = first_state(problem, "test").rows["clip_l"]
        assert torch.equal(one, problem.origin["clip_l"][0])
        assert float((one - other).norm() / one.norm()) == pytest.approx(VECTOR_SPREAD)
        assert torch.equal(beach, problem.origin["clip_l"][2])

    def test_first_masks_are_guarded(self) -> None:
        config = dataclasses.replace(CONFIG, guards=GuardConfig(min_area=0.6))  # one of two is always smaller
        state = first_state(prepare(tiny_backbone(), make_training_set(), config), "test")
        assert {verdict.reason for verdict in state.records[0].verdicts} >= {"collapse"}
        assert torch.equal(state.posterior, torch.full_like(state.posterior, 0.5))


class TestTrainingMaterial:
    def test_young_masks_stay_posteriors_and_older_ones_are_hard_with_rearranged_copies(self) -> None:
        problem = prepare(tiny_backbone(), make_training_set(), CONFIG)
        posterior = first_state(problem, "test").posterior
        young, old = (
            training_material(problem, posterior, torch.Generator().manual_seed(0), round=number) for number in (0, 1)
        )
        assert young == (problem, posterior)
        material, masks = old
        assert torch.equal(masks[:3], harden(posterior))
        assert material.observed.count == len(masks) == 3 * (1 + CONFIG.m_step.rearranged)


class TestHasConverged:
    START = record(0, 1.0, 0.0)

    def test_still_masks_and_no_progress_end_it(self) -> None:
        rounds = (self.START, record(1, 0.5, 0.5), record(2, 0.4, 0.98), record(3, 0.4, 0.99))
        assert has_converged(rounds, CONFIG)

    def test_moving_masks_do_not(self) -> None:
        rounds = (self.START, record(1, 0.5, 0.5), record(2, 0.4, 0.98), record(3, 0.4, 0.9))
        assert not has_converged(rounds, CONFIG)

    def test_a_falling_loss_does_not(self) -> None:
        rounds = (self.START, record(1, 0.5, 0.5), record(2, 0.4, 0.98), record(3, 0.35, 0.99))
        assert not has_converged(rounds, CONFIG)

    def test_too_few_rounds_do_not(self) -> None:
        assert not has_converged((self.START, record(1, 0.5, 1.0), record(2, 0.5, 1.0)), CONFIG)
