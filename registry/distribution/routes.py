"""/v1/tuf: the TUF repository as static files, for everybody. Metadata of a version and targets may be cached for ever.

Before timestamp.json is handed out, it is signed anew if half of its life is over (`imprimatur up` does so at its start
too), so that a registry which is asked is never the reason for a freeze.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from registry.runtime import Runtime, RuntimeDep
from sdk.errors import NotFound

IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
FRESH: Final = {"Cache-Control": "no-cache"}
_METADATA: Final = re.compile(r"(?:[1-9][0-9]{0,8}\.(?:root|targets|snapshot)|timestamp)\.json")
_TARGET: Final = re.compile(r"[0-9a-f]{64}\.[a-z-]{1,40}\.json")
Name = Annotated[str, Path(max_length=120)]

router = APIRouter(prefix="/v1/tuf", tags=["tuf"])


@router.get("/metadata/{name}", response_class=Response)
def get_metadata(name: Name, runtime: RuntimeDep) -> Response:
    """A metadata file of the TUF repository."""
    moves = name == "timestamp.json"
    if moves and runtime.tuf:
        runtime.tuf.keep_fresh(runtime.clock())
    return _file(runtime, "metadata", name, _METADATA, FRESH if moves else IMMUTABLE)


@router.get("/targets/{name}", response_class=Response)
def get_target(name: Name, runtime: RuntimeDep) -> Response:
    """A target of the TUF repository, named by its digest."""
    return _file(runtime, "targets", name, _TARGET, IMMUTABLE)


def _file(runtime: Runtime, folder: str, name: str, names: re.Pattern[str], headers: dict[str, str]) -> Response:
    if runtime.tuf is None or not names.fullmatch(name):
        raise NotFound(f"there is no {folder}/{name} in the TUF repository")
    try:
        content = runtime.tuf.read(f"{folder}/{name}")
    except FileNotFoundError as exc:
        raise NotFound(f"there is no {folder}/{name} in the TUF repository") from exc
    return Response(content, media_type="application/json", headers=headers)
