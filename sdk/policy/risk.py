"""Risk classes: how many reviewers a version needs, as data of the policy bundle (`approval/risk_classes.yaml`).

Rules:
1. The classes are tried in their order, and the first that fits is the version's.
2. The last one names no condition, so that every version has a class.
3. No class asks for fewer reviewers than `sdk.spec.manifest.minimum_approvals`, which every verifier holds it to.
"""

from __future__ import annotations

from functools import lru_cache

import yaml
from pydantic import Field

from sdk.errors import ConfigurationError, FormatError
from sdk.policy.bundle import RISK_CLASSES, PolicyBundle
from sdk.spec.canonical import WireModel, validate_wire
from sdk.spec.manifest import ConceptKind, minimum_approvals


class RiskClass(WireModel):
    """What must hold of a version for it to be of this class, and what it then needs."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    kinds: tuple[ConceptKind, ...] | None = Field(default=None, min_length=1)  # none: of any kind
    minor: bool = False  # only if a consent is of a minor
    approvals: int = Field(ge=1, le=16)

    def fits(self, kind: ConceptKind, *, minor: bool) -> bool:
        """Whether a version of `kind`, with or without the likeness of a minor, is of this class."""
        return (self.kinds is None or kind in self.kinds) and (minor or not self.minor)


class RiskClasses(WireModel):
    """The classes in the order in which they are tried."""

    classes: tuple[RiskClass, ...] = Field(min_length=1)

    def of(self, kind: ConceptKind, *, minor: bool) -> RiskClass:
        """The class of a version."""
        return next(found for found in self.classes if found.fits(kind, minor=minor))


def risk_classes(bundle: PolicyBundle) -> RiskClasses:
    """The risk classes of a bundle.

    Raises:
        ConfigurationError: the bundle has none, they cannot be read, a version would have none, or too few reviewers.
    """
    if RISK_CLASSES not in bundle.files:
        raise ConfigurationError(f"the policies {bundle.digest} have no {RISK_CLASSES}; it says how many must approve")
    return _parse(bundle.files[RISK_CLASSES])


@lru_cache(maxsize=8)
def _parse(text: str) -> RiskClasses:
    try:
        found = validate_wire(RiskClasses, yaml.safe_load(text), "risk classes")
    except (yaml.YAMLError, FormatError) as exc:
        raise ConfigurationError(f"{RISK_CLASSES} cannot be read: {exc}") from exc
    names = [one.name for one in found.classes]
    if len(set(names)) != len(names):
        raise ConfigurationError(f"{RISK_CLASSES} has two classes of one name")
    if found.classes[-1].kinds is not None or found.classes[-1].minor:
        raise ConfigurationError(f"the last class of {RISK_CLASSES} must fit everything, or some version has none")
    for kind in ConceptKind:
        for minor in (False, True):
            _require_enough(found.of(kind, minor=minor), kind, minor)
    return found


def _require_enough(given: RiskClass, kind: ConceptKind, minor: bool) -> None:
    least = minimum_approvals(kind, minor=minor)
    if given.approvals < least:
        of = f"{kind.value}{', a minor' if minor else ''}"
        raise ConfigurationError(
            f"the risk class {given.name} asks for {given.approvals} reviewers of a version of a {of}; at least {least} "
            "must approve one, or no client would use it"
        )
