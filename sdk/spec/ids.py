"""Names of things: concepts, versions, principals, records.

Each is a validated `str` subclass, so that it travels through JSON and SQL unchanged and a bare `str` never
stands for it in a signature. Parsing raises `FormatError`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from sdk.errors import FormatError

_NAME = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


class PatternedText(str):
    """A string that matches its class's `pattern` entirely."""

    pattern: ClassVar[re.Pattern[str]]
    what: ClassVar[str]
    example: ClassVar[str]

    def __new__(cls, value: str) -> Self:
        if not isinstance(value, str) or not cls.pattern.fullmatch(value):
            raise FormatError(f"expected {cls.what} such as {cls.example!r}, found {value!r}")
        return super().__new__(cls, value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        text = core_schema.str_schema(pattern=f"^(?:{cls.pattern.pattern})$")
        return core_schema.no_info_after_validator_function(cls, text, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"examples": [cls.example]}


class TenantName(PatternedText):
    """The organisation that a concept, a record or a principal belongs to."""

    pattern = re.compile(_NAME)
    what = "a tenant name"
    example = "acme"


class ConceptId(PatternedText):
    """`tenant/name`: one concept for ever, whatever its versions."""

    pattern = re.compile(rf"{_NAME}/{_NAME}")
    what = "a concept id"
    example = "acme/fox"

    @property
    def tenant(self) -> TenantName:
        return TenantName(self.split("/")[0])

    @property
    def name(self) -> str:
        return self.split("/")[1]


class AliasName(PatternedText):
    """A movable name for a version, written after `@`. Never a number, so it cannot pass for a version."""

    pattern = re.compile(r"[a-z][a-z0-9-]{0,62}")
    what = "an alias"
    example = "stable"


class PrincipalId(PatternedText):
    """An authenticated actor, a person or a service: `tenant/name`."""

    pattern = re.compile(rf"{_NAME}/{_NAME}")
    what = "a principal id"
    example = "acme/aiko"

    @property
    def tenant(self) -> TenantName:
        return TenantName(self.split("/")[0])


class RecordId(PatternedText):
    """A consent, licence, generation, job or erasure: prefix, underscore, 26 lower-case base32 characters."""

    pattern = re.compile(r"(?:con|lic|gen|job|era)_[a-z2-7]{26}")
    what = "a record id"
    example = "con_aaaaaaaaaaaaaaaaaaaaaaaaaa"

    @classmethod
    def derive(cls, prefix: str, *parts: str) -> Self:
        """The id that these parts always get, so that the same act recorded twice is one record."""
        hashed = hashlib.sha256("\n".join(parts).encode()).digest()
        return cls(f"{prefix}_{base64.b32encode(hashed).decode('ascii').lower()[:26]}")


@dataclass(frozen=True, kw_only=True)
class VersionRef:
    """A reference to a version as people write it; see `parse_version_ref`.

    Exactly one of `number`, `alias`, `manifest_digest` is set, or none: then the approved version is meant.
    """

    concept: ConceptId
    number: int | None = None
    alias: AliasName | None = None
    manifest_digest: str | None = None

    def __str__(self) -> str:
        selector = self.number or self.alias or self.manifest_digest
        return f"{self.concept}@{selector}" if selector else str(self.concept)


def parse_version_ref(text: str) -> VersionRef:
    """Read `tenant/name`, `tenant/name@3`, `tenant/name@alias` or `tenant/name@sha256:<hex>`.

    Raises:
        FormatError: the text is none of these.
    """
    concept, at, selector = text.partition("@")
    if not at:
        return VersionRef(concept=ConceptId(concept))
    if re.fullmatch(r"[1-9][0-9]{0,8}", selector):
        return VersionRef(concept=ConceptId(concept), number=int(selector))
    if re.fullmatch(r"sha256:[0-9a-f]{64}", selector):
        return VersionRef(concept=ConceptId(concept), manifest_digest=selector)
    return VersionRef(concept=ConceptId(concept), alias=AliasName(selector))
