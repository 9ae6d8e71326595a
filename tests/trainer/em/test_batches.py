"""trainer.em.batches."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import torch

from tests.support.tiny_backbone import BEACH, BIRD, FOX, make_picture, make_training_set, tiny_backbone
from trainer.em.batches import (
    Sample,
    draw_batch,
    draw_latents,
    draw_samples,
    draw_subset,
    draw_timesteps,
    sample_weights,
)
from trainer.em.config import CRFConfig, EMConfig, MStepConfig
from trainer.em.e_step import harden
from trainer.em.problem import Problem, prepare
from trainer.em.scene import layout_scene


def problem(config: MStepConfig) -> Problem:
    whole = EMConfig(crf=CRFConfig(grid=16), m_step=config)
    return prepare(tiny_backbone("sd"), make_training_set((FOX, BEACH)), whole)


class TestDrawBatch:
    def test_a_mirrored_sample_has_the_mirrored_picture_and_masks(self) -> None:
        p = problem(MStepConfig(flip_chance=1.0, subset_chance=0.0, batch_size=3))
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
        observed = problem(MStepConfig()).observed
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
