"""sdk.spec.training: values that the wire and the database take."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sdk.spec.training import JobProgress


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_json_cannot_say_is_refused(loss: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        JobProgress(phase="m-step", round=1, rounds=2, step=3, steps=4, loss=loss)


def test_a_phase_without_updates_has_no_loss() -> None:
    assert JobProgress(phase="e-step", round=1, rounds=2, step=3, steps=4).loss is None
