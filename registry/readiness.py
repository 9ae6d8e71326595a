"""Whether this registry can serve: database and schema, blob store, log key. Each is really asked; each says its mend.

The answer names no address, no path and no secret: everybody may ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from registry.db import require_schema
from registry.runtime import Runtime
from sdk.errors import ImprimaturError, ServiceUnavailable
from sdk.signing.public_keys import verify_signature
from sdk.spec.digest import Digest

_PROBE: Final = b"imprimatur readiness probe\n"


def require_ready(runtime: Runtime) -> None:
    """Return if everything that a request needs is there. Raises `ServiceUnavailable` naming each part that is not."""
    faults = [f"{part}: {fault}" for part, check in _CHECKS.items() if (fault := _fault(check, runtime))]
    if faults:
        raise ServiceUnavailable("not ready; " + "; ".join(faults))


def _fault(check: Callable[[Runtime], str], runtime: Runtime) -> str:
    try:
        return check(runtime)
    except SQLAlchemyError:
        return "it gives no answer"
    except ImprimaturError as exc:
        return exc.message
    except Exception as exc:  # a store or a key service may fail in ways of its own; only its class is told
        return f"it failed with {type(exc).__name__}"


def _database(runtime: Runtime) -> str:
    with runtime.sessions.begin() as session:  # an older schema has no role to work as
        require_schema(session.connection())
    return ""


def _blobs(runtime: Runtime) -> str:
    if not runtime.blobs.has(Digest.of(_PROBE)):
        runtime.blobs.put(_PROBE)
    return "" if runtime.blobs.get(Digest.of(_PROBE)) == _PROBE else "it gives back other bytes than were put"


def _log_key(runtime: Runtime) -> str:
    if runtime.clock() >= runtime.trust_root.expires_at:
        return "the trust root that names it has expired; sign a new one"
    signature = runtime.log_signer.sign(_PROBE)
    signs = verify_signature(runtime.log_signer.public_key, signature, _PROBE)
    return "" if signs else "what it signs does not verify"


_CHECKS: Final[Mapping[str, Callable[[Runtime], str]]] = {
    "database": _database,
    "blob store": _blobs,
    "log key": _log_key,
}
