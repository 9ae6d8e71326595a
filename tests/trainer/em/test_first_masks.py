"""trainer.em.first_masks."""

import dataclasses
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from sdk.spec.manifest import ConceptKind
from tests.support.tiny_backbone import BEACH, BIRD, FOX, make_picture, make_training_set, tiny_backbone
from trainer.em.config import CRFConfig, EMConfig
from trainer.em.first_masks import cluster_posterior, kmeans, needs_clusters
from trainer.em.latents import resize
from trainer.em.problem import first_masks, prepare
from trainer.em.scene import layout_scene

NAMELESS = dataclasses.replace(FOX, class_word="")


class TestNeedsClusters:
    def test_only_without_a_class_word(self) -> None:
        assert needs_clusters(layout_scene(make_training_set((NAMELESS, BEACH))))
        assert not needs_clusters(layout_scene(make_training_set((FOX, BEACH))))

    def test_a_background_needs_no_word(self) -> None:
        place = dataclasses.replace(BEACH, class_word="")
        assert not needs_clusters(layout_scene(make_training_set((FOX, place))))

    def test_a_style_needs_no_mask(self) -> None:
        style = dataclasses.replace(NAMELESS, name="demo/ink", kind=ConceptKind.STYLE)
        assert not needs_clusters(layout_scene(make_training_set((FOX, style))))


class TestClusterPosterior:
    def test_every_cell_is_shared_out(self) -> None:
        problem = prepare(tiny_backbone(), make_training_set((NAMELESS, BEACH)), EMConfig(crf=CRFConfig(grid=16)))
        posterior = first_masks(problem).posterior
        torch.testing.assert_close(posterior.sum(1), torch.ones(3, 16, 16))
        assert all(0 < float(posterior[n, 0].mean()) < 1 for n in range(3))

    def test_the_background_gets_the_border(self) -> None:
        config = EMConfig(crf=CRFConfig(grid=16))
        config = dataclasses.replace(config, e_step=dataclasses.replace(config.e_step, propagation_power=0))
        problem = prepare(tiny_backbone(), make_training_set((NAMELESS, BEACH)), config)
        posterior = first_masks(problem).posterior
        border = torch.ones(16, 16, dtype=torch.bool)
        border[1:-1, 1:-1] = False
        assert (posterior[:, 1][:, border] > 0.5).all()

    def test_cells_that_attend_to_the_same_places_of_the_clean_latent_belong_together(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        levels: list[tuple[int, int, int]] = []
        problem = prepare(tiny_backbone(), make_training_set((NAMELESS, BEACH)), EMConfig(crf=CRFConfig(grid=16)))
        inside = torch.zeros(8, 8)
        inside[3:5, 3:5] = 1  # nothing in the pictures is there
        groups = torch.stack([inside.flatten(), 1 - inside.flatten()])
        own = (groups.T @ (groups / groups.sum(dim=1, keepdim=True))).expand(3, -1, -1)

        def read(*arguments: Any, seed: int) -> tuple[Tensor, Tensor]:
            *_, config, layers = arguments
            assert layers == problem.layers.own
            levels.append((config.timesteps, config.timestep_low, config.timestep_high))
            return torch.zeros(3, 2, 8, 8), own

        monkeypatch.setattr("trainer.em.first_masks.attention_maps", read)
        monkeypatch.setattr("trainer.em.first_masks.refine", lambda _heard, prior, *_: prior)
        prior = cast(Tensor, first_masks(problem))
        assert levels == [(1, 1, 1)]
        assert torch.equal(resize(prior, 8)[:, 0] > 0.5, inside.bool().expand(3, 8, 8))

    def test_without_self_attention_colours_are_clustered(self) -> None:
        config = EMConfig(crf=CRFConfig(grid=16))
        config = dataclasses.replace(config, e_step=dataclasses.replace(config.e_step, propagation_power=0))
        problem = prepare(tiny_backbone(), make_training_set((NAMELESS, BEACH)), config)
        estimate = cluster_posterior(
            problem.backbone,
            problem.scene,
            problem.observed,
            problem.origin,
            problem.compiler,
            config.e_step,
            problem.votes,
            problem.crf,
            seed=0,
        )
        square = estimate.posterior[0, 0].argmax().item()
        assert 4 <= square // 16 < 10  # the orange square: rows 4 to 9, columns 3 to 8 of 16
        assert 3 <= square % 16 < 9
        assert estimate.posterior[0, 0, 6, 5] > 0.8
        assert estimate.posterior[0, 0, 13, 13] < 0.2

    def test_two_nameless_concepts_keep_their_colours_over_the_pictures(self) -> None:
        green = torch.tensor([20, 200, 40], dtype=torch.uint8)[:, None, None]
        pictures = []
        for index, shift in enumerate((0, 10)):
            picture = make_picture(f"p{index}", ["demo/fox", "demo/bird"], shift=shift)
            picture.pixels[:, 22:30, 4:16] = green
            pictures.append(picture)
        concepts = (NAMELESS, dataclasses.replace(BIRD, class_word=""))
        config = EMConfig(crf=CRFConfig(grid=16))
        config = dataclasses.replace(config, e_step=dataclasses.replace(config.e_step, propagation_power=0))
        problem = prepare(tiny_backbone(), make_training_set(concepts, pictures=pictures), config)
        winner = first_masks(problem).posterior.argmax(1)
        orange = [int(winner[0, 7, 5]), int(winner[1, 7, 10])]
        assert orange[0] == orange[1]


class TestKMeans:
    def test_finds_groups_that_are_apart(self) -> None:
        generator = torch.Generator().manual_seed(0)
        centres = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]).repeat_interleave(20, 0)
        found = kmeans(centres + 0.3 * torch.randn(60, 2, generator=generator), 3)
        assert [len(set(found[i : i + 20].tolist())) for i in (0, 20, 40)] == [1, 1, 1]
        assert len(set(found.tolist())) == 3

    def test_bears_identical_points(self) -> None:
        assert kmeans(torch.zeros(5, 2), 2).tolist() == [0] * 5
