"""A studio in process: the real registry, and everybody of tenant demo with keys, credentials and a profile of their own.

    with make_studio(database_url, folder) as studio:
        studio.command("approve", "demo/fox@1", role="reviewer")    # as typed; status and output come back
        studio.client("auditor")                                    # the SDK's client
        studio.submit(FOX, ConceptKind.SUBJECT, consents, licences) # as the training service does, without training
        with studio.wire.tampered("GET /v1/log/tile/.*", change):   # somebody between the registry and its callers
            ...

It is a `examples.demo.studio.Studio`. Its clock is the real one, which commands read too.
"""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest.mock import patch

import httpx
import torch
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from safetensors.torch import save
from support.governed import make_manifest, record_id
from support.registry import BASE_URL, RegistryUnderTest, SettableClock, make_test_registry
from support.tampering import Change
from support.tiny_backbone import make_backbone_dir

from registry.runtime import Runtime
from sdk.cli.application import run
from sdk.client import Client
from sdk.client.mirror import open_mirror
from sdk.credentials.authority import create_authority
from sdk.generate.base_model import base_model_digest
from sdk.generate.tokens import placeholder_token
from sdk.profile import Profile, load_profile
from sdk.signing.signer import sign_envelope
from sdk.spec.api import VersionSubmission, VersionView
from sdk.spec.envelope import encode_envelope
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ConceptKind, encode_manifest
from sdk.spec.statements import TrainingPredicate, encode_statement

TRAINER_URL = "http://trainer.test"


class RunningClock(SettableClock):
    """A clock that goes, for people whose commands read the real one."""

    def __init__(self) -> None:
        super().__init__(now=datetime.now(UTC))

    def __call__(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Wire(httpx.BaseTransport):
    """Into the registry, past whoever sits on the wire."""

    inner: httpx.BaseTransport
    changes: dict[str, Change] = field(default_factory=dict)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        asked = f"{request.method} {request.url.path}"
        for pattern, change in self.changes.items():
            if re.fullmatch(pattern, asked):
                return change(request, lambda: self.inner.handle_request(request))
        return self.inner.handle_request(request)

    @contextmanager
    def tampered(self, pattern: str, change: Change) -> Iterator[None]:
        """While open, requests `METHOD PATH` that match are answered by `change`."""
        self.changes[pattern] = change
        try:
            yield
        finally:
            del self.changes[pattern]


@dataclass(frozen=True, kw_only=True)
class StudioInProcess:
    """Where a journey happens."""

    registry: RegistryUnderTest
    folder: Path
    base_model: Path
    authority: str
    wire: Wire
    trainer: httpx.BaseTransport | None = None

    def profile(self, role: str) -> Profile:
        path = self.folder / f"{role}.toml"
        return load_profile(path if path.exists() else self._write_profile(role))

    def client(self, role: str) -> Client:
        return self._connect(self.profile(role))

    def command(self, *words: str, role: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in process; the log that it reads by an address is the registry's."""
        out, err = io.StringIO(), io.StringIO()
        mirror = partial(open_mirror, transport=self.registry.transport)
        arguments = [*words, *(("--profile", str(self.profile(role).path)) if role else ())]
        with redirect_stdout(out), redirect_stderr(err), patch("sdk.cli.connection.connect", self._connect):
            with patch("sdk.cli.outside.open_mirror", mirror):
                status = run(arguments)
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    def submit(
        self, concept: ConceptId, kind: ConceptKind, consents: Sequence[RecordId], licences: Sequence[RecordId]
    ) -> VersionView:
        """Submit a version as the training service does; what it learned is noise from a fixed seed."""
        content = make_embedding(concept)
        training = make_manifest().training.model_copy(update={"job": record_id("job")})
        manifest = make_manifest(
            content,
            concept=concept,
            kind=kind,
            base_model=base_model_digest(self.base_model),
            consents=tuple(consents),
            licences=tuple(licences),
            training=training,
        )
        statement = encode_statement(
            TrainingPredicate(concept=concept, record=training), subjects={str(concept): manifest.digest}
        )
        attestation = sign_envelope(statement, self.registry.keys["training-service"])
        with self.client("training-service") as service:
            service.put_blob(content)
            return service.submit_version(
                concept, VersionSubmission(manifest=encode_manifest(manifest), attestation=attestation)
            )

    def _connect(self, profile: Profile) -> Client:
        return Client(
            profile.registry,
            profile.credential,
            trainer_url=profile.trainer,
            transport=self.wire,
            trainer_transport=self.trainer,
        )

    def _write_profile(self, role: str) -> Path:
        path = self.folder / f"{role}.toml"
        key = self.registry.keys[role]._private_key
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / f"{role}.pem").write_bytes(pem)
        members = {
            "registry": BASE_URL,
            "trainer": TRAINER_URL,
            "principal": f"demo/{role}",
            "credential": self.registry.credentials[role],
            "trust_root": "trust-root.json",
            "signing_key": f"{role}.pem",
            "content_credentials": "content-credentials",
            "base_model": str(self.base_model),
        }
        path.write_text("".join(f'{member} = "{value}"\n' for member, value in members.items()))
        path.chmod(0o600)
        return path


@contextmanager
def make_studio(
    database_url: str,
    folder: Path,
    *,
    base_model: Path | None = None,
    change: Callable[[Runtime], Runtime] = lambda runtime: runtime,
    trust_the_authority: bool = True,
) -> Iterator[StudioInProcess]:
    """A studio on the empty migrated database at `database_url`; `change` replaces parts of the registry."""
    authority = create_authority(folder / "content-credentials", organization="Demo", now=datetime.now(UTC))
    authorities = (authority,) if trust_the_authority else ()
    with make_test_registry(database_url, clock=RunningClock(), authorities=authorities, change=change) as registry:
        (folder / "trust-root.json").write_bytes(encode_envelope(registry.runtime.trust_root_envelope))
        yield StudioInProcess(
            registry=registry,
            folder=folder,
            base_model=base_model or make_backbone_dir(folder / "base", "sd"),
            authority=authority,
            wire=Wire(registry.transport),
        )


def make_embedding(concept: ConceptId, *, seed: int = 1) -> bytes:
    """Two vectors of noise under the concept's token, for the tiny networks."""
    rows = torch.randn(2, 16, generator=torch.Generator().manual_seed(seed))
    return save({placeholder_token(concept): rows})
