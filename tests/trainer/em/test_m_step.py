"""trainer.em.m_step."""

import dataclasses
from collections import Counter

import pytest
import torch
from torch import Tensor

from sdk.errors import TrainingInputError
from tests.support.tiny_backbone import BEACH, BIRD, FOX, make_picture, make_training_set, tiny_backbone
from trainer.data import TrainingSet
from trainer.em.config import CRFConfig, EMConfig, MStepConfig
from trainer.em.e_step import harden
from trainer.em.m_step import (
    Learned,
    Sample,
    adam,
    answered,
    clip_scale,
    draw_batch,
    draw_latents,
    draw_samples,
    draw_subset,
    draw_timesteps,
    evaluation_loss,
    m_step,
    sample_weights,
)
from trainer.em.problem import Problem, prepare
from trainer.em.scene import layout_scene

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


class TestDrawBatch:
    def test_a_mirrored_sample_has_the_mirrored_picture_and_masks(self) -> None:
        p = problem(flip_chance=1.0, subset_chance=0.0, batch_size=3)
        p = dataclasses.replace(
            p, observed=dataclasses.replace(p.observed, std=torch.zeros_like(p.observed.std))
        )  # so that a latent is its mean
        masks = torch.rand(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
        batch = draw_batch(p, masks, torch.Generator().manual_seed(0))
        kept = p.backbone.noise_scheduler.alphas_cumprod[batch.timesteps][:, None, None, None]
        latents = (batch.noisy - (1 - kept).sqrt() * batch.target) / kept.sqrt()  # the target is the noise
        for latent, mask in zip(latents, batch.masks, strict=True):
            (shown,) = (n for n in range(3) if torch.equal(mask, masks[n].flip(-1)))
            torch.testing.assert_close(latent, p.observed.mean[1, shown], atol=1e-2, rtol=1e-2)

    def test_latents_are_samples_of_their_posterior(self) -> None:
        observed = problem().observed
        zeros = torch.zeros(4000, dtype=torch.long)
        drawn = draw_latents(observed, zeros, zeros, torch.Generator().manual_seed(0))
        torch.testing.assert_close(drawn.mean(dim=0), observed.mean[0, 0], atol=0.1, rtol=0.1)
        torch.testing.assert_close(drawn.std(dim=0), observed.std[0, 0], atol=0.1, rtol=0.1)


class TestDrawSamples:
    def test_union_sampling_shows_every_subset(self) -> None:
        scene = layout_scene(make_training_set((FOX, BIRD, BEACH)))
        generator = torch.Generator().manual_seed(0)
        counts = Counter(draw_subset(scene, (0, 1, 2), generator) for _ in range(600))
        assert set(counts) == {(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)}
        by_size = Counter(len(subset) for subset in counts.elements())
        assert all(150 < by_size[size] < 250 for size in (1, 2, 3))

    def test_never_shows_an_unnamed_background_alone(self) -> None:
        scene = layout_scene(make_training_set((FOX,)))
        generator = torch.Generator().manual_seed(0)
        subsets = {draw_subset(scene, (0, 1), generator) for _ in range(200)}
        assert subsets == {(0,), (0, 1)}

    def test_subset_chance_zero_always_shows_everything(self) -> None:
        scene = layout_scene(make_training_set((FOX, BEACH)))
        config = MStepConfig(subset_chance=0.0, batch_size=50)
        assert {s.labels for s in draw_samples(scene, config, torch.Generator().manual_seed(0))} == {(0, 1), (1, 0)}

    def test_subset_chance_one_shows_some_alone(self) -> None:
        scene = layout_scene(make_training_set((FOX, BEACH)))
        config = MStepConfig(subset_chance=1.0, batch_size=50)
        assert {s.labels for s in draw_samples(scene, config, torch.Generator().manual_seed(0))} >= {(0,), (1,)}

    def test_every_template_is_used(self) -> None:
        scene, config = layout_scene(make_training_set((FOX, BEACH))), MStepConfig(batch_size=50)
        samples = draw_samples(scene, config, torch.Generator().manual_seed(0))
        assert {s.template for s in samples} == set(config.templates)

    def test_pictures_come_evenly(self) -> None:
        scene = layout_scene(make_training_set((FOX, BEACH)))
        samples = draw_samples(scene, MStepConfig(batch_size=9), torch.Generator().manual_seed(0))
        assert Counter(s.picture for s in samples) == {0: 3, 1: 3, 2: 3}

    def test_flips_as_often_as_asked(self) -> None:
        scene = layout_scene(make_training_set((FOX, BEACH)))
        config = MStepConfig(batch_size=400, flip_chance=0.25)
        flips = [s.flip for s in draw_samples(scene, config, torch.Generator().manual_seed(0))]
        assert 0.18 < sum(flips) / 400 < 0.32


class TestSampleWeights:
    def test_covers_the_union_of_the_masks_shown(self) -> None:
        scene = layout_scene(make_training_set((FOX, BIRD, BEACH)))
        masks = harden(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
        sample = Sample(picture=0, flip=False, labels=(0, 2), template="{}")
        weights = sample_weights(scene, [sample], masks, 0.1)
        union = masks[0, 0] + masks[0, 2]
        assert torch.equal(weights[0] > 0, union > 0)
        assert float((weights[0] * masks[0, 0]).sum()) == pytest.approx(0.5)

    def test_an_unnamed_background_weighs_less(self) -> None:
        scene = layout_scene(make_training_set((FOX,)))
        masks = harden(torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(0)))
        sample = Sample(picture=0, flip=False, labels=(0, 1), template="{}")
        weights = sample_weights(scene, [sample], masks, 0.1)
        assert float((weights[0] * masks[0, 1]).sum()) == pytest.approx(0.1 / 1.1)

    def test_a_style_is_everywhere(self) -> None:
        style = dataclasses.replace(FOX, name="demo/ink", kind=type(FOX.kind).STYLE)
        scene = layout_scene(make_training_set((style,), pictures=[make_picture("a", ["demo/ink"])]))
        sample = Sample(picture=0, flip=False, labels=(0,), template="{}")
        weights = sample_weights(scene, [sample], torch.ones(1, 1, 8, 8), 0.1)
        torch.testing.assert_close(weights, torch.full((1, 8, 8), 1 / 64))


class TestDrawTimesteps:
    def test_takes_one_from_each_stratum(self) -> None:
        levels = draw_timesteps(1000, 4, MStepConfig(), torch.Generator().manual_seed(0))
        assert sorted(int(level) // 250 for level in levels) == [0, 1, 2, 3]

    def test_stays_within_the_fractions_asked_for(self) -> None:
        config = MStepConfig(timestep_low=0.2, timestep_high=0.4)
        levels = draw_timesteps(1000, 200, config, torch.Generator().manual_seed(0))
        assert int(levels.min()) >= 200
        assert int(levels.max()) < 400


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
