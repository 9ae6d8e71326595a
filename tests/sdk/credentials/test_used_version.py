"""What let a version be in an image: approvals, or the break-glass that opened it before."""

from __future__ import annotations

from typing import Any

import pytest
from support.governed import FOX

from sdk.credentials.concept_use import UsedVersion
from sdk.errors import FormatError
from sdk.spec.canonical import validate_wire
from sdk.spec.digest import Digest

USED: dict[str, Any] = {
    "concept": FOX,
    "number": 1,
    "manifest": Digest.of(b"manifest"),
    "consents": (Digest.of(b"consent"),),
}


@pytest.mark.parametrize("by", [{"approvals": [{"log_index": 3}]}, {"approvals": [], "break_glass": 4}])
def test_either_will_do(by: dict[str, Any]) -> None:
    assert validate_wire(UsedVersion, USED | by, "use").name == "demo/fox@1"


def test_nothing_will_not() -> None:
    with pytest.raises(FormatError, match="by approvals or by a break-glass"):
        validate_wire(UsedVersion, USED | {"approvals": []}, "use")
