"""trainer.em.config."""

import json
import re

import pytest

from sdk.errors import TrainingInputError
from trainer.em.config import CRFConfig, EMConfig, EStepConfig, GuardConfig, MStepConfig, parse_config


class TestEMConfig:
    def test_survives_json(self) -> None:
        config = EMConfig(seed=3, m_step=MStepConfig(learning_rate=0.002, templates=("a {}",)))
        assert parse_config(json.loads(json.dumps(config.encode()))) == config

    def test_left_out_values_keep_their_defaults(self) -> None:
        assert parse_config({"crf": {"grid": 32}}) == EMConfig(crf=CRFConfig(grid=32))

    @pytest.mark.parametrize("values", [{"sed": 1}, {"crf": {"grids": 1}}, {"crf": 3}])
    def test_refuses_unknown_names(self, values: dict[str, object]) -> None:
        with pytest.raises(TrainingInputError, match="training configuration"):
            parse_config(values)

    @pytest.mark.parametrize(
        ("values", "fault"),
        [
            ({"m_step": {"steps": 2.5}}, "m_step.steps must be a whole number, found 2.5"),
            ({"crf": {"grid": True}}, "crf.grid must be between"),
            ({"max_rounds": True}, "max_rounds must be a whole number, found True"),
            ({"e_step": {"sharpness": float("inf")}}, "e_step.sharpness must be a number, found inf"),
            ({"stop": {"loss_gain": "much"}}, "stop.loss_gain must be a number, found 'much'"),
        ],
    )
    def test_refuses_numbers_of_another_kind(self, values: dict[str, object], fault: str) -> None:
        with pytest.raises(TrainingInputError, match=re.escape(fault)):
            parse_config(values)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: EMConfig(max_rounds=0),
            lambda: EMConfig(seed=-1),
            lambda: EMConfig(seed=2**53),
            lambda: EStepConfig(timesteps=0),
            lambda: EStepConfig(timestep_low=9, timestep_high=8),
            lambda: CRFConfig(grid=1000),
            lambda: CRFConfig(appearance_colour=0),
            lambda: MStepConfig(learning_rate=0),
            lambda: MStepConfig(templates=("no slot",)),
            lambda: MStepConfig(timestep_low=0.5, timestep_high=0.5),
            lambda: GuardConfig(min_area=0.95),
            lambda: EStepConfig(map_size=0),
            lambda: CRFConfig(smoothness_weight=-1),
            lambda: MStepConfig(final_rate=-1),
            lambda: MStepConfig(gradient_clip=0),
            lambda: MStepConfig(rearranged=-1),
            lambda: MStepConfig(background_weight=-0.1),
            lambda: MStepConfig(flip_chance=1.5),
            lambda: MStepConfig(betas=(0.9, 1.0)),
        ],
    )
    def test_refuses_values_out_of_range(self, make: object) -> None:
        with pytest.raises(TrainingInputError):
            make()  # type: ignore[operator]
