"""Log records as JSON lines, each with the id of the request it belongs to.

What is logged is never a secret, a prompt or an image; should a message hold a credential or a token all the same, it is
blotted out here, the last place before it is written.
"""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("imprimatur_request_id", default="")
"""Of the request that is being served, also in the threads that serve it."""
FACTS: Final = "imprimatur_facts"
"""Attribute of a log record: members for its line, by name."""
_SECRETS: Final = re.compile(
    r"imp_[A-Za-z0-9_-]{43}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, logger, message, request id, and the place of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line |= getattr(record, FACTS, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _SECRETS.sub("[secret]", json.dumps(line, ensure_ascii=False))


def set_up_logging() -> None:
    """Log to stderr, one JSON object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for talkative in ("httpx", "httpx2"):  # they log whole addresses, and an address may hold a secret
        logging.getLogger(talkative).setLevel(logging.WARNING)
