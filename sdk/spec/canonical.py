"""JSON as bytes that can be signed: RFC 8785 (JCS) out, strict parsing in.

Strict means: UTF-8, one object or array, no duplicate member names, no NaN or Infinity, bounded size and depth.
Signed bytes are parsed as they came and never re-serialised to verify.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any, Final, NoReturn, TypeVar

import rfc8785
from pydantic import BaseModel, ConfigDict, ValidationError

from sdk.errors import FormatError

MAX_JSON_BYTES: Final = 1_048_576  # bytes; every document of this system is far smaller

_LARGEST: Final = 2**53 - 1  # the largest whole number that JSON carries exactly
_encode_plain: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
"""Written in C, and several times as fast as `rfc8785`, which writes whatever this one would write in another way."""

_NEVER_NUMBERS: Final = frozenset({str, bool, type(None)})

_Wire = TypeVar("_Wire", bound="WireModel")


class WireModel(BaseModel):
    """An immutable value that crosses a boundary. Unknown members are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def encode_canonical(value: WireModel | dict[str, Any] | list[Any]) -> bytes:
    """Return the RFC 8785 bytes of `value`; absent optional members are left out, never written as null."""
    plain = value.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(value, WireModel) else value
    try:
        return _encode_plain(plain).encode() if _is_plain(plain) else rfc8785.dumps(plain)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as exc:
        raise FormatError(f"value has no canonical JSON form: {exc}") from exc


def _is_plain(value: Any) -> bool:
    """Whether `json` writes the value exactly as RFC 8785: whole numbers that JSON carries, and names that sort alike."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        kind = type(found)
        if kind in _NEVER_NUMBERS:
            continue
        if kind is dict:
            if not all(type(name) is str and name.isascii() for name in found):
                return False
            waiting += found.values()
        elif kind is list or kind is tuple:
            if not _NEVER_NUMBERS.issuperset(map(type, found)):
                waiting += found
        elif kind is not int or not -_LARGEST <= found <= _LARGEST:
            return False
    return True


def parse_json(content: bytes, what: str, *, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """Read strict JSON.

    Raises:
        FormatError: not UTF-8, not JSON, duplicate names, NaN, or over `max_bytes`; `what` is named.
    """
    if len(content) > max_bytes:
        raise FormatError(f"{what} has {len(content)} bytes; at most {max_bytes} are read")
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as exc:
        raise FormatError(f"{what} is not strict JSON: {exc}") from exc
    if not isinstance(value, dict | list):
        raise FormatError(f"{what} is not strict JSON: it is neither an object nor an array")
    return value


def parse_wire(cls: type[_Wire], content: bytes, what: str) -> _Wire:
    """Read strict JSON into `cls`. Raises `FormatError` naming `what` and the first fault."""
    return validate_wire(cls, parse_json(content, what), what)


def validate_wire(cls: type[_Wire], value: Any, what: str) -> _Wire:
    """Check an already parsed JSON value against `cls`. Raises `FormatError` like `parse_wire`."""
    try:
        return cls.model_validate(value)
    except ValidationError as exc:
        raise FormatError(f"{what}: {first_fault(exc)}") from exc


def first_fault(error: ValidationError) -> str:
    """Where the first fault is, and what it is, for people."""
    fault = error.errors(include_url=False)[0]
    place, said = ".".join(str(part) for part in fault["loc"]), str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "string_pattern_mismatch":
        said = f"expected what {fault['ctx']['pattern']} describes, found {str(fault['input'])[:100]!r}"
    return f"{place}: {said}" if place else said


def decode_base64(text: str, what: str) -> bytes:
    """The bytes that standard base64 stands for, written in the one way it may be. Raises `FormatError`."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError as exc:
        raise FormatError(f"{what} is not standard base64") from exc
    if base64.b64encode(content).decode() != text:
        raise FormatError(f"{what} is not standard base64: the bits after the last byte are not zero")
    return content


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name appears twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is larger than a number can be")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
