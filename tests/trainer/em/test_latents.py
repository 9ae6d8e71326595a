"""trainer.em.latents: what is encoded once and kept."""

import torch

from tests.support.tiny_backbone import BEACH, FOX, RESOLUTION, make_picture, make_training_set, tiny_backbone
from trainer.em.latents import encode_both_flips, observe, resize
from trainer.em.scene import layout_scene


class TestEncodeBothFlips:
    def test_the_second_is_the_picture_mirrored_and_then_encoded(self) -> None:
        backbone, pixels = tiny_backbone(), make_picture("p", [FOX.name]).pixels[None].float()
        mean, std = encode_both_flips(backbone, pixels)
        mirrored_mean, mirrored_std = backbone.encode_pictures(pixels.flip(-1) / 127.5 - 1)
        torch.testing.assert_close(mean[1], mirrored_mean)
        torch.testing.assert_close(std[1], mirrored_std)
        assert not torch.allclose(mean[0], mean[1])
        assert (std > 0).all()


class TestObserve:
    def test_masks_that_the_user_gave_come_to_the_grid_and_are_known_as_given(self) -> None:
        mask = torch.zeros(RESOLUTION, RESOLUTION, dtype=torch.bool)
        mask[:, : RESOLUTION // 2] = True
        names = [FOX.name, BEACH.name]
        pictures = [make_picture("a", names), make_picture("b", names, masks={BEACH.name: mask})]
        observed = observe(tiny_backbone(), layout_scene(make_training_set((FOX, BEACH), pictures=pictures)), 16)
        assert observed.is_given.tolist() == [[False, False], [False, True]]
        assert torch.equal(observed.given[1, 1], (torch.arange(16) < 8).float().expand(16, 16))
        assert observed.colours.shape == (2, 3, 16, 16)


class TestResize:
    def test_shrinking_keeps_the_mean(self) -> None:
        field = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(resize(field, 4).mean(dim=(2, 3)), field.mean(dim=(2, 3)))

    def test_the_same_size_is_left_alone(self) -> None:
        field = torch.rand(1, 1, 4, 4)
        assert resize(field, 4) is field
