"""trainer.em.crf, against the sums written out pair by pair."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.em import crf
from trainer.em.crf import DenseCRF, SmoothnessKernel, gaussian, grid_positions

SETTINGS: dict[str, Any] = {
    "iterations": 4,
    "appearance_weight": 3.0,
    "appearance_distance": 0.4,
    "appearance_colour": 30.0,
    "smoothness_weight": 1.5,
    "smoothness_distance": 0.2,
}


def brute_force(probabilities: Tensor, colours: Tensor, settings: dict[str, Any]) -> Tensor:
    """Mean field as Kraehenbuehl & Koltun write it, one cell and one pair at a time, in Python floats."""
    labels, height, width = probabilities.shape
    cells = [(y, x) for y in range(height) for x in range(width)]
    scale = max(height, width)

    def pair(i: int, j: int, colour: bool) -> float:
        if i == j:
            return 0.0
        (y, x), (v, u) = cells[i], cells[j]
        squared = ((y - v) ** 2 + (x - u) ** 2) / scale**2
        if not colour:
            return math.exp(-squared / (2 * settings["smoothness_distance"] ** 2))
        tone = sum(float(colours[c, y, x] - colours[c, v, u]) ** 2 for c in range(3))
        return math.exp(
            -squared / (2 * settings["appearance_distance"] ** 2) - tone / (2 * settings["appearance_colour"] ** 2)
        )

    everyone = range(len(cells))
    kernels = []
    for colour, weight in ((True, settings["appearance_weight"]), (False, settings["smoothness_weight"])):
        raw = [[pair(i, j, colour) for j in everyone] for i in everyone]
        degree = [sum(row) for row in raw]
        kernels.append([[weight * raw[i][j] / math.sqrt(degree[i] * degree[j]) for j in everyone] for i in everyone])
    unary = [[max(float(probabilities[k, y, x]), 1e-5) for k in range(labels)] for y, x in cells]
    belief = [[u / sum(row) for u in row] for row in unary]
    for _ in range(settings["iterations"]):
        scores = [
            [
                math.log(unary[i][k]) + sum(kernel[i][j] * belief[j][k] for kernel in kernels for j in everyone)
                for k in range(labels)
            ]
            for i in everyone
        ]
        belief = [[math.exp(s - max(row)) / sum(math.exp(t - max(row)) for t in row) for s in row] for row in scores]
    return torch.tensor(belief).T.reshape(labels, height, width)


def random_case(*, labels: int = 3, height: int = 5, width: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    probabilities = torch.rand(2, labels, height, width, generator=generator)
    return probabilities / probabilities.sum(1, keepdim=True), 255 * torch.rand(
        2, 3, height, width, generator=generator
    )


def two_tone() -> tuple[Tensor, Tensor]:
    """A bright right half, and a prior that is right about most of it but spills over and has a hole."""
    colours = torch.full((1, 3, 12, 12), 30.0)
    colours[..., 6:] = 220.0
    bright = torch.full((12, 12), 0.2)
    bright[:, 6:] = 0.8
    bright[2:9, 4:6] = 0.7  # spills over the edge
    bright[5, 9] = 0.3  # a hole
    return torch.stack([bright, 1 - bright])[None], colours


class TestDenseCRF:
    def test_equals_the_sums_written_out(self) -> None:
        probabilities, colours = random_case()
        refined = DenseCRF(colours, **SETTINGS)(probabilities)
        for batch in range(2):
            expected = brute_force(probabilities[batch], colours[batch], SETTINGS)
            torch.testing.assert_close(refined[batch], expected, atol=1e-5, rtol=1e-4)

    def test_a_second_call_with_kept_kernels_gives_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        probabilities, colours = random_case()
        field = DenseCRF(colours, **SETTINGS)
        first, second = field(probabilities), field(probabilities)
        monkeypatch.setattr(crf, "KEPT_PICTURES", 1)
        third = DenseCRF(colours, **SETTINGS)(probabilities)
        assert torch.equal(first, second)
        assert torch.equal(first, third)

    def test_follows_the_edges_of_the_picture(self) -> None:
        prior, colours = two_tone()
        mask = DenseCRF(colours, **SETTINGS)(prior)[0].argmax(0) == 0
        expected = torch.zeros(12, 12, dtype=torch.bool)
        expected[:, 6:] = True
        assert torch.equal(mask, expected)

    @pytest.mark.parametrize("term", ["appearance_weight", "smoothness_weight"])
    def test_each_term_matters(self, term: str) -> None:
        probabilities, colours = random_case()
        without = DenseCRF(colours, **{**SETTINGS, term: 0.0})(probabilities)
        assert not torch.allclose(without, DenseCRF(colours, **SETTINGS)(probabilities), atol=1e-2)

    def test_without_the_appearance_term_the_spill_stays(self) -> None:
        prior, colours = two_tone()
        mask = DenseCRF(colours, **{**SETTINGS, "appearance_weight": 0.0})(prior)[0].argmax(0) == 0
        assert mask[4:7, 5].all()

    def test_an_absent_label_stays_absent(self) -> None:
        probabilities, colours = random_case()
        probabilities[:, 1] = 0
        refined = DenseCRF(colours, **SETTINGS)(probabilities / probabilities.sum(1, keepdim=True))
        assert refined[:, 1].abs().max() == 0
        torch.testing.assert_close(refined.sum(1), torch.ones(2, 5, 4))

    def test_no_iterations_leave_calibrated_probabilities_as_they_are(self) -> None:
        probabilities, colours = random_case()
        torch.testing.assert_close(DenseCRF(colours, **{**SETTINGS, "iterations": 0})(probabilities), probabilities)

    def test_refuses_probabilities_of_another_shape(self) -> None:
        with pytest.raises(ValueError, match="B, H, W"):
            DenseCRF(torch.ones(1, 3, 5, 4), **SETTINGS)(torch.ones(1, 2, 4, 4))


class TestSmoothnessKernel:
    def test_the_separable_form_is_the_dense_kernel(self) -> None:
        rows, columns = grid_positions(5, 7)
        place = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1).T
        dense = gaussian(place, 0.15).fill_diagonal_(0)
        scale = dense.sum(1).rsqrt()
        field = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0))
        expected = ((scale[:, None] * dense * scale) @ field.flatten(1).T).T.view(2, 5, 7)
        torch.testing.assert_close(SmoothnessKernel(5, 7, 0.15, torch.device("cpu"))(field), expected)
