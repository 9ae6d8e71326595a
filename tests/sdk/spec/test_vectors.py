"""The vectors: ours are what the code makes and still verify; the official ones come out as specified."""

from __future__ import annotations

import importlib.util
import json
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.governed import NOW, ORIGIN, fixed_signer

from sdk.errors import FormatError, SignatureInvalid
from sdk.receipt import require_about, verify_erasure, verify_log_proof
from sdk.signing.receipts import verify_receipt
from sdk.signing.signer import verified_keyids
from sdk.signing.trust import TrustRole, verify_checkpoint, verify_role, verify_trust_root
from sdk.spec.bundle import VersionBundle
from sdk.spec.canonical import encode_canonical, parse_json, parse_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import pae, parse_envelope
from sdk.spec.ids import parse_version_ref
from sdk.spec.log_entry import AuditEventType, LogReceipt, parse_log_entry
from sdk.spec.log_policy import parse_log_policy
from sdk.spec.log_tiles import parse_entry_bundle
from sdk.spec.manifest import parse_manifest
from sdk.spec.merkle import leaf_hash, root_of, verify_consistency, verify_inclusion
from sdk.spec.recorded import ConsentPredicate, SubmissionPredicate
from sdk.spec.statements import Predicate, parse_predicate, parse_statement
from sdk.verify import verify_version
from sdk.witness import Witness

FOLDER = Path(__file__).resolve().parents[2] / "vectors"
OFFICIAL = FOLDER / "official"


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vector_generator", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


def read(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


class TestOurVectors:
    @pytest.mark.parametrize("name", sorted(GENERATOR.VECTORS))
    def test_is_what_the_code_makes(self, name: str) -> None:
        assert read(name) == GENERATOR.VECTORS[name](), "a format changed; old signatures would not verify"

    def test_receipt_in_a_file_verifies_under_its_policy(self) -> None:
        proven = verify_log_proof(read("approval.tlog-proof"), parse_log_policy(read("log-policy.txt")))
        require_about(proven, event=AuditEventType.APPROVAL_SIGNED, evidence=Digest.of(read("approval.json")))
        assert proven.cosigned == {"w": NOW}

    def test_request_to_a_witness_is_cosigned(self, tmp_path: Path) -> None:
        log = GENERATOR.approved_world().log
        witness = Witness(
            name="証人.test",
            signer=fixed_signer("witness"),
            policy=parse_log_policy(read("log-policy.txt")),
            folder=tmp_path,
            clock=lambda: NOW,
        )
        assert witness.add_checkpoint(b"old 0\n\n" + log.note(2)).status == 200
        answer = witness.add_checkpoint(read("add-checkpoint.txt"))
        assert (answer.status, read("log-checkpoint.txt") + answer.body) == (200, read("log-checkpoint-cosigned.txt"))

    def test_certificate_of_erasure_verifies(self) -> None:
        root = verify_trust_root(parse_envelope(read("trust-root.json")), now=NOW)
        assert verify_erasure(parse_envelope(read("erasure-certificate.json")), root).keys == 3

    @pytest.mark.parametrize(
        ("name", "cls"),
        [("consent-statement.json", ConsentPredicate), ("submission-statement.json", SubmissionPredicate)],
    )
    def test_statement_of_the_registry_verifies(self, name: str, cls: type[Predicate]) -> None:
        first, second = (verify_trust_root(parse_envelope(read(f"trust-root{n}.json")), now=NOW) for n in ("", "-2"))
        root = verify_trust_root(parse_envelope(read("trust-root-3.json")), now=NOW, previous=second)
        envelope = parse_envelope(read(name))
        verify_role(envelope, root, TrustRole.DECISION)
        assert parse_predicate(parse_statement(envelope.payload, envelope.payload_type), cls)
        with pytest.raises(SignatureInvalid):
            verify_role(envelope, first, TrustRole.DECISION)

    def test_readme_names_every_vector(self) -> None:
        readme = (FOLDER / "README.md").read_text()
        named = [*GENERATOR.VECTORS, *(f"official/{path.name}" for path in OFFICIAL.iterdir())]
        assert [name for name in named if f"`{name}`" not in readme] == []

    def test_check_names_what_differs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, make in GENERATOR.VECTORS.items():
            (tmp_path / name).write_bytes(make())
        monkeypatch.setattr(GENERATOR, "HERE", tmp_path)
        assert GENERATOR.differing() == []
        (tmp_path / "manifest.json").write_bytes(b"{}")
        (tmp_path / "merkle.json").unlink()
        assert GENERATOR.differing() == ["manifest.json", "merkle.json"]

    def test_envelope_verifies_under_its_published_key(self) -> None:
        published = json.loads(read("public-keys.json"))
        envelope = parse_envelope(read("envelope.json"))
        assert pae(envelope.payload_type, envelope.payload).hex() == published["envelope_pae"]
        assert verified_keyids(envelope, {"app": bytes.fromhex(published["ed25519"]["app"])}) == {"app"}

    def test_version_bundle_verifies_under_the_trust_root(self) -> None:
        first = verify_trust_root(parse_envelope(read("trust-root.json")), now=NOW)
        trust = verify_trust_root(parse_envelope(read("trust-root-2.json")), now=NOW, previous=first)
        bundle = parse_wire(VersionBundle, read("version-bundle.json"), "bundle")
        ref, listed = parse_version_ref("demo/fox@1"), read("status-list.jwt")
        version = verify_version(bundle, ref=ref, trust=trust, now=NOW, status_list=listed)
        assert version.manifest == parse_manifest(read("manifest.json"))
        assert bundle.training_attestation == parse_envelope(read("training-attestation.json"))
        assert bundle.approvals[0].envelope == parse_envelope(read("approval.json"))

    def test_log_vectors_agree_with_each_other(self) -> None:
        trust = verify_trust_root(parse_envelope(read("trust-root.json")), now=NOW)
        checkpoint = verify_checkpoint(read("log-checkpoint.txt"), trust)
        entries = parse_entry_bundle(read("log-entry-bundle.bin"), width=checkpoint.tree_size)
        assert root_of([leaf_hash(entry) for entry in entries]) == checkpoint.root_hash
        receipt = parse_wire(LogReceipt, read("log-receipt.json"), "receipt")
        assert receipt.entry == entries[1]
        assert verify_receipt(receipt, trust).subject == "demo/fox@1"
        assert parse_log_entry(read("log-entry.json")).evidence
        assert checkpoint.origin == ORIGIN


class TestMerkleVectors:
    DATA: dict[str, Any] = json.loads(read("merkle.json"))

    def test_proofs_hold(self) -> None:
        leaves = [bytes.fromhex(leaf) for leaf in self.DATA["leaves"]]
        roots = {int(size): bytes.fromhex(root) for size, root in self.DATA["roots"].items()}
        for place, proof in self.DATA["inclusion"].items():
            index, size = map(int, place.split("/"))
            hashes = [bytes.fromhex(h) for h in proof]
            verify_inclusion(leaf=leaves[index], index=index, tree_size=size, proof=hashes, root=roots[size])
        for place, proof in self.DATA["consistency"].items():
            old, new = map(int, place.split("/"))
            hashes = [bytes.fromhex(h) for h in proof]
            verify_consistency(old_size=old, new_size=new, old_root=roots[old], new_root=roots[new], proof=hashes)


class TestRfc6962:
    DATA: dict[str, Any] = json.loads((OFFICIAL / "rfc6962.json").read_bytes())
    LEAVES = tuple(leaf_hash(bytes.fromhex(leaf)) for leaf in DATA["leaves"])
    ROOTS = tuple(bytes.fromhex(root) for root in DATA["roots"])

    @pytest.mark.parametrize("size", range(9))
    def test_roots(self, size: int) -> None:
        assert root_of(self.LEAVES[:size]) == self.ROOTS[size]

    @pytest.mark.parametrize("case", DATA["inclusion"], ids=lambda case: f"{case['index']}-{case['size']}")
    def test_inclusion(self, case: dict[str, Any]) -> None:
        index, size = case["index"], case["size"]
        proof = [bytes.fromhex(h) for h in case["proof"]]
        verify_inclusion(leaf=self.LEAVES[index], index=index, tree_size=size, proof=proof, root=self.ROOTS[size])

    @pytest.mark.parametrize("case", DATA["consistency"], ids=lambda case: f"{case['old']}-{case['new']}")
    def test_consistency(self, case: dict[str, Any]) -> None:
        old, new = case["old"], case["new"]
        proof = [bytes.fromhex(h) for h in case["proof"]]
        verify_consistency(old_size=old, new_size=new, old_root=self.ROOTS[old], new_root=self.ROOTS[new], proof=proof)


class TestRfc8785:
    DATA: dict[str, Any] = json.loads((OFFICIAL / "jcs.json").read_bytes())

    @pytest.mark.parametrize("case", DATA["documents"], ids=lambda case: case["utf8_hex"][:12])
    def test_documents(self, case: dict[str, str]) -> None:
        assert encode_canonical(parse_json(case["input"].encode(), "sample")).hex() == case["utf8_hex"]

    def test_order_of_names(self) -> None:
        case = self.DATA["sorted_values"]
        ordered = json.loads(encode_canonical(parse_json(case["input"].encode(), "sample")))
        assert list(ordered.values()) == case["values"]

    @pytest.mark.parametrize(("bits", "text"), DATA["numbers"].items())
    def test_numbers(self, bits: str, text: str) -> None:
        (value,) = struct.unpack(">d", bytes.fromhex(bits))
        assert encode_canonical([value]) == f"[{text}]".encode()

    @pytest.mark.parametrize("bits", DATA["refused_numbers"])
    def test_refused_numbers(self, bits: str) -> None:
        (value,) = struct.unpack(">d", bytes.fromhex(bits))
        with pytest.raises(FormatError):
            encode_canonical([value])
