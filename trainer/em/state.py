"""Everything the next round needs, as one value; saved and loaded without losing a bit.

One safetensors file holds the tensors, and its header the JSON: so one atomic rename replaces the whole state, and a
reader never sees half of two. `fingerprint` ties a state to its base model, pictures, concepts and settings: going on
from another training's state is refused.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sdk.errors import FormatError
from sdk.local_files import replace_file

STATE_FORMAT = "imprimatur.em-state/v1"


@dataclass(frozen=True, kw_only=True)
class MaskVerdict:
    """What the guards said of one new mask. `reason` is "" when it was taken."""

    picture: int
    label: int
    reason: str  # "", "jump", "collapse" or "swap"
    iou: float  # with the mask before; 1.0 when there was none
    area: float  # share of the picture


@dataclass(frozen=True, kw_only=True)
class RoundRecord:
    """What happened in one round, for the report and for convergence. Round 0 drew the first masks only."""

    round: int
    losses: tuple[float, ...]  # of each update
    evaluation_loss: float  # on the fixed evaluation batch, after the updates
    mask_iou: float  # mean overlap of the round's masks with those of the round before; 0.0 in round 0
    verdicts: tuple[MaskVerdict, ...]
    leakage: tuple[tuple[float, ...], ...]  # [K][K], see e_step.leakage
    seconds_e_step: float
    seconds_m_step: float


@dataclass(frozen=True, kw_only=True)
class EMState:
    """The state between two rounds.

    `rows`, `first_moments`, `second_moments`: tower key to [R, d]; `said` [N, K, G, G] what the class words'
    attention says; `posterior` [N, K, G, G]; `history` uint8 [rounds, N, G, G], the winning label of each round's masks;
    `generator` the CPU generator's bytes.
    """

    fingerprint: str
    labels: tuple[str, ...]
    rows: dict[str, Tensor]
    first_moments: dict[str, Tensor]
    second_moments: dict[str, Tensor]
    said: Tensor
    posterior: Tensor
    history: Tensor
    generator: Tensor
    round: int
    step: int
    converged: bool
    records: tuple[RoundRecord, ...]

    def next_round(self, **changes: Any) -> EMState:
        """The state after one more round."""
        return dataclasses.replace(self, round=self.round + 1, **changes)


_TOWER_FIELDS = ("rows", "first_moments", "second_moments")
_TENSOR_FIELDS = ("said", "posterior", "history", "generator")
_PLAIN_FIELDS = ("fingerprint", "round", "step", "converged")


def encode_state(state: EMState) -> bytes:
    """The state as a safetensors file with its JSON in the header."""
    tensors = {name: getattr(state, name) for name in _TENSOR_FIELDS}
    for field in _TOWER_FIELDS:
        tensors |= {f"{field}.{key}": value for key, value in getattr(state, field).items()}
    plain = {name: getattr(state, name) for name in _PLAIN_FIELDS}
    plain |= {"labels": list(state.labels), "records": [dataclasses.asdict(record) for record in state.records]}
    portable = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return save(portable, metadata={"format": STATE_FORMAT, "state": json.dumps(plain)})


def save_state(state: EMState, path: Path) -> None:
    """Write `state` to `path` so that a crash leaves the old file or the new one, never a piece."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, encode_state(state), wait_for_rename=True)


def load_state(path: Path) -> EMState:
    """Read a state written by `save_state`; every tensor has the bits it was saved with.

    Raises:
        FormatError: the file is missing, damaged or of another format.
    """
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if metadata.get("format") != STATE_FORMAT:
            raise FormatError(f"{path} is not a file of format {STATE_FORMAT}; remove it to start this training over")
        return _decode(tensors, json.loads(metadata["state"]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as exc:
        raise FormatError(f"{path} cannot be read as a training state ({exc}); remove it to start over") from exc


def _decode(tensors: dict[str, Tensor], plain: dict[str, Any]) -> EMState:
    towers: dict[str, dict[str, Tensor]] = {field: {} for field in _TOWER_FIELDS}
    for name, tensor in tensors.items():
        field, _, key = name.partition(".")
        if field in towers:
            towers[field][key] = tensor
    fields: dict[str, Any] = {name: plain[name] for name in _PLAIN_FIELDS}
    fields |= {name: tensors[name] for name in _TENSOR_FIELDS}
    fields |= towers
    return EMState(
        labels=tuple(plain["labels"]),
        records=tuple(_decode_record(record) for record in plain["records"]),
        **fields,
    )


def _decode_record(plain: dict[str, Any]) -> RoundRecord:
    return RoundRecord(
        **{
            **plain,
            "losses": tuple(plain["losses"]),
            "verdicts": tuple(MaskVerdict(**verdict) for verdict in plain["verdicts"]),
            "leakage": tuple(tuple(row) for row in plain["leakage"]),
        }
    )


def restore_generator(state: EMState) -> torch.Generator:
    """A CPU generator that goes on where `state` stopped."""
    generator = torch.Generator()
    generator.set_state(state.generator.clone())
    return generator
