"""A case of `tests/vectors/verify/`, and the worlds that cases are made of. The folder's form: `verify_cases.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from support.governed import NOW, World, fixed_signer

from sdk.signing.trust import TrustRoot, sign_trust_root
from sdk.spec.canonical import encode_canonical
from sdk.spec.envelope import encode_envelope


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case; `error` and `words` are empty where it must verify."""

    why: str
    world: World
    error: str = ""
    words: str = ""
    ref: str = "demo/fox"
    now: datetime = NOW
    changes: dict[str, Any] = field(default_factory=dict)  # of the bundle
    listed: bytes = b""  # none: the version's own list
    seen: datetime | None = None  # when the newest status list that was seen before is from
    known: TrustRoot | None = None
    artefact: bytes = b""

    def files(self) -> dict[str, bytes]:
        seen = self.seen.isoformat() if self.seen else ""
        expected = {
            "ref": self.ref,
            "now": self.now.isoformat(),
            "seen": seen,
            "error": self.error,
            "words": self.words,
        }
        files = {
            "bundle.json": encode_canonical(self.world.bundle(**self.changes)) + b"\n",
            "status-list.jwt": self.listed or self.world.status_list(),
            "trust-root.json": encode_envelope(sign_trust_root(self.world.trust, fixed_signer("root"))) + b"\n",
            "case.json": json.dumps({k: v for k, v in expected.items() if v}, indent=1).encode() + b"\n",
            "README.md": self.why.encode() + b"\n",
        }
        if self.known:
            files["known-root.json"] = encode_envelope(sign_trust_root(self.known, fixed_signer("root"))) + b"\n"
        return files | ({"artefact.bin": self.artefact} if self.artefact else {})


def approved(**options: Any) -> World:
    world = World(**options)
    world.approve()
    return world


def revoke(world: World, name: str, last_entry: int) -> World:
    """The world in which the key of `name` counts up to `last_entry` of the log."""
    keyid = fixed_signer(name).keyid
    key = world.trust.keys[keyid].model_copy(update={"last_entry": last_entry})
    world.trust = world.trust.model_copy(update={"keys": world.trust.keys | {keyid: key}})
    return world


def key_revoked_before(name: str, last_entry: int, words: str, why: str) -> Case:
    world = revoke(approved(), name, last_entry)
    return Case(why=why, world=world, error="verification.signature", words=words)
