"""trainer.quality.sampling: pictures with learned rows, whatever the class of network."""

import pytest
import torch
from torch import Tensor

from tests.support.tiny_backbone import RESOLUTION, tiny_backbone
from trainer.em.prompts import Slot
from trainer.quality.sampling import sample_pictures

SLOTS = {"demo/fox": Slot(rows=(0, 1))}
HERE, THERE = "a photo of {demo/fox}", "a photo of {demo/fox} on a beach"


def sample(family: str, *prompts: str, seed: int = 3, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    towers = tiny_backbone(family).towers
    rows = {tower.key: scale * torch.randn(2, tower.width, generator=generator) for tower in towers}
    return sample_pictures(tiny_backbone(family), prompts, SLOTS, rows, seed=seed, steps=2)


class TestSamplePictures:
    @pytest.mark.parametrize("family", ["sd", "sd-v", "sdxl"])
    def test_one_for_each_prompt_and_the_network_is_as_before(self, family: str) -> None:
        backbone = tiny_backbone(family)
        before = {name: value.clone() for name, value in backbone.towers[0].encoder.state_dict().items()}
        pictures = sample(family, HERE, THERE)
        assert (pictures.shape, pictures.dtype) == ((2, 3, RESOLUTION, RESOLUTION), torch.uint8)
        assert all(torch.equal(v, before[name]) for name, v in backbone.towers[0].encoder.state_dict().items())

    def test_a_picture_depends_on_its_place_and_prompt_and_not_on_the_others(self) -> None:
        one, two, other = sample("sd", HERE, THERE), sample("sd", THERE, THERE), sample("sd", HERE, THERE, seed=4)
        assert torch.equal(one[1], two[1])
        assert not torch.equal(one[0], two[0])
        assert not torch.equal(one[1], other[1])
        alone = sample("sd", HERE)[0].int()
        assert int((alone - one[0].int()).abs().max()) <= 1  # rounding: a batch of another size adds up otherwise

    def test_what_was_learned_decides(self) -> None:
        assert not torch.equal(sample("sd", HERE), sample("sd", HERE, scale=5.0))
