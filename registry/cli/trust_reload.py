"""A running registry takes up the trust root that was put into its place: no restart, no request lost.

    with kept_in_force(app, path, seconds=5): serve()

What was begun under the old one ends under it. A file that is no successor (of another log, of an earlier version, not
signed by the root keys known so far, or without this registry's own keys) changes nothing and is an error in the log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from registry.app import put_in_force
from registry.cli.trust_file import read_trust_root
from registry.issuance import log_what_is_in_force
from registry.runtime import Runtime
from sdk.errors import ConfigurationError, ImprimaturError
from sdk.signing.trust import TrustRoot, verify_trust_root

_logger = logging.getLogger(__name__)


def take_up(app: FastAPI, path: Path) -> TrustRoot | None:
    """Serve under the trust root at `path` from now on, and log it; none if it is the one in force.

    Raises:
        TrustRootInvalid, FormatError: it is no successor of the one in force.
        ConfigurationError: it is of another log, or does not trust this registry's keys.
    """
    runtime: Runtime = app.state.runtime
    envelope = read_trust_root(path)
    if envelope == runtime.trust_root_envelope:
        return None
    root = verify_trust_root(envelope, now=runtime.clock(), previous=runtime.trust_root)
    if root.log_origin != runtime.trust_root.log_origin:
        raise ConfigurationError(f"{path} is of the log {root.log_origin}; this registry's is another")
    after = replace(runtime, trust_root=root, trust_root_envelope=envelope)
    with after.transaction() as session:
        log_what_is_in_force(session, after)
    put_in_force(app, after)
    return root


@contextmanager
def kept_in_force(app: FastAPI, path: Path, *, seconds: float) -> Iterator[None]:
    """While the block runs, look every `seconds` whether another trust root is there, in a thread."""
    stopping = threading.Event()

    def look() -> None:
        told = ""
        while not stopping.wait(seconds):
            try:
                root = take_up(app, path)
                told = ""
            except (ImprimaturError, SQLAlchemyError) as exc:
                if str(exc) != told:
                    _logger.error("the trust root at %s is not taken up: %s", path, exc)
                told = str(exc)
                continue
            if root:
                _logger.info("trust root version %s is in force", root.version)

    thread = threading.Thread(target=look, name="trust-root", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
