"""trainer.quality.plots: strings that a page can hold."""

import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from trainer.em.e_step import NOBODY
from trainer.quality.plots import LABEL_COLOURS, SHOWN_SIDE, heat_table, line_plot, overlay, picture_uri, smoothed


class TestPictureUri:
    def test_holds_the_picture(self) -> None:
        pixels = torch.arange(48, dtype=torch.uint8).view(3, 4, 4)
        kind, _, encoded = picture_uri(pixels).partition(",")
        assert kind == "data:image/png;base64"
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
        assert np.array_equal(shown, pixels.permute(1, 2, 0).numpy())

    def test_is_no_larger_than_a_page_shows_it(self) -> None:
        encoded = picture_uri(torch.zeros(3, 1024, 512, dtype=torch.uint8)).partition(",")[2]
        assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (SHOWN_SIDE // 2, SHOWN_SIDE)


class TestOverlay:
    def test_tints_each_cell_with_its_labels_colour(self) -> None:
        shown = overlay(torch.zeros(3, 4, 4, dtype=torch.uint8), torch.tensor([[0, 1], [1, 0]], dtype=torch.uint8))
        for row, column, label in ((0, 0, 0), (0, 3, 1), (3, 0, 1), (3, 3, 0)):
            colour = [int(LABEL_COLOURS[label][i : i + 2], 16) for i in (1, 3, 5)]
            assert shown[row, column].tolist() == [round(0.55 * level) for level in colour]

    def test_leaves_a_cell_that_no_label_won_grey(self) -> None:
        shown = overlay(torch.full((3, 2, 2), 90, dtype=torch.uint8), torch.full((2, 2), NOBODY, dtype=torch.uint8))
        assert (shown == 90).all()


class TestLinePlot:
    def test_has_a_point_for_every_value_between_its_bounds(self) -> None:
        plot = line_plot({"loss": [3.0, 1.0, 2.0]}, title="Loss", x_label="update")
        (points,) = re.findall(r'points="([^"]*)"', plot)
        x, y = zip(*((float(part) for part in point.split(",")) for point in points.split()), strict=True)
        assert list(x) == sorted(x)
        assert y[0] < y[2] < y[1]  # down is larger in SVG

    def test_one_value_or_none_is_no_fault(self) -> None:
        assert "<polyline" in line_plot({"loss": [1.0]}, title="Loss", x_label="update")
        assert "nothing to show" in line_plot({"loss": []}, title="Loss", x_label="update")


class TestHeatTable:
    def test_escapes_names(self) -> None:
        table = heat_table(["a", "<b>"], [[1.0, 0.0], [0.25, 0.75]])
        assert "<b>" not in table
        assert table.count("<tr>") == 3
        assert "0.25" in table


class TestSmoothed:
    def test_is_the_mean_of_the_last_values(self) -> None:
        assert smoothed([1.0, 3.0, 5.0, 7.0], 2) == [1.0, 2.0, 4.0, 6.0]
