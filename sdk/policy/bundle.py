"""The policy bundle: the rule files of `policies/` as one immutable value with a digest.

The digest is over the RFC 8785 form of {name: text}, so that a decision can name exactly the rules it was made by.
Only Cedar files and schemas count; `cases.yaml` and notes beside them do not. Nothing here reads Cedar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sdk.errors import ConfigurationError, DigestMismatch
from sdk.spec.api import PolicyBundleView
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest

RULES_SUFFIX: Final = ".cedar"
SCHEMA_SUFFIX: Final = ".cedarschema"


@dataclass(frozen=True, kw_only=True)
class PolicyBundle:
    """Rule files by their POSIX path inside the bundle, e.g. `composition/rules.cedar`."""

    files: Mapping[str, str]
    digest: Digest = field(init=False)

    def __post_init__(self) -> None:
        files = dict(self.files)
        object.__setattr__(self, "files", MappingProxyType(files))
        object.__setattr__(self, "digest", Digest.of(encode_canonical(files)))

    def texts(self, folder: str, suffix: str) -> str:
        """The files directly in `folder` that end in `suffix`, joined in the order of their names; "" is the top."""
        names = sorted(name for name in self.files if name.endswith(suffix) and name.rpartition("/")[0] == folder)
        return "\n".join(self.files[name] for name in names)

    def view(self) -> PolicyBundleView:
        """The bundle as it travels."""
        return PolicyBundleView(digest=self.digest, files=dict(self.files))


def load_bundle(folder: Path) -> PolicyBundle:
    """Read the bundle in `folder`.

    Raises:
        ConfigurationError: it holds no rules, or a file cannot be read.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (RULES_SUFFIX, SCHEMA_SUFFIX)]
    if not any(path.suffix == RULES_SUFFIX for path in paths):
        raise ConfigurationError(f"no {RULES_SUFFIX} file is in {folder}; name the folder that holds the policies")
    try:
        return PolicyBundle(files={path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in paths})
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"the policies in {folder} cannot be read: {exc}") from exc


def parse_bundle(view: PolicyBundleView) -> PolicyBundle:
    """The bundle a registry sent.

    Raises:
        DigestMismatch: its files are not the ones its digest is of.
    """
    bundle = PolicyBundle(files=view.files)
    if bundle.digest != view.digest:
        raise DigestMismatch(f"policy bundle should have digest {view.digest}, but its files have {bundle.digest}")
    return bundle
