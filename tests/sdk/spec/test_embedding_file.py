"""A learned embedding is what its manifest says, or it is refused, each fault for just its reason."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from sdk.errors import FormatError
from sdk.spec.embedding_file import MAX_HEADER_BYTES, verify_embedding
from sdk.spec.manifest import EmbeddingFacts

TOKEN = "<demo-fox>"
FACTS = EmbeddingFacts(placeholder_token=TOKEN, vectors=2, dimensions=(3,), class_word="fox")
XL = EmbeddingFacts(placeholder_token=TOKEN, vectors=1, dimensions=(2, 3), class_word="fox")
NUMBERS = struct.pack("<6f", *range(6))
TENSOR = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def file(header: Any, body: bytes = NUMBERS) -> bytes:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content)) + content + body


GOOD = file({TOKEN: TENSOR, "__metadata__": {"made": "today"}})


class TestVerifyEmbedding:
    def test_takes_each_type_of_number(self) -> None:
        assert verify_embedding(GOOD, FACTS, "demo/fox") == GOOD
        for dtype, body in (("F16", struct.pack("<6e", *range(6))), ("BF16", b"\x80\x3f" * 6)):
            verify_embedding(file({TOKEN: TENSOR | {"dtype": dtype, "data_offsets": [0, 12]}}, body), FACTS, "demo/fox")

    def test_takes_two_encoders_in_any_order(self) -> None:
        first = {"dtype": "F32", "shape": [1, 2], "data_offsets": [12, 20]}
        second = {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 12]}
        verify_embedding(file({"clip_l": first, "clip_g": second}, NUMBERS[:20]), XL, "demo/fox")

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "no safetensors file"),
            (struct.pack("<Q", MAX_HEADER_BYTES + 1) + bytes(MAX_HEADER_BYTES + 1), "header of at most 65536 bytes"),
            (struct.pack("<Q", 2**63) + b"{}", "header of at most"),
            (file(b"[]"), "no JSON object"),
            (file(b'{"a": 1, "a": 2}'), "not strict JSON"),
            (file({}), r"holds \[\]; expected"),
            (file({TOKEN: TENSOR, "more": TENSOR}), "expected"),
            (file({TOKEN: TENSOR, "__metadata__": {"a": 1}}), "metadata"),
            (file({TOKEN: TENSOR | {"dtype": "I64"}}), "dtype"),
            (file({TOKEN: TENSOR | {"shape": [3, 2]}}), "its manifest says otherwise"),
            (file({TOKEN: TENSOR | {"shape": [2, 3, 1]}}), "shape"),
            (file({TOKEN: TENSOR | {"extra": 1}}), "extra"),
            (file({TOKEN: TENSOR | {"data_offsets": [4, 28]}}), "should have bytes 0 to 24"),
            (file({TOKEN: TENSOR}, NUMBERS[:-1]), "should have bytes 0 to 24"),
            (file({TOKEN: TENSOR}, NUMBERS + b"x"), "has 25 bytes of numbers, its header tells of 24"),
        ],
    )
    def test_refuses(self, content: bytes, says: str) -> None:
        with pytest.raises(FormatError, match=says):
            verify_embedding(content, FACTS, "demo/fox")

    @pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
    def test_refuses_a_number_that_is_not_finite(self, number: str) -> None:
        for dtype, code, size in (("F32", "f", 24), ("F16", "e", 12)):
            body = struct.pack(f"<6{code}", 0, 1, 2, 3, 4, float(number))
            content = file({TOKEN: TENSOR | {"dtype": dtype, "data_offsets": [0, size]}}, body)
            with pytest.raises(FormatError, match="not finite"):
                verify_embedding(content, FACTS, "demo/fox")
        wide = struct.unpack("<H", struct.pack("<f", float(number))[2:])[0]
        body = struct.pack("<6H", 0, 0, 0, 0, 0, wide)
        with pytest.raises(FormatError, match="not finite"):
            verify_embedding(
                file({TOKEN: TENSOR | {"dtype": "BF16", "data_offsets": [0, 12]}}, body), FACTS, "demo/fox"
            )
