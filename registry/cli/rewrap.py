"""What `imprimatur registry rewrap` does: another key-encryption key, in a file or kept by a key service.

Only the files of the key vault change; the database keeps its rows, and a backup of it opens with the vault as it is now.
"""

from __future__ import annotations

import os
from pathlib import Path

from registry.cli.supervisor import running_pid
from registry.cli.workspace import Workspace
from registry.key_services import open_key_wrapper
from registry.sealing import write_key_file
from registry.settings import is_uri, read_settings
from registry.vault import FolderKeyVault, rewrap
from sdk.errors import ConfigurationError


def rewrap_workspace(workspace: Workspace, new: str) -> int:
    """Wrap every half in the vault by `new`; returns how many were not yet.

    Raises:
        ConfigurationError: the workspace is up, or one of the keys cannot be used.
    """
    if (pid := running_pid(workspace)) is not None:
        raise ConfigurationError(f"{workspace.root} is up (process {pid}); stop it with 'imprimatur down DIR' first")
    settings = read_settings(workspace.settings, os.environ)
    key = new if is_uri(new) else str(workspace.root / new)
    if key == settings.key_encryption_key:
        raise ConfigurationError(f"{new} is the key-encryption key of {workspace.settings} already; name another")
    old = open_key_wrapper(settings.key_encryption_key)
    if not is_uri(key) and not Path(key).exists():
        write_key_file(Path(key))
    return rewrap(FolderKeyVault(settings.key_vault), old, open_key_wrapper(key))
