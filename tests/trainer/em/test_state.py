"""trainer.em.state."""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sdk.errors import FormatError
from trainer.em.state import EMState, MaskVerdict, RoundRecord, load_state, restore_generator, save_state


def make_state() -> EMState:
    generator = torch.Generator().manual_seed(11)
    rows = {"clip_l": torch.randn(3, 4, generator=generator), "clip_g": torch.randn(3, 5, generator=generator)}
    verdict = MaskVerdict(picture=1, label=0, reason="jump", iou=0.1 + 0.2, area=1 / 3)
    record = RoundRecord(
        round=1,
        losses=(0.1, 1 / 3),
        evaluation_loss=2 / 3,
        mask_iou=0.7,
        verdicts=(verdict,),
        leakage=((1.0, 0.0), (1 / 7, 6 / 7)),
        seconds_e_step=0.1,
        seconds_m_step=0.2,
    )
    return EMState(
        fingerprint="sha256:" + "0" * 64,
        labels=("demo/fox", "(background)"),
        rows=rows,
        first_moments={key: value * 1e-20 for key, value in rows.items()},
        second_moments={key: value**2 for key, value in rows.items()},
        said=torch.rand(2, 2, 8, 8, generator=generator),
        posterior=torch.rand(2, 2, 8, 8, generator=generator),
        history=torch.randint(0, 2, (2, 2, 8, 8), generator=generator, dtype=torch.uint8),
        generator=generator.get_state(),
        round=1,
        step=50,
        converged=False,
        records=(record,),
    )


def same_bits(one: EMState, two: EMState) -> bool:
    def compare(a: object, b: object) -> bool:
        if isinstance(a, dict):
            return isinstance(b, dict) and a.keys() == b.keys() and all(compare(a[key], b[key]) for key in a)
        if isinstance(a, torch.Tensor):
            return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
        return a == b

    return all(compare(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(EMState))


class TestState:
    def test_is_read_back_bit_for_bit(self, tmp_path: Path) -> None:
        state = make_state()
        save_state(state, tmp_path / "deep" / "state.safetensors")
        assert same_bits(load_state(tmp_path / "deep" / "state.safetensors"), state)

    def test_the_generator_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        state = make_state()
        expected = torch.rand(5, generator=restore_generator(state))
        save_state(state, tmp_path / "state")
        assert torch.equal(torch.rand(5, generator=restore_generator(load_state(tmp_path / "state"))), expected)

    def test_replaces_the_old_file_and_leaves_nothing_else(self, tmp_path: Path) -> None:
        for step in (1, 2):
            save_state(dataclasses.replace(make_state(), step=step), tmp_path / "state")
        assert [path.name for path in tmp_path.iterdir()] == ["state"]
        assert load_state(tmp_path / "state").step == 2

    def test_a_failed_write_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        save_state(make_state(), tmp_path / "state")

        def fail(_descriptor: int) -> None:
            raise OSError("disk full")

        monkeypatch.setattr("sdk.local_files.os.fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            save_state(dataclasses.replace(make_state(), step=99), tmp_path / "state")
        assert load_state(tmp_path / "state").step == 50

    def test_refuses_a_cut_off_file(self, tmp_path: Path) -> None:
        save_state(make_state(), tmp_path / "state")
        content = (tmp_path / "state").read_bytes()
        (tmp_path / "state").write_bytes(content[: len(content) // 2])
        with pytest.raises(FormatError, match="remove it to start over"):
            load_state(tmp_path / "state")

    def test_refuses_another_safetensors_file(self, tmp_path: Path) -> None:
        save_file({"x": torch.zeros(1)}, tmp_path / "other")
        with pytest.raises(FormatError, match=r"of format imprimatur\.em-state/v1"):
            load_state(tmp_path / "other")

    def test_refuses_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match="nothing"):
            load_state(tmp_path / "nothing")
