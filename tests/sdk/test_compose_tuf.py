"""The compose call of a profile with a TUF root."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.governed import fixed_signer
from support.workshop import Workshop, run

from registry.distribution.repository import TufRepository
from sdk.compose import Composition
from sdk.errors import (
    PolicyDenied,
    ServiceUnavailable,
    TrustRootInvalid,
)
from sdk.policy.bundle import PolicyBundle
from sdk.signing.trust import sign_trust_root
from sdk.spec.canonical import encode_canonical
from sdk.spec.envelope import encode_envelope


class TestOverTuf:
    """A profile with a TUF root believes in no other trust root and no other policies than what comes from there."""

    @pytest.fixture
    def tuf(self, workshop: Workshop, tmp_path: Path) -> TufRepository:
        made = TufRepository(tmp_path / "tuf")
        workshop.registry.tuf = made.folder
        return made

    def targets(self, workshop: Workshop, policies: PolicyBundle | None = None) -> dict[str, bytes]:
        return {
            "trust-root.json": encode_envelope(sign_trust_root(workshop.registry.trust, fixed_signer("root"))),
            "policies.json": encode_canonical((policies or workshop.registry.policies).view()),
        }

    def create(self, tuf: TufRepository, targets: dict[str, bytes]) -> None:
        now = datetime.now(UTC)
        root, online = fixed_signer("root"), fixed_signer("online")
        tuf.create([root], online, targets, threshold=1, expires=now + timedelta(days=9), now=now)

    def run(self, workshop: Workshop, tuf: TufRepository) -> Composition:
        return run(replace_profile(workshop, tuf_root=tuf.first_root))

    def test_composes(self, workshop: Workshop, tuf: TufRepository) -> None:
        self.create(tuf, self.targets(workshop))
        assert self.run(workshop, tuf).images
        assert "GET /v1/trust-root" not in workshop.registry.asked
        assert "GET /v1/policies" not in workshop.registry.asked

    def test_refuses_a_registry_that_decides_by_other_policies(self, workshop: Workshop, tuf: TufRepository) -> None:
        files = dict(workshop.registry.policies.files)
        files["composition/rules.cedar"] += "\n// stricter days\n"
        self.create(tuf, self.targets(workshop, PolicyBundle(files=files)))
        with pytest.raises(PolicyDenied, match="under our policies"):
            self.run(workshop, tuf)

    def test_refuses_a_trust_root_that_is_not_distributed(self, workshop: Workshop, tuf: TufRepository) -> None:
        self.create(tuf, {})
        with pytest.raises(TrustRootInvalid, match=r"distributes no trust-root\.json"):
            self.run(workshop, tuf)

    def test_refuses_without_any_repository(self, workshop: Workshop, tuf: TufRepository, tmp_path: Path) -> None:
        self.create(tuf, self.targets(workshop))
        workshop.registry.tuf = tmp_path / "nowhere"
        with pytest.raises(ServiceUnavailable, match="TUF metadata"):
            self.run(workshop, tuf)


def replace_profile(workshop: Workshop, **changes: Any) -> Workshop:
    return dataclasses.replace(workshop, profile=dataclasses.replace(workshop.profile, **changes))
