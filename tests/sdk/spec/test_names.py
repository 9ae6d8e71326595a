"""Ids, references and digests: what they accept, and that everything else is a FormatError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sdk.errors import DigestMismatch, FormatError
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.ids import AliasName, ConceptId, PatternedText, PrincipalId, RecordId, TenantName, parse_version_ref

GOOD: list[tuple[type[PatternedText], str]] = [
    (TenantName, "acme"),
    (TenantName, "a"),
    (TenantName, "a" * 63),
    (ConceptId, "acme/fox-2"),
    (PrincipalId, "acme/aiko"),
    (AliasName, "stable"),
    (RecordId, "con_" + "a" * 26),
    (Digest, "sha256:" + "0" * 64),
]
BAD: list[tuple[type[PatternedText], object]] = [
    (TenantName, ""),
    (TenantName, "-a"),
    (TenantName, "a-"),
    (TenantName, "a" * 64),
    (TenantName, "Acme"),
    (TenantName, "acme\n"),
    (ConceptId, "acme"),
    (ConceptId, "acme/fox/1"),
    (ConceptId, "acme/../fox"),
    (ConceptId, "acme/狐"),
    (ConceptId, None),
    (PrincipalId, "aiko"),
    (AliasName, "3"),
    (AliasName, "9lives"),
    (RecordId, "con_" + "a" * 25),
    (RecordId, "con_" + "1" * 26),
    (RecordId, "xyz_" + "a" * 26),
    (Digest, "sha256:" + "0" * 63),
    (Digest, "sha256:" + "G" * 64),
    (Digest, "md5:" + "0" * 32),
]


class TestPatternedText:
    @pytest.mark.parametrize(("cls", "text"), GOOD)
    def test_accepts_and_stays_text(self, cls: type[PatternedText], text: str) -> None:
        value = cls(text)
        assert value == text
        assert isinstance(value, str)
        assert TypeAdapter(cls).validate_python(text) == value
        assert TypeAdapter(cls).dump_json(value) == f'"{text}"'.encode()

    @pytest.mark.parametrize(("cls", "text"), BAD)
    def test_refuses_and_shows_an_example(self, cls: type[PatternedText], text: str) -> None:
        with pytest.raises(FormatError, match=cls.what):
            cls(text)
        with pytest.raises(ValidationError):
            TypeAdapter(cls).validate_python(text)

    @pytest.mark.parametrize("cls", {cls for cls, _ in GOOD}, ids=lambda cls: cls.__name__)
    def test_its_example_is_one(self, cls: type[PatternedText]) -> None:
        assert cls(cls.example) == cls.example

    def test_parts(self) -> None:
        assert (ConceptId("acme/fox").tenant, ConceptId("acme/fox").name) == ("acme", "fox")
        assert PrincipalId("acme/aiko").tenant == TenantName("acme")


class TestVersionRef:
    @pytest.mark.parametrize(
        ("text", "number", "alias", "digest"),
        [
            ("acme/fox", None, None, None),
            ("acme/fox@3", 3, None, None),
            ("acme/fox@stable", None, "stable", None),
            (f"acme/fox@{Digest.of(b'')}", None, None, str(Digest.of(b""))),
        ],
    )
    def test_reads_and_writes(self, text: str, number: int | None, alias: str | None, digest: str | None) -> None:
        ref = parse_version_ref(text)
        assert (ref.concept, ref.number, ref.alias, ref.manifest_digest) == ("acme/fox", number, alias, digest)
        assert str(ref) == text

    @pytest.mark.parametrize(
        "text",
        ["", "fox", "acme/fox@", "acme/fox@0", "acme/fox@03", "acme/fox@-1", "acme/fox@a@b", "acme/fox@sha256:0"],
    )
    def test_refuses(self, text: str) -> None:
        with pytest.raises(FormatError):
            parse_version_ref(text)

    @given(st.text(max_size=30))
    def test_any_text_is_read_back_or_refused(self, text: str) -> None:
        try:
            ref = parse_version_ref(text)
        except FormatError:
            return
        assert str(ref) == text


class TestDigest:
    def test_of_content(self) -> None:
        assert Digest.of(b"abc").hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    def test_verify_returns_the_content(self) -> None:
        assert verify_digest(b"abc", Digest.of(b"abc"), "it") == b"abc"

    def test_verify_refuses_other_content_and_names_it(self) -> None:
        with pytest.raises(DigestMismatch, match="the thing should have digest"):
            verify_digest(b"abd", Digest.of(b"abc"), "the thing")
