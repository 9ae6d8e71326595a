"""trainer.em.m_step."""

import dataclasses

import pytest
import torch
from torch import Tensor

from sdk.errors import TrainingInputError
from tests.support.tiny_backbone import BEACH, FOX, make_training_set, tiny_backbone
from trainer.data import TrainingSet
from trainer.em.config import CRFConfig, EMConfig, MStepConfig
from trainer.em.m_step import Learned, adam, answered, clip_scale, evaluation_loss, m_step
from trainer.em.problem import Problem, prepare

STEPS = 6


def problem(family: str = "sd", training_set: TrainingSet | None = None, **changes: object) -> Problem:
    m_config = MStepConfig(**{"steps": STEPS, "batch_size": 2, **changes})  # type: ignore[arg-type]
    config = EMConfig(crf=CRFConfig(grid=16), m_step=m_config)
    return prepare(tiny_backbone(family), training_set or make_training_set((FOX, BEACH)), config)


def even_masks(p: Problem) -> Tensor:
    presence = p.scene.presence[:, :, None, None].float()
    return (presence / presence.sum(1, keepdim=True)).expand(-1, -1, 16, 16)


def run(p: Problem, *, seed: int = 0) -> tuple[Learned, Tensor]:
    zeros = {key: torch.zeros_like(value) for key, value in p.origin.items()}
    learned = Learned(rows=dict(p.origin), first=zeros, second=dict(zeros))
    generator = torch.Generator().manual_seed(seed)
    return answered(m_step(p, even_masks(p), learned, generator, first_step=0, on_step=lambda step, loss: None))


class TestMStep:
    @pytest.mark.parametrize("family", ["sd", "sd-v", "sdxl"])
    def test_only_the_concepts_rows_are_learned(self, family: str) -> None:
        p = problem(family)
        modules = [p.backbone.unet, p.backbone.vae, *(tower.encoder for tower in p.backbone.towers)]
        before = [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]
        learned, losses = run(p)
        assert losses.shape == (STEPS,)
        for key, rows in learned.rows.items():
            assert rows.shape == p.origin[key].shape == (2, p.origin[key].shape[1])
            assert ((rows - p.origin[key]).abs().sum(1) > 0).all()
        for module, old in zip(modules, before, strict=True):
            assert all(torch.equal(value, old[name]) for name, value in module.state_dict().items())
            assert all(parameter.grad is None for parameter in module.parameters())

    def test_betters_the_evaluation_loss(self) -> None:
        p = problem(steps=40, batch_size=4, learning_rate=0.05)
        masks = even_masks(p)
        assert evaluation_loss(p, masks, run(p)[0].rows) < evaluation_loss(p, masks, p.origin)

    def test_velocity_networks_are_asked_for_velocity(self) -> None:
        backbone, latents = tiny_backbone("sd-v"), torch.randn(1, 4, 8, 8)
        noise, t = torch.randn_like(latents), torch.tensor([50])
        kept = backbone.noise_scheduler.alphas_cumprod[50]
        expected = kept.sqrt() * noise - (1 - kept).sqrt() * latents
        torch.testing.assert_close(backbone.target(latents, noise, t), expected)
        assert torch.equal(tiny_backbone("sd").target(latents, noise, t), noise)

    def test_the_attention_term_matters(self) -> None:
        with_term, without = (run(problem(attention_weight=weight))[0].rows["clip_l"] for weight in (5.0, 0.0))
        assert not torch.allclose(with_term, without)

    def test_an_anchor_keeps_tokens_near_their_class_word(self) -> None:
        distances = []
        for weight in (0.0, 100.0):
            p = problem(anchor_weight=weight, steps=20, learning_rate=0.05)
            distances.append(float((run(p)[0].rows["clip_l"] - p.origin["clip_l"]).norm()))
        assert distances[1] < 0.5 * distances[0]

    def test_the_mean_of_the_last_updates_is_learned(self) -> None:
        fifth, sixth, mean = (
            run(problem(steps=steps, averaged=averaged, final_rate=1.0))[0].rows["clip_l"]
            for steps, averaged in ((5, 1), (6, 1), (6, 2))
        )
        assert not torch.allclose(fifth, sixth)
        torch.testing.assert_close(mean, (fifth + sixth) / 2)

    def test_a_gradient_counts_only_as_far_as_the_clip_lets_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trainer.em.m_step.clip_scale", lambda _gradients, _limit: torch.tensor(0.0))
        p = problem(steps=2)
        assert torch.equal(run(p)[0].rows["clip_l"], p.origin["clip_l"])

    def test_the_rate_falls_to_its_final_share_in_the_last_update_of_the_last_round(self) -> None:
        p = problem(steps=2, averaged=1, final_rate=0.0, learning_rate=0.02)
        p = dataclasses.replace(p, config=dataclasses.replace(p.config, max_rounds=1))
        moved = (run(p)[0].rows["clip_l"] - p.origin["clip_l"]).abs()
        assert float(moved.max()) == pytest.approx(0.02, rel=1e-2)  # Adam's first update, and nothing after it

    def test_the_evaluation_batch_is_always_the_same(self) -> None:
        p = problem()
        losses = {evaluation_loss(p, even_masks(p), p.origin) for _ in range(2)}
        assert len(losses) == 1

    def test_one_that_diverges_says_what_to_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("trainer.em.m_step.clip_scale", lambda _gradients, _limit: torch.tensor(float("nan")))
        with pytest.raises(TrainingInputError, match=r"diverged: after 2 steps .* give m_step.learning_rate a smaller"):
            run(problem(steps=2))

    def test_equal_generators_give_equal_bits(self) -> None:
        one, two = (run(problem(), seed=3)[0].rows["clip_l"] for _ in range(2))
        assert torch.equal(one, two)


class TestAdam:
    def test_is_the_optimizer_of_torch(self) -> None:
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(3, 5, generator=generator)
        theirs = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.99))
        mine, first, second = start.clone(), torch.zeros(3, 5), torch.zeros(3, 5)
        for step in range(1, 6):
            gradient = torch.randn(3, 5, generator=generator)
            theirs.grad = gradient.clone()
            optimizer.step()
            update, first, second = adam(gradient, first, second, step, (0.9, 0.99))
            mine -= 0.1 * update
        torch.testing.assert_close(mine, theirs.detach())

    def test_clips_the_joint_norm(self) -> None:
        gradients = {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}
        assert float(clip_scale(gradients, 1.0)) == pytest.approx(0.2)
        assert float(clip_scale(gradients, 10.0)) == 1.0
