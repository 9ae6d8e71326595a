"""A renewal, step by step, for tests: new records for a version, asked for, reviewed, verified as a client does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from support.registry import RegistryUnderTest
from support.versions import Steps, Submitted, accepted

from sdk.spec.bundle import VersionBundle
from sdk.spec.ids import parse_version_ref
from sdk.verify import VerifiedVersion, verify_version

TERM_DAYS = 100  # of the records that `Steps` makes
LATER_DAYS = TERM_DAYS + 200  # of new ones


def new_records(steps: Steps, version: Submitted, **changes: Any) -> dict[str, tuple[str, ...]]:
    """A consent and a licence that run for longer; `begins` days from now, if that is named."""
    now, begins = steps.registry.clock.now, changes.pop("begins", 0)
    span = {"valid_from": now + timedelta(days=begins), "valid_until": now + timedelta(days=LATER_DAYS)}
    terms = steps.terms(**span)
    described = {name: changes.pop(name) for name in ("intended_uses", "royalty") if name in changes}
    consent = steps.consent(version.concept, terms=terms, **changes)
    licence = steps.licence(version.concept, terms=terms, **described)
    return {"consents": (consent["id"],), "licences": (licence["id"],)}


def asked(steps: Steps, version: Submitted, **changes: Any) -> Any:
    """A renewal under new records, as it stands when it was asked for."""
    return accepted(steps.renewal(version, **new_records(steps, version, **changes)))


def renewed(steps: Steps, version: Submitted, **changes: Any) -> Any:
    """The same, approved."""
    terms = asked(steps, version, **changes)["terms"]
    return accepted(steps.review_renewal(version, terms))


def bundle_of(registry: RegistryUnderTest, version: Submitted, path: str = "") -> VersionBundle:
    return VersionBundle.model_validate(Steps(registry).get("app" if not path else "reviewer", version.path + path))


def verified(registry: RegistryUnderTest, bundle: VersionBundle) -> VerifiedVersion:
    """What `sdk.verify` makes of a bundle and the list that the registry serves now. Raises like it."""
    listed = registry.client(None).get("/v1/status/demo/0").content
    ref = parse_version_ref(f"{bundle.concept}@{bundle.number}")
    trust, now = registry.runtime.trust_root, registry.clock.now
    return verify_version(bundle, ref=ref, trust=trust, now=now, status_list=listed)
