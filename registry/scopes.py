"""Which scope a request needs. A request that is not in the tables needs a credential that has none, which may all.

So a new route is closed to narrow credentials until somebody says here what it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sdk.errors import PermissionDenied
from sdk.spec.scopes import Scope

FREE: Final = frozenset({"whoami", "policies", "log/consistency"})
"""What every credential may ask. That the log only grew is proved by hashes alone, and all who rely on it must see that."""
_THING: Final[Mapping[str, str]] = {
    "concepts": "concepts",
    "resolve": "concepts",
    "history": "concepts",
    "aliases": "concepts",
    "reviews": "reviews",
    "renewals": "reviews",
    "break-glasses": "reviews",
    "consents": "records",
    "licences": "records",
    "subjects": "records",
    "erasures": "records",
    "reminders": "records",
    "blobs": "records",
    "generations": "generations",
    "royalties": "generations",
    "notices": "generations",
    "denials": "generations",
    "trainings": "training",
    "log": "log",
    "credentials": "credentials",
    "webhooks": "webhooks",
}
"""By the first part of a path after /v1/."""
_OF_REVIEW: Final = frozenset(
    {"review-request", "assignment", "comments", "reviews", "revocation", "renewals", "renewal", "break-glass"}
)
"""What is done about a version, by the part of a path after concepts/{tenant}/{name}/versions/{number}/."""
_BLAST_RADIUS, _OF_USE = "blast-radius", "generations"
"""What is about a version, and tells who generated what with it."""
_OF_VERSION: Final = 5  # parts of a path before that
_ASKS_BY_POST: Final = frozenset({"generations/identify"})


def scope_of(method: str, path: str) -> Scope | None:
    """The scope that a request needs; none when every credential may send it.

    Raises:
        LookupError: the tables do not know the request.
    """
    parts = path.strip("/").split("/")[1:]
    if not parts or parts[0] in FREE or "/".join(parts) in FREE:
        return None
    reads = method in ("GET", "HEAD") or "/".join(parts) in _ASKS_BY_POST
    try:
        return Scope(f"{_thing_of(parts)}:{'read' if reads else 'write'}")
    except ValueError as exc:
        raise LookupError(path) from exc


def _thing_of(parts: Sequence[str]) -> str:
    if _is_of_review(parts):
        return "reviews"
    return _OF_USE if parts[0] == "concepts" and parts[_OF_VERSION:] == [_BLAST_RADIUS] else _THING[parts[0]]


def _is_of_review(parts: Sequence[str]) -> bool:
    """Whether a path below concepts or consents is about what reviewers do."""
    if parts[0] == "consents":
        return list(parts[2:]) == ["reinstatement"]
    return parts[0] == "concepts" and len(parts) > _OF_VERSION and parts[_OF_VERSION] in _OF_REVIEW


def require_scope(scopes: frozenset[Scope] | None, method: str, path: str) -> None:
    """Return if a credential of these scopes may send the request. Raises `PermissionDenied` naming what it lacks."""
    if scopes is None:
        return
    held = ", ".join(sorted(scopes))
    try:
        wanted = scope_of(method, path)
    except LookupError:
        raise PermissionDenied(
            f"the credential is limited to {held}, and no scope allows this; use a credential without scopes"
        ) from None
    if wanted and not any(scope.covers(wanted) for scope in scopes):
        raise PermissionDenied(f"the credential is limited to {held}; this needs {wanted.value}; ask for another one")
