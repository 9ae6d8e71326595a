"""The policy bundle: the rule files of `policies/` as one immutable value with a digest.

The digest is over the RFC 8785 form of {name: text}, so that a decision can name exactly the rules it was made by.
Only Cedar files, schemas and the risk classes count; `cases.yaml` and notes beside them do not. Nothing here reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sdk.errors import ConfigurationError, DigestMismatch, InputError
from sdk.spec.api import PolicyBundleView
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest

RULES_SUFFIX: Final = ".cedar"
SCHEMA_SUFFIX: Final = ".cedarschema"
RISK_CLASSES: Final = "approval/risk_classes.yaml"
"""The file that says how many must approve what; read by `sdk.policy.risk`."""


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
    counted = (folder / RISK_CLASSES,)
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix in (RULES_SUFFIX, SCHEMA_SUFFIX) or p in counted]
    if not any(path.suffix == RULES_SUFFIX for path in paths):
        raise ConfigurationError(f"no {RULES_SUFFIX} file is in {folder}; name the folder that holds the policies")
    try:
        return PolicyBundle(files={path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in paths})
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationError(f"the policies in {folder} cannot be read: {exc}") from exc


def write_bundle(bundle: PolicyBundle, folder: Path) -> None:
    """Write the bundle's files into a new folder. Raises `InputError`, also when a name would lead out of it."""
    try:
        folder.mkdir(parents=True)
        for name, text in bundle.files.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise InputError(
                    f"the policy bundle names {name!r}, which lies outside {folder}; nothing is believed of it"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except FileExistsError as exc:
        raise InputError(f"{folder} is there already; name a new folder") from exc
    except OSError as exc:
        raise InputError(f"the policies cannot be written to {folder}: {exc.strerror}") from exc


def parse_bundle(view: PolicyBundleView) -> PolicyBundle:
    """The bundle a registry sent.

    Raises:
        DigestMismatch: its files are not the ones its digest is of.
    """
    bundle = PolicyBundle(files=view.files)
    if bundle.digest != view.digest:
        raise DigestMismatch(f"policy bundle should have digest {view.digest}, but its files have {bundle.digest}")
    return bundle
