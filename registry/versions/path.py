"""How a route names a version: `/concepts/{tenant}/{name}/versions/{number}`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Path

from registry.auth import CallerDep
from sdk.spec.ids import ConceptId

VERSION: Final = "/concepts/{tenant}/{name}/versions/{number}"


@dataclass(frozen=True, kw_only=True)
class VersionPath:
    """The version that a path names; whether it is there is asked later."""

    concept: ConceptId
    number: int


def version_path(
    tenant: str, name: str, number: Annotated[int, Path(ge=1, lt=2**31)], caller: CallerDep
) -> VersionPath:
    """What the path of a request names, read for a known caller only. Raises `FormatError`."""
    return VersionPath(concept=ConceptId(f"{tenant}/{name}"), number=number)


VersionPathDep = Annotated[VersionPath, Depends(version_path)]
