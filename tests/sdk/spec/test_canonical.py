"""Canonical JSON out, strict JSON in."""

from __future__ import annotations

import json
import math

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from sdk.errors import FormatError
from sdk.spec.canonical import MAX_JSON_BYTES, WireModel, encode_canonical, parse_json, parse_wire, validate_wire

SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | SAFE | st.floats(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Pair(WireModel):
    left: int
    right: str | None = None
    named_: str = Field(default="x", alias="named")


class TestEncode:
    def test_sorts_names_by_utf16_and_writes_no_space(self) -> None:
        assert encode_canonical({"\ufb33": 1, "\U0001f600": 2, "a": 3}) == '{"a":3,"\U0001f600":2,"\ufb33":1}'.encode()

    def test_leaves_out_what_is_absent_and_uses_wire_names(self) -> None:
        assert encode_canonical(Pair(left=1)) == b'{"left":1,"named":"x"}'

    @pytest.mark.parametrize("value", [2**53, -(2**53), math.nan, math.inf])
    def test_refuses_numbers_that_do_not_survive(self, value: float) -> None:
        with pytest.raises(FormatError, match="canonical"):
            encode_canonical({"n": value})

    @given(JSON)
    def test_is_what_the_reference_writes(self, value: object) -> None:
        assert encode_canonical([value]) == rfc8785.dumps([value])

    @pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}])
    def test_refuses_text_that_is_none(self, value: object) -> None:
        with pytest.raises(FormatError, match="canonical"):
            encode_canonical([value])

    @given(st.dictionaries(st.text(), JSON, max_size=4))
    def test_what_is_encoded_is_read_back(self, value: dict[str, object]) -> None:
        encoded = encode_canonical(value)
        assert parse_json(encoded, "it") == value
        assert encode_canonical(parse_json(encoded, "it")) == encoded


class TestParse:
    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            (b"", "not strict JSON"),
            (b"\xff{}", "not strict JSON"),
            (b'{"a":1,"a":2}', "appears twice"),
            (b'{"a":NaN}', "NaN"),
            (b'{"a":-Infinity}', "Infinity"),
            (b'{"a":-1e999}', "-1e999 is larger than a number can be"),
            (b"{} {}", "not strict JSON"),
            ('{"a":"b"}'.encode("utf-16"), "not strict JSON"),
            ('{"a":"b"}'.encode("utf-32-le"), "not strict JSON"),
            ("\ufeff{}".encode(), "not strict JSON"),
            (b'{"a":"\xed\xa0\x80"}', "not strict JSON"),
            (b'"text"', "neither an object nor an array"),
            (b"1", "neither an object nor an array"),
            (b"[" * 100_000, "not strict JSON"),
        ],
    )
    def test_refuses(self, content: bytes, fault: str) -> None:
        with pytest.raises(FormatError, match=fault):
            parse_json(content, "document")

    def test_refuses_what_is_too_large_before_reading_it(self) -> None:
        with pytest.raises(FormatError, match="at most"):
            parse_json(b'"' + b"a" * MAX_JSON_BYTES + b'"', "document")

    def test_a_caller_may_read_more(self) -> None:
        (text,) = parse_json(b'["' + b"a" * MAX_JSON_BYTES + b'"]', "it", max_bytes=2 * MAX_JSON_BYTES)
        assert len(text) == MAX_JSON_BYTES

    @pytest.mark.parametrize(
        ("document", "place"),
        [
            ({"left": "x"}, "left"),
            ({}, "left"),
            ({"left": 1, "other": 2}, "other"),
            ([], "Input should be a valid dictionary"),
        ],
    )
    def test_names_the_member_at_fault(self, document: object, place: str) -> None:
        with pytest.raises(FormatError, match=f"pair: {place}"):
            validate_wire(Pair, document, "pair")
        with pytest.raises(FormatError, match=f"pair: {place}"):
            parse_wire(Pair, json.dumps(document).encode(), "pair")

    @given(st.binary(max_size=60))
    def test_any_bytes_are_read_or_refused(self, content: bytes) -> None:
        try:
            parse_wire(Pair, content, "pair")
        except FormatError:
            return


class TestWireModel:
    def test_cannot_be_changed(self) -> None:
        with pytest.raises(ValidationError):
            Pair(left=1).left = 2
