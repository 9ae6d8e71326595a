"""trainer.em.windows."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from tests.support.tiny_backbone import BEACH, FOX, make_training_set, tiny_backbone
from trainer.em.batches import Batch, draw_batch, shapes_of, watched
from trainer.em.config import CRFConfig, EMConfig, MStepConfig
from trainer.em.m_step import Ask, answer
from trainer.em.problem import Problem, prepare
from trainer.em.scene import layout_scene
from trainer.em.windows import KEPT, Windows, draw_windows, turns, window_shape


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def square(top: int, left: int, side: int) -> Tensor:
    mask = torch.zeros(16, 16)
    mask[top : top + side, left : left + side] = 1
    return mask


class TestWindowShape:
    def test_is_whole_multiples_of_what_the_network_halves(self) -> None:
        assert window_shape(16, 2, (0.625, 0.75)) == (10, 12)
        assert window_shape(64, 8, (0.625, 0.75)) == (40, 48)
        assert window_shape(64, 8, (0.6, 0.7)) == (40, 48)

    def test_the_whole_picture_is_whole_whatever_its_side(self) -> None:
        assert window_shape(17, 4, (1, 1)) == (17, 17)

    def test_is_never_empty(self) -> None:
        assert window_shape(8, 4, (0.1, 0.2)) == (4, 4)


class TestTurns:
    LYING, STANDING = (6, 12), (12, 6)

    def test_subjects_side_by_side_are_seen_lying(self) -> None:
        beside = torch.stack([square(6, 1, 4), square(6, 11, 4)])[None]
        assert turns(beside, [(0, 1)], [self.STANDING]) == turns(beside, [(0, 1)], [self.LYING]) == (self.LYING,)
        assert turns(beside, [(0, 1)], [(8, 8), self.LYING]) == (self.LYING,)
        assert turns(beside.transpose(2, 3), [(0, 1)], [self.LYING]) == (self.STANDING,)

    def test_what_fits_either_way_is_seen_by_turns(self) -> None:
        alone = square(6, 6, 4)[None, None]
        assert turns(alone, [(0,)], [self.LYING, (8, 8)]) == (self.LYING, self.STANDING, (8, 8))

    def test_only_what_is_watched_counts(self) -> None:
        beside = torch.stack([square(6, 1, 4), square(6, 11, 4)])[None]
        assert len(turns(beside, [(0,)], [self.LYING])) == 2


class TestDrawWindows:
    def test_a_subject_that_fits_is_mostly_in_it_wherever_it_is(self) -> None:
        masks = torch.stack([square(0, 0, 6), square(10, 10, 6), square(5, 3, 6)])[:, None]
        for seed in range(50):
            windows = draw_windows(masks, [(0,)] * 3, (8, 8), generator(seed))
            assert (windows.cut(masks).sum((1, 2, 3)) >= KEPT * 36).all()

    def test_every_place_that_keeps_enough_is_taken(self) -> None:
        masks = square(6, 6, 4)[None, None]
        drawn = Counter(
            tuple(draw_windows(masks, [(0,)], (8, 8), generator(n)).corners[0].tolist()) for n in range(900)
        )
        inside = torch.nn.functional.avg_pool2d(masks, 8, stride=1)[0, 0] * 64 / 16
        assert set(drawn) == {tuple(place) for place in (inside >= KEPT).nonzero().tolist()}

    def test_of_subjects_that_do_not_fit_together_each_keeps_what_it_can(self) -> None:
        masks = torch.stack([square(6, 0, 4), square(6, 12, 4)])[None]
        cut = draw_windows(masks, [(0, 1)], (8, 12), generator()).cut(masks).sum((2, 3))
        assert cut.tolist() == [[8, 8]]

    def test_only_what_is_watched_counts(self) -> None:
        masks = torch.stack([square(0, 0, 4), square(12, 12, 4)])[None]
        for seed in range(20):
            cut = draw_windows(masks, [(1,)], (8, 8), generator(seed)).cut(masks).sum((2, 3))
            assert cut[0, 1] >= KEPT * 16

    def test_a_mask_of_nothing_is_anywhere(self) -> None:
        corners = {
            tuple(draw_windows(torch.zeros(1, 1, 16, 16), [(0,)], (8, 8), generator(n)).corners[0].tolist())
            for n in range(600)
        }
        assert len(corners) > 75  # of 81


class TestWindows:
    def test_cuts_each_sample_at_its_own_place(self) -> None:
        fields = torch.arange(2 * 3 * 6 * 6).reshape(2, 3, 6, 6)
        windows = Windows(shape=(2, 3), corners=torch.tensor([[0, 1], [4, 3]]))
        cut = windows.cut(fields)
        assert torch.equal(cut[0], fields[0, :, 0:2, 1:4])
        assert torch.equal(cut[1], fields[1, :, 4:6, 3:6])

    def test_says_where_they_were(self) -> None:
        windows = Windows(shape=(2, 3), corners=torch.tensor([[0, 1], [4, 3]]))
        assert windows.places(6).tolist() == [[6, 6, 0, 1], [6, 6, 4, 3]]


def problem(family: str = "sd", **changes: object) -> Problem:
    m_step = MStepConfig(**{"steps": 2, "batch_size": 3, **changes})  # type: ignore[arg-type]
    config = EMConfig(crf=CRFConfig(grid=16), m_step=m_step)
    return prepare(tiny_backbone(family), make_training_set((FOX, BEACH)), config)


def batch(p: Problem, shape: tuple[int, int] | None) -> Batch:
    return draw_batch(p, torch.full((3, 2, 8, 8), 0.5), generator(), shape=shape)


class TestInBatches:
    @pytest.mark.parametrize("family", ["sd", "sdxl"])
    def test_latents_weights_and_masks_are_of_the_window(self, family: str) -> None:
        p = problem(family)
        multiple = p.backbone.latent_multiple
        drawn = batch(p, (multiple, 8))
        assert drawn.noisy.shape[2:] == drawn.target.shape[2:] == drawn.weights.shape[1:] == (multiple, 8)
        assert drawn.masks.shape[2:] == (multiple * p.layers.size // 8, p.layers.size)
        torch.testing.assert_close(drawn.weights.sum((1, 2)), torch.ones(3))

    def test_updates_take_turns_in_whole_multiples(self) -> None:
        p = problem(windows=((0.5, 1.0),))
        assert shapes_of(p, torch.full((3, 2, 8, 8), 0.5)) == ((4, 8), (8, 4))

    def test_subjects_are_watched_and_backgrounds_where_there_is_no_subject(self) -> None:
        scene = layout_scene(make_training_set((FOX, BEACH)))
        assert watched(scene, (1, 0)) == (0,)
        assert watched(scene, (1,)) == (1,)

    def test_sdxl_is_told_where_the_picture_was_cut(self) -> None:
        p = problem("sdxl")
        asked: list[Tensor] = []
        handle = p.backbone.unet.register_forward_pre_hook(
            lambda _unet, _inputs, options: asked.append(options["added_cond_kwargs"]["time_ids"]), with_kwargs=True
        )
        drawn = batch(p, (p.backbone.latent_multiple, 8))
        answer([Ask(problem=p, batch=drawn, rows={key: row.clone().requires_grad_() for key, row in p.origin.items()})])
        handle.remove()
        cell = p.backbone.cell
        whole, height = 8 * cell, p.backbone.latent_multiple * cell
        expected = [[whole, whole, int(top) * cell, 0, height, whole] for _, _, top, _ in drawn.places]
        assert asked[0].tolist() == expected
