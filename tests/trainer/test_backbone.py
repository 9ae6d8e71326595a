"""trainer.backbone: what the network is asked for, and given."""

import pytest
import torch

from tests.support.tiny_backbone import LATENT_SIZE, RESOLUTION, tiny_backbone


class TestTargets:
    def test_noise_is_the_target_of_epsilon_networks_and_velocity_of_others(self) -> None:
        latents, noise = torch.randn(2, 4, LATENT_SIZE, LATENT_SIZE), torch.randn(2, 4, LATENT_SIZE, LATENT_SIZE)
        timesteps = torch.tensor([10, 90])
        assert torch.equal(tiny_backbone("sd").target(latents, noise, timesteps), noise)
        kept = tiny_backbone("sd-v").noise_scheduler.alphas_cumprod[timesteps][:, None, None, None]
        velocity = kept.sqrt() * noise - (1 - kept).sqrt() * latents
        torch.testing.assert_close(tiny_backbone("sd-v").target(latents, noise, timesteps), velocity)

    def test_latents_are_scaled_by_the_configs_factor(self) -> None:
        backbone = tiny_backbone("sd")
        pixels = torch.rand(1, 3, RESOLUTION, RESOLUTION) * 2 - 1
        mean, std = backbone.encode_pictures(pixels)
        with torch.no_grad():
            raw = backbone.vae.encode(pixels).latent_dist
        torch.testing.assert_close(mean, raw.mean * backbone.vae.config.scaling_factor)
        torch.testing.assert_close(std, raw.std * backbone.vae.config.scaling_factor)

    def test_pixels_of_another_shape_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"pixels must be \[B, 3, H, W\], found \(3, 8, 8\)"):
            tiny_backbone("sd").encode_pictures(torch.zeros(3, 8, 8))
