"""`imprimatur export`, held to tools that are not ours: model-signing's own verifier, and the words of the OCI and
ModelPack specifications.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.governed import NOW
from support.workshop import Workshop, make_embedding

from sdk.cli.application import run
from sdk.export.model_signing import load_export_key
from sdk.spec.bundle import VersionBundle, VersionStatus
from sdk.spec.canonical import parse_wire
from sdk.spec.digest import Digest
from sdk.spec.envelope import parse_envelope
from sdk.spec.ids import parse_version_ref
from sdk.spec.manifest import parse_manifest
from sdk.verify import verify_submission

EMBEDDING = "learned_embeds.safetensors"
ABOUT = {"imprimatur/manifest.json", "imprimatur/trust-root.json", "imprimatur/version-bundle.json"}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "export.pem"
    assert run(["export", "key", str(path)]) == 0
    return path


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A folder of the trainer, in which the embedding lies under some other name."""
    folder = tmp_path / "mine" / "job"
    folder.mkdir(parents=True)
    (folder / "e.safetensors").write_bytes(make_embedding())
    (folder / "note.txt").write_text("not of the version")
    return folder.parent


def verify(folder: Path, public_key: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """What OpenSSF's verifier says, as its users run it."""
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(folder / "model.sig"), "--public_key", str(public_key), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def signed(tmp_path: Path, key: Path, *more: str) -> Path:
    out = tmp_path / "signed"
    assert run(["export", "model-signing", "demo/fox@1", str(out), "--key", str(key), *more]) == 0
    return out


class TestModelSigning:
    def test_is_accepted_by_the_real_verifier(
        self, reviewer: Workshop, tmp_path: Path, key: Path, held: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = signed(tmp_path, key, "--held", str(held))
        assert (out / EMBEDDING).read_bytes() == make_embedding()
        assert not (out / "note.txt").exists()
        assert "model_signing verify key" in capsys.readouterr().out
        done = verify(out, Path(f"{key}.pub"))
        assert (done.returncode, "succeeded" in done.stdout) == (0, True), done.stdout + done.stderr

    @pytest.mark.parametrize("change", ["content", "one more", "one less", "signature", "other key"])
    def test_is_refused_by_the_real_verifier_after_any_change(
        self, reviewer: Workshop, tmp_path: Path, key: Path, held: Path, change: str
    ) -> None:
        out = signed(tmp_path, key, "--held", str(held))
        public = Path(f"{key}.pub")
        if change == "content":
            (out / EMBEDDING).write_bytes(make_embedding(2))
        elif change == "one more":
            (out / "more.bin").write_bytes(b"more")
        elif change == "one less":
            (out / EMBEDDING).unlink()
        elif change == "signature":
            text = json.loads((out / "model.sig").read_text())
            payload = text["dsseEnvelope"]["payload"]
            text["dsseEnvelope"]["payload"] = payload[:100] + ("A" if payload[100] != "A" else "B") + payload[101:]
            (out / "model.sig").write_text(json.dumps(text))
        else:
            assert run(["export", "key", str(tmp_path / "other.pem")]) == 0
            public = tmp_path / "other.pem.pub"
        assert verify(out, public).returncode != 0

    def test_carries_the_proofs_of_the_approval(self, reviewer: Workshop, tmp_path: Path, key: Path) -> None:
        out = signed(tmp_path, key)
        bundle = parse_wire(VersionBundle, (out / "imprimatur" / "version-bundle.json").read_bytes(), "bundle")
        ref = parse_version_ref("demo/fox@1")
        version = verify_submission(bundle, ref=ref, trust=reviewer.registry.trust, now=NOW)
        assert parse_manifest((out / "imprimatur" / "manifest.json").read_bytes()) == version.manifest
        assert parse_envelope((out / "imprimatur" / "trust-root.json").read_bytes()).signatures

    def test_has_no_embedding_that_nobody_held(
        self, reviewer: Workshop, tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = signed(tmp_path, key)
        assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == ABOUT | {"model.sig"}
        assert "1 of its 1 own files are not in it" in capsys.readouterr().out
        assert not [asked for asked in reviewer.registry.asked if "/files/" in asked or "/artefacts/" in asked]

    def test_never_asks_a_registry_for_the_embedding(
        self, reviewer: Workshop, tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["export", "model-signing", "demo/fox@1", str(tmp_path / "x"), "--key", str(key)]
        assert run([*command, "--include", "embedding"]) == 1
        assert "hands out no embedding" in capsys.readouterr().err
        assert not (tmp_path / "x").exists()

    def test_is_of_approved_versions_only(
        self, reviewer: Workshop, tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reviewer.registry.status["demo/fox"] = VersionStatus.SUSPENDED
        assert run(["export", "model-signing", "demo/fox@1", str(tmp_path / "x"), "--key", str(key)]) == 1
        assert "suspended" in capsys.readouterr().err
        assert not (tmp_path / "x").exists()

    def test_overwrites_nothing(self, reviewer: Workshop, tmp_path: Path, key: Path) -> None:
        before = key.read_bytes()
        assert run(["export", "key", str(key)]) == 1
        assert key.read_bytes() == before
        assert key.stat().st_mode & 0o777 == 0o600
        assert run(["export", "model-signing", "demo/fox@1", str(tmp_path), "--key", str(key)]) == 1

    @pytest.mark.parametrize("content", [b"", b"not a key", None])
    def test_needs_a_p256_key(self, reviewer: Workshop, tmp_path: Path, content: bytes | None) -> None:
        wrong = tmp_path / "wrong.pem"
        wrong.write_bytes((tmp_path / "key.pem").read_bytes() if content is None else content)  # Ed25519
        assert run(["export", "model-signing", "demo/fox@1", str(tmp_path / "x"), "--key", str(wrong)]) == 1
        assert not (tmp_path / "x").exists()

    def test_keys_of_other_tools_are_taken(self, tmp_path: Path) -> None:
        path = tmp_path / "openssl.pem"
        made = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path)]
        subprocess.run(made, check=True, capture_output=True)
        assert b"PUBLIC KEY" in load_export_key(path).public_pem


class TestOci:
    def layout(self, tmp_path: Path, *more: str) -> tuple[Path, dict[str, Any]]:
        out = tmp_path / "layout"
        assert run(["export", "oci", "demo/fox@1", str(out), *more]) == 0
        index = json.loads((out / "index.json").read_text())
        assert json.loads((out / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        assert (index["schemaVersion"], index["mediaType"]) == (2, "application/vnd.oci.image.index.v1+json")
        return out, index

    def read(self, out: Path, descriptor: dict[str, Any]) -> bytes:
        """A blob, held to its descriptor."""
        algorithm, _, digest = descriptor["digest"].partition(":")
        content = (out / "blobs" / algorithm / digest).read_bytes()
        assert (Digest.of(content), len(content)) == (descriptor["digest"], descriptor["size"])
        return content

    def test_is_a_model_artifact_whose_every_blob_is_what_it_is_called(
        self, reviewer: Workshop, tmp_path: Path, held: Path
    ) -> None:
        out, index = self.layout(tmp_path, "--held", str(held))
        (described,) = index["manifests"]
        assert described["annotations"]["org.opencontainers.image.ref.name"] == "1"
        manifest = json.loads(self.read(out, described))
        assert manifest["mediaType"] == described["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
        assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
        layers = {layer["annotations"]["org.cncf.model.filepath"]: layer for layer in manifest["layers"]}
        assert set(layers) == ABOUT | {EMBEDDING}
        assert layers[EMBEDDING]["mediaType"] == "application/vnd.cncf.model.weight.v1.raw"
        assert self.read(out, layers[EMBEDDING]) == make_embedding()
        for name in ABOUT:
            assert layers[name]["mediaType"] == "application/vnd.cncf.model.doc.v1.raw"
            self.read(out, layers[name])
        named = {descriptor["digest"] for descriptor in (described, manifest["config"], *manifest["layers"])}
        assert {f"sha256:{path.name}" for path in (out / "blobs" / "sha256").iterdir()} == named

    def test_configuration_says_what_the_model_is(self, reviewer: Workshop, tmp_path: Path, held: Path) -> None:
        out, index = self.layout(tmp_path, "--held", str(held))
        manifest = json.loads(self.read(out, index["manifests"][0]))
        config = json.loads(self.read(out, manifest["config"]))
        assert set(config) == {"descriptor", "config", "modelfs"}
        assert set(config["descriptor"]) <= {  # every member that model-spec's config.md names
            *("createdAt", "authors", "family", "name", "docURL", "sourceURL", "datasetsURL", "version", "revision"),
            *("vendor", "licenses", "title", "description"),
        }
        assert config["descriptor"]["name"] == "demo/fox"
        assert config["descriptor"]["revision"] == reviewer.registry.worlds["demo/fox"].manifest.digest
        assert "demo/reviewer" in config["descriptor"]["description"]
        assert config["modelfs"] == {"type": "layers", "diffIds": [layer["digest"] for layer in manifest["layers"]]}

    def test_is_the_same_bytes_each_time(self, reviewer: Workshop, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        indices = []
        for folder in (first, second):
            folder.mkdir()
            indices.append(self.layout(folder)[1])
        configs = [
            json.loads(self.read(f / "layout", i["manifests"][0]))["config"]
            for f, i in zip((first, second), indices, strict=True)
        ]
        assert configs[0] == configs[1]
