"""trainer.em.adapters: stage 2, on networks that know nothing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sdk.errors import TrainingInputError
from tests.support.tiny_backbone import BEACH, FOX, make_training_set, tiny_backbone
from trainer.em.adapters import PROJECTIONS, LowRank, adapted, first_adapters, train_adapters
from trainer.em.config import AdapterConfig, CRFConfig, EMConfig, EStepConfig, MStepConfig, parse_config
from trainer.em.loop import fit
from trainer.em.problem import Problem, prepare
from trainer.em.state import EMState
from trainer.export import ADAPTERS_FILE, is_adapters_of, write_adapters
from trainer.run import ADAPTERS_DIR, run_training

CONFIG = EMConfig(
    max_rounds=1,
    e_step=EStepConfig(timesteps=2, timestep_low=10, timestep_high=70),
    crf=CRFConfig(grid=16, iterations=2),
    m_step=MStepConfig(steps=2, batch_size=2),
    adapters=AdapterConfig(steps=3, rank=2, learning_rate=1e-2),
)


def learned(family: str = "sd") -> tuple[Problem, EMState]:
    training_set = make_training_set((FOX, BEACH))
    backbone = tiny_backbone(family)
    return prepare(backbone, training_set, CONFIG), fit(backbone, training_set, CONFIG)


class TestTraining:
    @pytest.mark.parametrize("family", ["sd", "sd-v", "sdxl"])
    def test_every_key_and_value_gets_one_and_the_network_stays_as_it_was(self, family: str) -> None:
        problem, state = learned(family)
        unet = problem.backbone.unet
        before = {name: value.clone() for name, value in unet.state_dict().items()}
        adapters = train_adapters(problem, state)
        assert set(adapters) == {name for name, _ in unet.named_modules() if name.endswith(PROJECTIONS)}
        assert all(float(adapter.up.abs().max()) > 0 for adapter in adapters.values())
        assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())
        assert not any(module._forward_hooks for module in unet.modules())

    def test_again_gives_the_same_bits(self) -> None:
        problem, state = learned()
        one, other = train_adapters(problem, state), train_adapters(problem, state)
        assert all(torch.equal(one[name].up, other[name].up) for name in one)

    def test_a_step_too_few_is_told_by_name(self) -> None:
        with pytest.raises(TrainingInputError, match=r"adapters\.rank"):
            parse_config({"adapters": {"steps": 5, "rank": 0}})


class TestAdapted:
    def test_is_the_weight_plus_up_times_down(self) -> None:
        unet = tiny_backbone("sd").unet
        generator = torch.Generator().manual_seed(0)
        name, first = next(iter(first_adapters(unet, PROJECTIONS, 2, generator).items()))
        layer = unet.get_submodule(name)
        adapter = LowRank(down=first.down, up=torch.randn(first.up.shape, generator=generator))
        given = torch.randn(5, layer.in_features, generator=generator)
        with adapted(unet, {name: adapter}):
            seen = layer(given)
        wanted = torch.nn.functional.linear(given, layer.weight + adapter.up @ adapter.down, layer.bias)
        assert torch.allclose(seen, wanted, atol=1e-5)

    def test_one_that_was_not_trained_changes_nothing(self) -> None:
        unet = tiny_backbone("sd").unet
        adapters = first_adapters(unet, PROJECTIONS, 2, torch.Generator().manual_seed(0))
        name = next(iter(adapters))
        given = torch.ones(1, unet.get_submodule(name).in_features)
        plain = unet.get_submodule(name)(given)
        with adapted(unet, adapters):
            assert torch.equal(unet.get_submodule(name)(given), plain)


class TestFile:
    def test_names_and_shapes_are_those_that_diffusers_reads(self, tmp_path: Path) -> None:
        problem, state = learned()
        path = write_adapters(tmp_path, train_adapters(problem, state), problem.backbone, state.fingerprint)
        tensors = load_file(path)
        for name in (n for n, _ in problem.backbone.unet.named_modules() if n.endswith(PROJECTIONS)):
            layer = problem.backbone.unet.get_submodule(name)
            assert tensors.pop(f"unet.{name}.lora_A.weight").shape == (2, layer.in_features)
            assert tensors.pop(f"unet.{name}.lora_B.weight").shape == (layer.out_features, 2)
        assert not tensors

    def test_it_is_known_whose_it_is(self, tmp_path: Path) -> None:
        problem, state = learned()
        assert not is_adapters_of(tmp_path, state.fingerprint)
        write_adapters(tmp_path, train_adapters(problem, state), problem.backbone, state.fingerprint)
        assert is_adapters_of(tmp_path, state.fingerprint)
        assert not is_adapters_of(tmp_path, "another")


class TestRun:
    def test_a_run_writes_them_once_and_only_when_asked(self, tmp_path: Path) -> None:
        phases: list[str] = []
        training_set, backbone = make_training_set((FOX, BEACH)), tiny_backbone("sd")
        for folder, config in (
            ("with", CONFIG),
            ("without", EMConfig(**{**vars(CONFIG), "adapters": AdapterConfig()})),
        ):
            phases.clear()
            run_training(
                backbone, training_set, config, tmp_path / folder, on_progress=lambda p: phases.append(p.phase)
            )
            assert (tmp_path / folder / ADAPTERS_DIR / ADAPTERS_FILE).exists() == (folder == "with")
            assert ("adapters" in phases) == (folder == "with")
        phases.clear()
        run_training(backbone, training_set, CONFIG, tmp_path / "with", on_progress=lambda p: phases.append(p.phase))
        assert "adapters" not in phases
