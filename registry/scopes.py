"""Which scope a request needs. A request that is not in the tables needs a credential that has none, which may all.

So a new route is closed to narrow credentials until somebody says here what it belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sdk.errors import PermissionDenied
from sdk.spec.scopes import Scope

FREE: Final = frozenset({"whoami", "policies"})
"""What every credential may ask."""
_THING: Final[Mapping[str, str]] = {
    "concepts": "concepts",
    "resolve": "concepts",
    "history": "concepts",
    "aliases": "concepts",
    "reviews": "reviews",
    "consents": "records",
    "licences": "records",
    "subjects": "records",
    "erasures": "records",
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
_OF_REVIEW: Final = frozenset({"review-request", "assignment", "comments", "reviews", "revocation"})
_OF_VERSION: Final = 6  # parts of concepts/{tenant}/{name}/versions/{number}/reviews
_ASKS_BY_POST: Final = frozenset({"generations/identify"})


def scope_of(method: str, path: str) -> Scope | None:
    """The scope that a request needs; none when every credential may send it.

    Raises:
        LookupError: the tables do not know the request.
    """
    parts = path.strip("/").split("/")[1:]
    if not parts or parts[0] in FREE:
        return None
    reads = method in ("GET", "HEAD") or "/".join(parts) in _ASKS_BY_POST
    of_review = len(parts) == _OF_VERSION and parts[0] == "concepts" and parts[-1] in _OF_REVIEW
    try:
        return Scope(f"{'reviews' if of_review else _THING[parts[0]]}:{'read' if reads else 'write'}")
    except ValueError as exc:
        raise LookupError(path) from exc


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
