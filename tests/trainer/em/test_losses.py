"""trainer.em.losses."""

import math

import pytest
import torch

from trainer.em.losses import MIN_AREA, anchor_loss, area_normalised_weights, attention_loss, masked_diffusion_loss


def split_masks(columns: int, *, side: int = 8) -> torch.Tensor:
    """Two labels [1, 2, 8, 8]: the first has the first `columns` columns."""
    first = torch.zeros(side, side)
    first[:, :columns] = 1
    return torch.stack([first, 1 - first])[None]


class TestAreaNormalisation:
    @pytest.mark.parametrize("columns", [1, 4, 7])
    def test_a_label_weighs_its_share_whatever_its_area(self, columns: int) -> None:
        masks = split_masks(columns)
        weights = area_normalised_weights(masks, torch.tensor([[1.0, 1.0]]))
        assert float((weights * masks[:, 0]).sum()) == pytest.approx(0.5)

    def test_shares_are_kept(self) -> None:
        masks = split_masks(2)
        weights = area_normalised_weights(masks, torch.tensor([[1.0, 0.1]]))
        assert float((weights * masks[:, 1]).sum()) == pytest.approx(0.1 / 1.1)

    def test_a_small_concept_is_heard_as_loud_as_a_large_one(self) -> None:
        error = torch.ones(1, 4, 8, 8)
        losses = [
            masked_diffusion_loss(
                error, torch.zeros_like(error), area_normalised_weights(split_masks(c), torch.tensor([[1.0, 0.0]]))
            )
            for c in (1, 7)
        ]
        assert float(losses[0]) == pytest.approx(float(losses[1]))

    def test_a_vanished_mask_does_not_blow_up(self) -> None:
        weights = area_normalised_weights(torch.zeros(1, 2, 8, 8), torch.tensor([[1.0, 1.0]]))
        assert weights.abs().max() == 0

    def test_a_vanishing_mask_is_not_heard_as_loud_as_a_real_one(self) -> None:
        masks = torch.zeros(1, 2, 40, 40)
        masks[0, 0, 0, 0] = 1
        masks[0, 1] = 1 - masks[0, 0]
        weights = area_normalised_weights(masks, torch.tensor([[1.0, 1.0]]))
        heard = (1 / (MIN_AREA * 1600)) / (1 / (MIN_AREA * 1600) + 1)
        assert float((weights * masks[:, 0]).sum()) == pytest.approx(heard)

    def test_refuses_shares_of_another_shape(self) -> None:
        with pytest.raises(ValueError, match="agree"):
            area_normalised_weights(split_masks(2), torch.ones(1, 3))


class TestMaskedDiffusionLoss:
    def test_errors_outside_the_mask_do_not_count(self) -> None:
        masks = split_masks(3)
        weights = area_normalised_weights(masks, torch.tensor([[1.0, 0.0]]))
        target = torch.zeros(1, 4, 8, 8)
        outside = masks[:, 1:] * torch.full_like(target, 9.0)
        assert float(masked_diffusion_loss(outside, target, weights)) == 0

    def test_errors_inside_count(self) -> None:
        masks = split_masks(3)
        weights = area_normalised_weights(masks, torch.tensor([[1.0, 0.0]]))
        target = torch.zeros(1, 4, 8, 8)
        assert float(masked_diffusion_loss(masks[:, :1] * 2.0, target, weights)) == pytest.approx(4.0)


class TestAttentionLoss:
    SHOWN = torch.tensor([[True, True]])

    def test_is_zero_when_every_cell_attends_to_its_owner(self) -> None:
        masks = split_masks(3)
        assert float(attention_loss(masks, masks, self.SHOWN)) == pytest.approx(0, abs=1e-5)

    def test_even_attention_costs_the_log_of_the_labels(self) -> None:
        masks = split_masks(3)
        assert float(attention_loss(torch.ones_like(masks), masks, self.SHOWN)) == pytest.approx(math.log(2))

    def test_one_bright_spot_is_not_enough(self) -> None:
        masks = split_masks(4)
        spot = torch.full_like(masks, 0.1)
        spot[0, 0, 3, 2] = 9.0
        covering = 0.9 * masks + 0.1 * (1 - masks)
        assert attention_loss(spot, masks, self.SHOWN) > 3 * attention_loss(covering, masks, self.SHOWN)

    def test_a_prompt_with_one_label_says_nothing(self) -> None:
        masks = split_masks(3)
        assert float(attention_loss(1 - masks, masks, torch.tensor([[True, False]]))) == 0

    def test_area_does_not_matter(self) -> None:
        losses = [float(attention_loss(torch.ones(1, 2, 8, 8), split_masks(c), self.SHOWN)) for c in (1, 6)]
        assert losses[0] == pytest.approx(losses[1])


class TestAnchorLoss:
    def test_is_the_relative_squared_distance(self) -> None:
        origin = torch.tensor([[3.0, 4.0]])
        assert float(anchor_loss(origin + torch.tensor([[5.0, 0.0]]), origin)) == pytest.approx(1.0)
