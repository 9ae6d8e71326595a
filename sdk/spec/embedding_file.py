"""Checking a learned embedding before anything else reads it: safetensors, in pure Python. https://huggingface.co/docs/safetensors

Rules, in order:
1. The header is bounded, strict JSON (a name twice is refused), and says nothing but metadata and the tensors that are expected:
   one under the token's name, or one for each of SDXL's two text encoders.
2. Their types are floating numbers of 16 or 32 bits, their shapes those of the manifest.
3. Their bytes follow one another without gap or overlap, and fill the file.
4. Every number is finite.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from sdk.errors import FormatError
from sdk.spec.canonical import WireModel, parse_json, validate_wire
from sdk.spec.manifest import EmbeddingFacts

TOWER_KEYS: Final = ("clip_l", "clip_g")  # the names of SDXL's two text encoders in embedding files
MAX_HEADER_BYTES: Final = 65_536
_LENGTH: Final = struct.Struct("<Q")
_METADATA: Final = "__metadata__"
_EXPONENT: Final = {"F32": ("I", 0x7F80_0000), "F16": ("H", 0x7C00), "BF16": ("H", 0x7F80)}
"""By type: the array code of its bits, and those that are all 1 in what is not finite."""


class _Tensor(WireModel):
    dtype: Literal["F32", "F16", "BF16"]
    shape: tuple[Annotated[int, Field(ge=1, le=65_536)], Annotated[int, Field(ge=1, le=65_536)]]
    data_offsets: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]


def verify_embedding(content: bytes, facts: EmbeddingFacts, about: str) -> bytes:
    """Return `content` if it is an embedding file with just the tensors that `facts` describe. Raises `FormatError`."""
    what = f"the embedding of {about}"
    if len(content) < _LENGTH.size or (length := _LENGTH.unpack_from(content)[0]) > MAX_HEADER_BYTES:
        raise FormatError(f"{what} is no safetensors file with a header of at most {MAX_HEADER_BYTES} bytes")
    header = parse_json(content[_LENGTH.size : _LENGTH.size + length], f"the header of {what}")
    body = memoryview(content)[_LENGTH.size + length :]
    tensors = _tensors(header, facts, what)
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda each: each[1].data_offsets):
        end = _verify_numbers(tensor, body, end, f"tensor {name} of {what}")
    if end != len(body):
        raise FormatError(f"{what} has {len(body)} bytes of numbers, its header tells of {end}")
    return content


def expected_tensors(facts: EmbeddingFacts) -> Mapping[str, tuple[int, int]]:
    """The names of an embedding's tensors, each with its shape."""
    names: Sequence[str] = (facts.placeholder_token,) if len(facts.dimensions) == 1 else TOWER_KEYS
    return {name: (facts.vectors, width) for name, width in zip(names, facts.dimensions, strict=True)}


def _tensors(header: object, facts: EmbeddingFacts, what: str) -> Mapping[str, _Tensor]:
    if not isinstance(header, dict):
        raise FormatError(f"the header of {what} is no JSON object")
    metadata = header.get(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise FormatError(f"the metadata of {what} are not texts by name")
    expected = expected_tensors(facts)
    if (found := header.keys() - {_METADATA}) != expected.keys():
        raise FormatError(f"{what} holds {sorted(found)}; expected {sorted(expected)}")
    tensors = {name: validate_wire(_Tensor, header[name], f"tensor {name} of {what}") for name in expected}
    for name, tensor in tensors.items():
        if tensor.shape != expected[name]:
            raise FormatError(f"tensor {name} of {what} has shape {list(tensor.shape)}; its manifest says otherwise")
    return tensors


def _verify_numbers(tensor: _Tensor, body: memoryview, begin: int, what: str) -> int:
    """Where its bytes end; they must begin at `begin`."""
    code, exponent = _EXPONENT[tensor.dtype]
    bits = array(code)
    size = bits.itemsize * tensor.shape[0] * tensor.shape[1]
    if tensor.data_offsets != (begin, begin + size) or begin + size > len(body):
        raise FormatError(f"{what} should have bytes {begin} to {begin + size}, not {tensor.data_offsets}")
    bits.frombytes(body[begin : begin + size])
    if sys.byteorder == "big":
        bits.byteswap()
    if any(number & exponent == exponent for number in bits):
        raise FormatError(f"{what} holds numbers that are not finite")
    return begin + size
