"""Facts of a concept that nothing speaks against, to which a test adds what it is about."""

from typing import Any, Final

PLAIN_FACTS: Final[dict[str, Any]] = {
    "concept": "demo/fox",
    "number": 1,
    "kind": "subject",
    "status": "approved",
    "owner": "demo/owner",
    "consent_live": True,
    "licence_live": True,
    "covers_concept": True,
}
