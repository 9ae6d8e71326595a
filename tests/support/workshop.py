"""A profile with real keys, credentials and a tiny base model, and a fake registry that has one approved concept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from safetensors.torch import save
from support.fake_registry import FakeRegistry
from support.governed import NOW, World, fixed_signer, make_manifest
from support.tiny_backbone import make_backbone_dir

from sdk.compose import Composition, compose
from sdk.credentials.authority import create_authority
from sdk.generate.base_model import base_model_digest
from sdk.profile import Profile, load_profile
from sdk.signing.trust import sign_trust_root
from sdk.spec.digest import Digest
from sdk.spec.envelope import encode_envelope
from sdk.spec.log_entry import AuditEventType

SCENE = "a photo of {demo/fox}"
USE = {"purpose": "advertising", "territory": "JP", "channel": "web"}
AS_OPTIONS = ("--purpose", "advertising", "--territory", "JP", "--channel", "web", "--steps", "2", "--count", "2")


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where a test composes."""

    folder: Path
    profile: Profile
    registry: FakeRegistry
    authority: str


def make_embedding(seed: int = 1) -> bytes:
    generator = torch.Generator().manual_seed(seed)
    return save({"<demo-fox>": torch.randn(2, 16, generator=generator)})


def make_workshop(folder: Path, *, name: str = "app", base: Path | None = None) -> Workshop:
    """Write the profile of `name` and everything it points to."""
    base = base or make_backbone_dir(folder / "base", "sd")
    embedding = make_embedding()
    world = World(manifest=make_manifest(embedding, base_model=base_model_digest(base)))
    world.approve()
    world.log.append(AuditEventType.VERSION_APPROVED, world.name)
    registry = FakeRegistry(world)
    registry.blobs[Digest.of(embedding)] = embedding
    authority = create_authority(folder / "content-credentials", organization="Demo", now=datetime.now(UTC))
    registry.trust = world.trust.model_copy(update={"credential_authorities": (authority,)})
    (folder / "trust-root.json").write_bytes(encode_envelope(sign_trust_root(registry.trust, fixed_signer("root"))))
    key = fixed_signer(name)._private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key)
    profile = write_profile(folder, name, base)
    return Workshop(folder=folder, profile=profile, registry=registry, authority=authority)


def write_profile(folder: Path, name: str, base: Path) -> Profile:
    path = folder / "profile.toml"
    members = {
        "registry": "http://registry.test",
        "principal": f"demo/{name}",
        "credential": "imp_x",
        "trust_root": "trust-root.json",
        "signing_key": "key.pem",
        "content_credentials": "content-credentials",
        "base_model": str(base),
    }
    path.write_text("".join(f'{member} = "{value}"\n' for member, value in members.items()))
    path.chmod(0o600)
    return load_profile(path)


def run(workshop: Workshop, concepts: Any = ("demo/fox",), scene: str = SCENE, **options: Any) -> Composition:
    """A compose call in the workshop, on a connection of its own."""
    with workshop.registry.client() as client:
        call = {"steps": 2, "profile": workshop.profile, "client": client, "clock": lambda: NOW} | USE | options
        return compose(concepts, scene, **call)
