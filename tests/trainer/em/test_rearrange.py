"""trainer.em.rearrange: cut-and-paste under our own masks."""

import dataclasses

import torch
from torch import Tensor

from tests.support.tiny_backbone import BEACH, FOX, RESOLUTION, make_training_set, tiny_backbone
from trainer.em.latents import observe
from trainer.em.rearrange import cut_sources, fill, moved, rearrange, with_rearranged
from trainer.em.scene import Scene, layout_scene

GRID = 16
ORANGE = torch.tensor([220.0, 90.0, 30.0])[:, None, None]
BLUE = torch.tensor([40.0, 80.0, 160.0])[:, None, None]


def scene() -> Scene:
    return layout_scene(make_training_set((FOX, BEACH)))


def pixels_of(laid_out: Scene) -> Tensor:
    return torch.stack([picture.pixels for picture in laid_out.pictures]).float()


def owners_of(pixels: Tensor) -> Tensor:
    """Exact masks [N, 2, S, S] of the orange square and of all else."""
    square = (pixels == ORANGE).all(dim=1).float()
    return torch.stack([square, 1 - square], dim=1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestRearrange:
    def test_the_mask_covers_the_subject_at_its_new_place(self) -> None:
        laid_out = scene()
        pixels = pixels_of(laid_out)
        for seed in range(10):
            made, shown = rearrange(laid_out, pixels, owners_of(pixels), 0, seeded(seed))
            subject = shown[0] > 0
            assert subject.any()
            assert (made[:, subject] - ORANGE[:, 0]).abs().mean() < 12  # its rim is blended

    def test_the_subject_moves(self) -> None:
        laid_out = scene()
        pixels = pixels_of(laid_out)
        owners = owners_of(pixels)
        places = {
            tuple(rearrange(laid_out, pixels, owners, 0, seeded(s))[1][0].nonzero()[0].tolist()) for s in range(8)
        }
        assert len(places) > 4

    def test_what_fills_the_hole_belongs_to_nobody(self) -> None:
        laid_out = scene()
        pixels = pixels_of(laid_out)
        owners = owners_of(pixels)
        made, shown = rearrange(laid_out, pixels, owners, 0, seeded())
        hole = (owners[0, 0] > 0) & (shown[0] == 0)
        assert hole.any()
        assert (shown[:, hole] == 0).all()
        assert (made[:, hole] - BLUE[:, 0]).abs().mean() < 12

    def test_masks_of_two_labels_never_overlap(self) -> None:
        laid_out = scene()
        pixels = pixels_of(laid_out)
        for seed in range(5):
            _, shown = rearrange(laid_out, pixels, owners_of(pixels), 1, seeded(seed))
            assert (shown.sum(dim=0) <= 1).all()


class TestWithRearranged:
    def test_copies_stand_behind_the_pictures_and_show_the_same_labels(self) -> None:
        backbone, laid_out = tiny_backbone(), scene()
        observed = observe(backbone, laid_out, GRID)
        masks = owners_of(pixels_of(laid_out))[:, :, :: RESOLUTION // GRID, :: RESOLUTION // GRID]
        more, latents, wider = with_rearranged(backbone, laid_out, observed, masks, 2, seeded())
        assert len(more.pictures) == latents.count == len(wider) == len(more.unnamed) == 9
        assert torch.equal(more.presence, laid_out.presence.repeat(3, 1))
        assert torch.equal(wider[:3], masks)
        assert torch.equal(latents.mean[:, :3], observed.mean)
        assert not torch.equal(latents.mean[:, 3:6], observed.mean)

    def test_a_picture_of_which_no_mask_says_anything_stays_as_it_is(self) -> None:
        laid_out = scene()
        pixels = pixels_of(laid_out)
        owners = owners_of(pixels)
        owners[0] = 0
        picture, shown = rearrange(laid_out, pixels, owners, 0, seeded())
        assert torch.equal(picture, pixels[0])
        assert not shown.any()

    def test_none_leaves_all_as_it_was(self) -> None:
        backbone, laid_out = tiny_backbone(), scene()
        observed, masks = observe(backbone, laid_out, GRID), torch.zeros(3, 2, GRID, GRID)
        assert with_rearranged(backbone, laid_out, observed, masks, 0, seeded()) == (laid_out, observed, masks)

    def test_a_place_alone_cannot_be_rearranged(self) -> None:
        pictures = [dataclasses.replace(p, concepts=(BEACH.name,)) for p in make_training_set((FOX, BEACH)).pictures]
        backbone, laid_out = tiny_backbone(), layout_scene(make_training_set((BEACH,), pictures=pictures))
        observed, masks = observe(backbone, laid_out, GRID), torch.ones(3, 1, GRID, GRID)
        assert with_rearranged(backbone, laid_out, observed, masks, 1, seeded()) == (laid_out, observed, masks)


class TestCutSources:
    def test_an_empty_mask_is_no_source(self) -> None:
        masks = torch.zeros(2, 10, 10)
        masks[1, 3:7, 3:7] = 1
        assert cut_sources(masks) == [1]

    def test_what_the_border_cuts_is_taken_only_if_there_is_no_other(self) -> None:
        masks = torch.zeros(2, 10, 10)
        masks[0, :4, 3:7] = 1
        assert cut_sources(masks[:1]) == [0]
        masks[1, 3:7, 3:7] = 1
        assert cut_sources(masks) == [1]


class TestMoved:
    def test_what_is_moved_stays_inside_whole(self) -> None:
        mask = torch.zeros(32, 32)
        mask[10:20, 4:16] = 1
        for seed in range(20):
            _, out = moved(torch.zeros(3, 32, 32), mask, seeded(seed))
            assert 0.4 * mask.sum() < out.sum() < 1.9 * mask.sum()

    def test_a_mask_that_fills_the_picture_is_shrunk(self) -> None:
        _, out = moved(torch.zeros(3, 32, 32), torch.ones(32, 32), seeded())
        assert 0 < out.sum() < 32 * 32


class TestFill:
    def test_a_hole_takes_the_colour_around_it(self) -> None:
        picture, known = BLUE.expand(3, 33, 33).clone(), torch.ones(33, 33)
        known[8:25, 8:25] = 0
        picture[:, 8:25, 8:25] = 255
        assert (fill(picture, known) - BLUE).abs().max() < 1

    def test_what_is_known_is_kept(self) -> None:
        picture, known = torch.rand(3, 16, 16), (torch.rand(16, 16) > 0.5).float()
        assert torch.equal(fill(picture, known)[:, known > 0], picture[:, known > 0])
