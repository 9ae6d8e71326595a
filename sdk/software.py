"""Which version of this distribution is running, as services, manifests and credentials state it."""

from __future__ import annotations

import importlib.metadata
from functools import cache


@cache
def software_version() -> str:
    """The installed version; "0+uninstalled" in a source tree that was never installed."""
    try:
        return importlib.metadata.version("imprimatur")
    except importlib.metadata.PackageNotFoundError:
        return "0+uninstalled"
