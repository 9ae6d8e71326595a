"""Envelopes, statements, manifests, terms, log entries, checkpoints and tiles: encodings and every refusal."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.governed import FOX, NOW, ORIGIN, fixed_signer, make_manifest, make_trust_root, record_id, use_terms

from sdk.errors import FormatError
from sdk.signing.trust import sign_checkpoint
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, Signature, encode_envelope, pae, parse_envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.log_checkpoint import (
    MAX_NOTE_BYTES,
    LogCheckpoint,
    encode_signed_checkpoint,
    log_key,
    parse_signed_checkpoint,
)
from sdk.spec.log_entry import AuditEventType, LogEntry, encode_log_entry, parse_log_entry
from sdk.spec.log_tiles import (
    TILE_WIDTH,
    encode_entry_bundle,
    encode_tile_index,
    entries_path,
    parse_entry_bundle,
    parse_tile_index,
    tile_path,
)
from sdk.spec.manifest import ArtefactRole, encode_manifest, parse_manifest
from sdk.spec.statements import (
    ApprovalPredicate,
    RejectionPredicate,
    encode_statement,
    parse_predicate,
    parse_statement,
    terms_digest,
)

IN_TOTO = "application/vnd.in-toto+json"
DIGEST = Digest.of(b"x")
APPROVAL = ApprovalPredicate(concept=FOX, number=1, reviewer=PrincipalId("demo/r"), terms=DIGEST, signed_at=NOW)


class TestEnvelope:
    def test_pae_measures_bytes_not_characters(self) -> None:
        assert pae("é", b"a\xff") == b"DSSEv1 2 \xc3\xa9 2 a\xff"

    def test_pae_vector_of_the_specification(self) -> None:
        assert pae("http://example.com/HelloWorld", b"hello world") == (
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        )

    def test_is_read_back(self) -> None:
        envelope = Envelope(payload=b"\x00\xff", payload_type="t", signatures=(Signature(keyid="k", sig=b"s"),))
        assert parse_envelope(encode_envelope(envelope)) == envelope
        assert envelope.digest == Digest.of(encode_envelope(envelope))

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            (b'{"payload":"AA==","payloadType":"t","signatures":[]}', "no signature"),
            (b'{"payload":"A","payloadType":"t","signatures":[{"sig":"AA=="}]}', "payload: .*base64"),
            (b'{"payload":7,"payloadType":"t","signatures":[{"sig":"AA=="}]}', "payload: .*base64 text"),
            (b'{"payload":"AA==","payloadType":"t","signatures":[{"sig":"AA==","x":1}]}', "signatures.0.x"),
            (b'{"payload":"AA==","signatures":[{"sig":"AA=="}]}', "payloadType"),
        ],
    )
    def test_refuses(self, content: bytes, fault: str) -> None:
        with pytest.raises(FormatError, match=fault):
            parse_envelope(content)

    @given(st.text(max_size=20), st.binary(max_size=20), st.text(max_size=20), st.binary(max_size=20))
    def test_pae_is_injective(self, type_a: str, a: bytes, type_b: str, b: bytes) -> None:
        assert (pae(type_a, a) == pae(type_b, b)) == ((type_a, a) == (type_b, b))


class TestStatements:
    def test_predicate_is_read_back(self) -> None:
        statement = parse_statement(encode_statement(APPROVAL, subjects={"demo/fox": DIGEST}), IN_TOTO)
        assert parse_predicate(statement, ApprovalPredicate) == APPROVAL
        assert [(s.name, s.content) for s in statement.subject] == [("demo/fox", DIGEST)]

    def test_refuses_another_payload_type(self) -> None:
        with pytest.raises(FormatError, match=r"vnd\.in-toto"):
            parse_statement(encode_statement(APPROVAL, subjects={"x": DIGEST}), "text/plain")

    def test_refuses_another_predicate_type(self) -> None:
        statement = parse_statement(encode_statement(APPROVAL, subjects={"x": DIGEST}), IN_TOTO)
        with pytest.raises(FormatError, match="rejection/v1"):
            parse_predicate(statement, RejectionPredicate)

    def test_refuses_a_predicate_that_does_not_fit_its_type(self) -> None:
        statement = parse_statement(encode_statement(APPROVAL, subjects={"x": DIGEST}), IN_TOTO)
        with pytest.raises(FormatError, match="ApprovalPredicate: number"):
            parse_predicate(statement.model_copy(update={"predicate": {"concept": "demo/fox"}}), ApprovalPredicate)

    @pytest.mark.parametrize("change", [{"subject": []}, {"_type": "https://in-toto.io/Statement/v0.1"}, {"extra": 1}])
    def test_refuses_another_statement(self, change: dict[str, Any]) -> None:
        body = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "x", "digest": {"sha256": DIGEST.hex}}],
            "predicateType": "t",
            "predicate": {},
        }
        parse_statement(encode_canonical(body), IN_TOTO)
        with pytest.raises(FormatError):
            parse_statement(encode_canonical(body | change), IN_TOTO)

    def test_terms_digest_does_not_depend_on_order_but_on_every_record(self) -> None:
        a, b = Digest.of(b"a"), Digest.of(b"b")
        assert terms_digest((a, b)) == terms_digest((b, a))
        assert len({terms_digest(records) for records in ((a,), (b,), (a, b), ())}) == 4


class TestManifest:
    def test_is_read_back_under_its_digest(self) -> None:
        manifest = make_manifest()
        assert parse_manifest(encode_manifest(manifest)) == manifest
        assert manifest.digest == Digest.of(encode_manifest(manifest))

    def test_refuses_another_form_of_the_same_content(self) -> None:
        with pytest.raises(FormatError, match="RFC 8785"):
            parse_manifest(encode_manifest(make_manifest()) + b"\n")

    def test_refuses_two_artefacts_of_one_name(self) -> None:
        artefact = make_manifest().artefacts[0]
        with pytest.raises(ValidationError, match="same name"):
            make_manifest(artefacts=(artefact, artefact))

    @pytest.mark.parametrize("name", ["/a", "a/../b", "..", "a//b", "a/", "", "a b", ".hidden", "a\\b"])
    def test_refuses_names_that_leave_their_folder(self, name: str) -> None:
        content = encode_manifest(make_manifest()).replace(b"learned_embeds.safetensors", name.encode())
        with pytest.raises(FormatError):
            parse_manifest(content)

    @pytest.mark.parametrize("name", ["consents", "licences", "artefacts"])
    def test_refuses_a_version_without(self, name: str) -> None:
        with pytest.raises(ValidationError):
            make_manifest(**{name: ()})

    def test_finds_artefacts_by_role(self) -> None:
        assert len(make_manifest().by_role(ArtefactRole.EMBEDDING)) == 1
        assert make_manifest().by_role(ArtefactRole.MASK) == ()


class TestTerms:
    def test_term_includes_its_start_and_not_its_end(self) -> None:
        terms = use_terms()
        assert terms.live_at(terms.valid_from)
        assert not terms.live_at(terms.valid_until)
        assert not terms.live_at(terms.valid_from - timedelta(seconds=1))

    @pytest.mark.parametrize(
        "change",
        [
            {"valid_until": use_terms().valid_from},
            {"purposes": ()},
            {"territories": ("Japan",)},
            {"channels": ("Web",)},
            {"valid_from": NOW.replace(tzinfo=None)},
        ],
    )
    def test_refuses(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            use_terms(**change)


class TestLogEntry:
    def entry(self, **changes: Any) -> LogEntry:
        members = {"event": "concept:created", "at": NOW, "actor": "demo/owner", "subject": "demo/fox"}
        return LogEntry(**members | changes)

    def test_is_read_back(self) -> None:
        entry = self.entry(evidence={"manifest": DIGEST}, facts={"kind": "subject"})
        assert parse_log_entry(encode_log_entry(entry)) == entry

    def test_refuses_an_entry_over_the_limit(self) -> None:
        with pytest.raises(FormatError, match="at most 65535"):
            encode_log_entry(self.entry(facts={"long": "x" * 65_535}))

    @pytest.mark.parametrize("content", [b"{}", b"x", b'{"schema":"imprimatur.log-entry/v2"}'])
    def test_refuses_what_is_none(self, content: bytes) -> None:
        with pytest.raises(FormatError, match="log entry"):
            parse_log_entry(content)

    def test_every_event_is_subject_and_act(self) -> None:
        assert all(event.value.count(":") == 1 for event in AuditEventType)


class TestCheckpoint:
    NOTE = sign_checkpoint(LogCheckpoint(origin=ORIGIN, tree_size=3, root_hash=bytes(32)), fixed_signer("log"))

    def test_is_read_back(self) -> None:
        signed = parse_signed_checkpoint(self.NOTE)
        assert signed.checkpoint == LogCheckpoint(origin=ORIGIN, tree_size=3, root_hash=bytes(32))
        assert encode_signed_checkpoint(signed) == self.NOTE

    def test_text_is_three_lines(self) -> None:
        text = self.NOTE.split(b"\n\n")[0]
        assert text == f"{ORIGIN}\n3\n{base64.b64encode(bytes(32)).decode()}".encode()

    def test_verifier_key_names_algorithm_and_key(self) -> None:
        name, key_hash, key = str(log_key(ORIGIN, bytes(32))).split("+", 2)
        assert (name, len(key_hash), base64.b64decode(key)) == (ORIGIN, 8, b"\x01" + bytes(32))

    @pytest.mark.parametrize(
        ("old", "new", "fault"),
        [
            ("\n\n", "\n", "signature block"),
            ("\n3\n", "\n03\n", "tree size"),
            ("\n3\n", "\n-3\n", "tree size"),
            ("=\n\n", "=\nextension\n\n", "extension"),
            ("AAA=\n", "AA=\n", "base64|bytes"),
            ("AAAA", "A", "base64|bytes"),
            ("— ", "- ", "signature line"),
            (f"{ORIGIN}\n", "\n", "origin"),
        ],
    )
    def test_refuses(self, old: str, new: str, fault: str) -> None:
        with pytest.raises(FormatError, match=fault):
            parse_signed_checkpoint(self.NOTE.decode().replace(old, new, 1).encode())

    @pytest.mark.parametrize(
        ("note", "fault"),
        [
            (b"\xff\n\n", "UTF-8"),
            (b"x" * (MAX_NOTE_BYTES + 1), "at most"),
            (NOTE[:-1], "signature block"),
            (NOTE.split("— ".encode())[0] + "— a AAAA\n".encode(), "too short"),
            (NOTE.split("— ".encode())[0] + "— a AAAAA\n".encode(), "not standard base64"),
        ],
    )
    def test_refuses_bytes(self, note: bytes, fault: str) -> None:
        with pytest.raises(FormatError, match=fault):
            parse_signed_checkpoint(note)

    @given(st.binary(max_size=200))
    def test_any_bytes_are_read_or_refused(self, note: bytes) -> None:
        with pytest.raises(FormatError):
            parse_signed_checkpoint(note)


class TestTiles:
    @pytest.mark.parametrize(
        ("index", "text"), [(0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")]
    )
    def test_index_is_written_in_groups(self, index: int, text: str) -> None:
        assert encode_tile_index(index) == text
        assert parse_tile_index(text) == index

    @given(st.integers(0, 2**55))
    def test_index_is_read_back(self, index: int) -> None:
        assert parse_tile_index(encode_tile_index(index)) == index

    @pytest.mark.parametrize("text", ["", "1", "0001", "x000/001", "001/x234", "x001/", "x1/001", "../001", "x" * 99])
    def test_refuses_other_spellings(self, text: str) -> None:
        with pytest.raises(FormatError):
            parse_tile_index(text)

    def test_paths(self) -> None:
        assert tile_path(2, 1067) == "tile/2/x001/067"
        assert tile_path(0, 0, width=17) == "tile/0/000.p/17"
        assert entries_path(3, width=1) == "tile/entries/003.p/1"

    @pytest.mark.parametrize("width", [0, -1, TILE_WIDTH + 1])
    def test_refuses_other_widths(self, width: int) -> None:
        with pytest.raises(FormatError, match="wide"):
            tile_path(0, 0, width=width)

    def test_refuses_a_negative_index(self) -> None:
        with pytest.raises(FormatError, match="negative"):
            encode_tile_index(-1)

    @given(st.lists(st.binary(max_size=300), max_size=6))
    def test_bundle_is_read_back(self, entries: list[bytes]) -> None:
        assert parse_entry_bundle(encode_entry_bundle(entries), width=len(entries)) == tuple(entries)

    @pytest.mark.parametrize(
        ("content", "width", "fault"),
        [
            (b"\x00", 1, "ends inside entry 0"),
            (b"\x00\x02a", 1, "ends inside entry 0"),
            (b"\x00\x01a", 2, "2 entries, found 1"),
            (b"\x00\x01a\x00\x01b", 1, "1 entries, found 2"),
        ],
    )
    def test_refuses_other_bundles(self, content: bytes, width: int, fault: str) -> None:
        with pytest.raises(FormatError, match=fault):
            parse_entry_bundle(content, width=width)

    def test_refuses_an_entry_over_the_limit(self) -> None:
        with pytest.raises(FormatError, match="at most"):
            encode_entry_bundle([b"x" * 65_536])


def test_the_world_of_these_tests_is_itself_sound() -> None:
    assert make_trust_root().log_origin == ORIGIN
    assert record_id("job").startswith("job_")
