"""trainer.em.guards: each failure alone, and what is kept instead."""

from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.em.config import GuardConfig
from trainer.em.e_step import harden
from trainer.em.guards import guard_masks, mask_iou, mean_iou

CONFIG = GuardConfig(warm_up=1, jump_iou=0.8, min_area=0.01, max_area=0.9)
PRESENT = torch.ones(1, 2, dtype=torch.bool)
NOT_GIVEN = torch.zeros(1, 2, dtype=torch.bool)


def columns(count: int, *, start: int = 0, side: int = 20) -> Tensor:
    """A posterior [1, 2, 20, 20]: the first label has `count` columns from `start`, the second the rest."""
    first = torch.full((side, side), 0.1)
    first[:, start : start + count] = 0.9
    return torch.stack([first, 1 - first])[None]


def judge(old: Tensor | None, new: Tensor, *, round: int = 5, **changes: Any) -> tuple[Tensor, list[str]]:
    arguments: dict[str, Any] = {
        "presence": PRESENT,
        "backgrounds": (False, True),
        "is_given": NOT_GIVEN,
        "config": CONFIG,
    }
    taken, verdicts = guard_masks(old, new, **{**arguments, **changes}, round=round)
    return taken, [verdict.reason for verdict in verdicts]


class TestGuardMasks:
    def test_takes_a_mask_that_moved_a_little(self) -> None:
        old, new = columns(10), columns(11)
        taken, reasons = judge(old, new)
        assert reasons == ["", ""]
        assert torch.equal(taken, new)

    def test_refuses_a_jump(self) -> None:
        old, new = columns(10), columns(7)
        taken, reasons = judge(old, new)
        assert reasons[0] == "jump"
        assert torch.equal(taken, old)

    def test_lets_masks_jump_during_the_warm_up(self) -> None:
        taken, reasons = judge(columns(10), columns(6), round=0)
        assert reasons == ["", ""]
        assert torch.equal(taken, columns(6))

    def test_lets_two_labels_change_places_during_the_warm_up(self) -> None:
        taken, reasons = judge(columns(10), columns(10).flip(1), round=0)
        assert reasons == ["", ""]
        assert torch.equal(taken, columns(10).flip(1))

    def test_refuses_a_mask_that_vanished(self) -> None:
        taken, reasons = judge(columns(10), columns(0), round=0)
        assert reasons[0] == "collapse"
        assert torch.equal(taken, columns(10))

    def test_refuses_a_subject_that_swallows_the_picture(self) -> None:
        taken, reasons = judge(columns(18), columns(19), round=5)
        assert reasons[0] == "collapse"
        assert torch.equal(taken, columns(18))

    def test_a_background_may_be_nearly_everything(self) -> None:
        assert judge(columns(1), columns(1))[1] == ["", ""]

    def test_a_label_alone_in_its_picture_may_be_everything(self) -> None:
        alone = torch.tensor([[True, False]])
        assert judge(None, columns(20), presence=alone)[1] == [""]

    def test_what_replaces_a_collapsed_first_estimate_claims_no_cell(self) -> None:
        taken, reasons = judge(None, columns(0), round=0)
        assert reasons[0] == "collapse"
        assert not harden(taken).any()

    def test_a_mask_after_none_is_no_jump_and_no_swap(self) -> None:
        nothing, _ = judge(None, columns(0), round=0)
        taken, reasons = judge(nothing, columns(10), round=5)
        assert reasons == ["", ""]
        assert torch.equal(taken, columns(10))

    def test_names_a_swap(self) -> None:
        old = columns(10)
        taken, reasons = judge(old, old.flip(1))
        assert reasons == ["swap", "swap"]
        assert torch.equal(taken, old)

    def test_refuses_the_whole_picture_but_not_the_others(self) -> None:
        old, new = torch.cat([columns(10), columns(10)]), torch.cat([columns(4), columns(11)])
        taken, _ = judge(old, new, presence=PRESENT.repeat(2, 1), is_given=NOT_GIVEN.repeat(2, 1))
        assert torch.equal(taken, torch.cat([columns(10), columns(11)]))

    def test_a_first_mask_that_collapsed_claims_nothing(self) -> None:
        taken, reasons = judge(None, columns(0), round=0)
        assert reasons[0] == "collapse"
        assert torch.equal(taken, torch.full_like(taken, 0.5))

    def test_never_judges_a_mask_the_user_gave(self) -> None:
        taken, reasons = judge(columns(10), columns(2), is_given=torch.ones(1, 2, dtype=torch.bool))
        assert reasons == []
        assert torch.equal(taken, columns(2))

    def test_reports_overlap_and_area(self) -> None:
        _, verdicts = guard_masks(columns(10), columns(8), PRESENT, (False, True), NOT_GIVEN, CONFIG, round=0)
        assert (round(verdicts[0].iou, 3), round(verdicts[0].area, 3)) == (0.8, 0.4)


class TestMaskIoU:
    def test_counts_cells(self) -> None:
        one, other = torch.zeros(4, 4), torch.zeros(4, 4)
        one[:, :2] = 1
        other[:, 1:3] = 1
        assert float(mask_iou(one, other)) == pytest.approx(4 / 12)

    def test_two_empty_masks_agree(self) -> None:
        assert float(mask_iou(torch.zeros(4, 4), torch.zeros(4, 4))) == 1

    def test_the_mean_leaves_absent_labels_out(self) -> None:
        assert mean_iou(columns(10), columns(10), torch.tensor([[True, False]])) == 1
