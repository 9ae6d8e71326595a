"""Somebody with the public keys and the tiles, and nothing else, verifies a consent, an approval, a grant and a generation.

Once with `imprimatur audit verify`, and once with what is not ours: hashlib, cryptography's Ed25519, pymerkle's tree,
rfc8785 and securesystemslib's DSSE. The documents are what each party holds; the outsider has no credential.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymerkle
import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from support.database import DatabaseServer
from support.registry import BASE_URL, RegistryUnderTest, make_test_registry
from support.versions import Steps, accepted

from sdk.audit import verify_log
from sdk.cli.application import run
from sdk.client.mirror import open_mirror
from sdk.spec.envelope import encode_envelope

ACTS = {
    "consent": ("consent:given", "decision"),
    "approval": ("approval:signed", "approval"),
    "grant": ("generation:permitted", "decision"),
    "generation": ("generation:recorded", "generation"),
}


@dataclass(frozen=True)
class Outsider:
    """A folder: trust-root.json, the log's checkpoint and tiles, and a document of each kind with what it is about."""

    folder: Path
    subjects: dict[str, str]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def verify(self, act: str, **changes: str) -> int:
        event, _ = ACTS[act]
        asked = {"event": event, "subject": self.subjects[act], "evidence": str(self.folder / f"{act}.json")} | changes
        words = [word for name, value in asked.items() for word in (f"--{name}", value)]
        return run(["audit", "verify", "--log", str(self.log), "--trust-root", str(self.trust_root), *words])

    @property
    def trust_root(self) -> Path:
        return self.folder / "trust-root.json"


@pytest.fixture(scope="module")
def registry(postgres_server: DatabaseServer) -> Iterator[RegistryUnderTest]:
    with postgres_server.fresh_database() as url, make_test_registry(url) as made:
        yield made


@pytest.fixture(scope="module")
def outsider(registry: RegistryUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Outsider:
    folder, steps = tmp_path_factory.mktemp("outsider"), Steps(registry)
    fox = steps.approved()
    permit = accepted(steps.compose(fox))
    result = steps.result(permit["id"], fox)
    accepted(steps.post("app", f"/v1/generations/{permit['id']}/result", result))
    bundle = steps.get("reviewer", fox.path)
    documents = {
        "consent": steps.get("owner", f"/v1/consents/{fox.consent}/receipt")["events"][0]["statement"],
        "approval": bundle["approvals"][0]["envelope"],
        "grant": permit["grant"],
        "generation": json.loads(encode_envelope(result.statement)),
    }
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=2))
    (folder / "trust-root.json").write_bytes(encode_envelope(registry.runtime.trust_root_envelope))
    copy_tiles(registry, folder / "log")
    subjects = {"consent": fox.consent, "approval": fox.name, "grant": permit["id"], "generation": permit["id"]}
    return Outsider(folder, subjects)


def copy_tiles(registry: RegistryUnderTest, folder: Path) -> None:
    """What everybody may read, without a credential."""
    nobody = registry.client(None)
    note = nobody.get("/v1/log/checkpoint").raise_for_status().content
    size = int(note.split(b"\n")[1])
    assert size < 256
    for name in ("checkpoint", f"tile/0/000.p/{size}", f"tile/entries/000.p/{size}"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(nobody.get(f"/v1/log/{name}").raise_for_status().content)


class TestWithAuditVerify:
    @pytest.mark.parametrize("act", ACTS)
    def test_each_act_verifies_and_its_signer_is_named(
        self, outsider: Outsider, act: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert outsider.verify(act) == 0
        said = capsys.readouterr().out
        assert "every entry is included" in said
        assert f"{ACTS[act][0]} of {outsider.subjects[act]}" in said
        signer = {"approval": "demo/reviewer", "generation": "demo/app"}.get(act, "demo/decision")
        assert f"the document is the one, signed by {signer}" in said

    @pytest.mark.parametrize("act", ACTS)
    def test_another_document_is_refused(
        self, outsider: Outsider, act: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = next(name for name in ACTS if name != act)
        assert outsider.verify(act, evidence=str(outsider.folder / f"{other}.json")) == 1
        assert "with this document" in capsys.readouterr().err

    def test_act_that_is_not_in_the_log_is_refused(
        self, outsider: Outsider, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert outsider.verify("approval", subject="demo/fox@2") == 1
        assert "is approval:signed of demo/fox@2" in capsys.readouterr().err

    def test_key_that_was_revoked_before_signs_nothing(
        self, outsider: Outsider, registry: RegistryUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        root = json.loads(base64.b64decode(json.loads(outsider.trust_root.read_text())["payload"]))
        root["keys"][registry.keys["reviewer"].keyid]["last_entry"] = 3
        revoked = Outsider(tmp_path, outsider.subjects)
        for name in ("approval.json", "consent.json"):
            (tmp_path / name).write_bytes((outsider.folder / name).read_bytes())
        (tmp_path / "log").symlink_to(outsider.log)
        revoked.trust_root.write_bytes(signed_root(registry, root))
        assert revoked.verify("consent") == 0
        assert revoked.verify("approval") == 1
        assert "it was revoked" in capsys.readouterr().err

    def test_kept_checkpoint_tells_a_log_that_was_rewritten(
        self, outsider: Outsider, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["audit", "verify", "--log", str(outsider.log), "--trust-root", str(outsider.trust_root)]
        kept = tmp_path / "kept"
        assert [run([*words, "--checkpoint", str(kept)]) for _ in range(2)] == [0, 0]
        assert capsys.readouterr().out.count("nothing seen before was rewritten") == 1
        kept.write_bytes(kept.read_bytes().replace(b"\n\n", b"\n", 1))
        assert run([*words, "--checkpoint", str(kept)]) == 1

    def test_reads_over_http_without_a_credential(self, registry: RegistryUnderTest) -> None:
        with open_mirror(f"{BASE_URL}/v1/log", transport=registry.transport) as mirror:
            assert len(verify_log(mirror, registry.runtime.trust_root).entries) > 5

    @pytest.mark.parametrize(
        "words", [["--log", "x"], ["--trust-root", "x"], ["--checkpoint", "x"], ["--log", "x", "--out", "y"]]
    )
    def test_half_of_what_it_takes_is_refused(self, words: list[str]) -> None:
        assert run(["audit", "verify", *words]) == 1


def signed_root(registry: RegistryUnderTest, root: dict[str, Any]) -> bytes:
    from sdk.signing.trust import TrustRoot, sign_trust_root

    return encode_envelope(sign_trust_root(TrustRoot.model_validate(root), registry.keys["root"]))


class TestWithWhatIsNotOurs:
    """From here on nothing of this project is used but the bytes."""

    def entries(self, outsider: Outsider) -> list[bytes]:
        (bundle,) = (outsider.log / "tile/entries/000.p").iterdir()
        content, entries = bundle.read_bytes(), []
        while content:
            length = int.from_bytes(content[:2], "big")
            entries.append(content[2 : 2 + length])
            content = content[2 + length :]
        return entries

    def keys(self, outsider: Outsider, role: str) -> dict[str, bytes]:
        root = json.loads(base64.b64decode(json.loads(outsider.trust_root.read_text())["payload"]))
        return {
            keyid: base64.b64decode(key["public_key"]) for keyid, key in root["keys"].items() if key["role"] == role
        }

    def test_log_has_the_root_that_its_key_signed(self, outsider: Outsider) -> None:
        text, signatures = (outsider.log / "checkpoint").read_text().rsplit("\n\n", 1)
        (log_key,) = self.keys(outsider, "log").values()
        signature = base64.b64decode(signatures.split("\n")[0].split(" ")[2])[4:]
        Ed25519PublicKey.from_public_bytes(log_key).verify(signature, text.encode() + b"\n")
        with pytest.raises(InvalidSignature):
            Ed25519PublicKey.from_public_bytes(log_key).verify(signature, text.encode())
        _, size, root = text.split("\n")
        tree = pymerkle.InmemoryTree(algorithm="sha256")
        for entry in self.entries(outsider):
            tree.append_entry(entry)
        assert (tree.get_size(), tree.get_root()) == (int(size), base64.b64decode(root))

    @pytest.mark.parametrize("act", ACTS)
    def test_each_act_is_in_the_tree_and_signed_for_its_role(self, outsider: Outsider, act: str) -> None:
        event, role = ACTS[act]
        document = json.loads((outsider.folder / f"{act}.json").read_text())
        digest = "sha256:" + hashlib.sha256(rfc8785.dumps(document)).hexdigest()
        tree, found = pymerkle.InmemoryTree(algorithm="sha256"), []
        for index, content in enumerate(self.entries(outsider), start=1):
            tree.append_entry(content)
            entry = json.loads(content)
            if (entry["event"], entry["subject"]) == (event, outsider.subjects[act]):
                found.append((index, entry))
        ((index, entry),) = found
        assert digest in entry["evidence"].values()
        pymerkle.verify_inclusion(tree.get_leaf(index), tree.get_root(), tree.prove_inclusion(index))
        keys = [
            SSlibKey(keyid, "ed25519", "ed25519", {"public": key.hex()})
            for keyid, key in self.keys(outsider, role).items()
        ]
        envelope = Envelope.from_dict(document)
        envelope.verify(keys, threshold=1)
        with pytest.raises(VerificationError):
            envelope.verify([SSlibKey("0" * 64, "ed25519", "ed25519", {"public": "00" * 32})], threshold=1)
