"""Imprimatur's SDK: governed generation with learned concepts, and the vocabulary that all its services speak.

    import sdk

    result = sdk.compose(["demo/fox"], "a photo of {demo/fox}", purpose="advertising", territory="JP", channel="web")
    result.images[0].save("fox.png")

    compose       images or a refusal that says why          sdk.compose
    acompose      the same for event loops                   sdk.compose
    variants      a matrix of compose calls, resumable       sdk.compose
    Client        one typed method a route                   sdk.client
    Profile       who calls, where, with which keys          sdk.profile
    errors        every error, as one tree                   sdk.errors
    spec          the vocabulary; signing, policy, credentials, verify, resolve, audit build on it

Importing it is light: names are loaded when they are first used, and torch only when something is generated.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sdk import errors
    from sdk.client import Client
    from sdk.compose import (
        Campaign,
        ComposedImage,
        ComposeProgress,
        ComposeStage,
        Composition,
        VariantRow,
        acompose,
        compose,
        variants,
    )
    from sdk.credentials.read import ContentCredentials, read_credentials, verify_credentials
    from sdk.errors import ImprimaturError, NotApproved, PolicyDenied
    from sdk.profile import Profile, load_profile
    from sdk.resolve import connect
    from sdk.verify import VerifiedVersion, verify_version

__all__ = [
    "Campaign",
    "Client",
    "ComposeProgress",
    "ComposeStage",
    "ComposedImage",
    "Composition",
    "ContentCredentials",
    "ImprimaturError",
    "NotApproved",
    "PolicyDenied",
    "Profile",
    "VariantRow",
    "VerifiedVersion",
    "acompose",
    "compose",
    "connect",
    "errors",
    "load_profile",
    "read_credentials",
    "variants",
    "verify_credentials",
    "verify_version",
]

_HOMES: Final = {
    "Campaign": "sdk.compose",
    "Client": "sdk.client",
    "ComposeProgress": "sdk.compose",
    "ComposeStage": "sdk.compose",
    "ComposedImage": "sdk.compose",
    "Composition": "sdk.compose",
    "ContentCredentials": "sdk.credentials.read",
    "ImprimaturError": "sdk.errors",
    "NotApproved": "sdk.errors",
    "PolicyDenied": "sdk.errors",
    "Profile": "sdk.profile",
    "VariantRow": "sdk.compose",
    "VerifiedVersion": "sdk.verify",
    "acompose": "sdk.compose",
    "compose": "sdk.compose",
    "connect": "sdk.resolve",
    "load_profile": "sdk.profile",
    "read_credentials": "sdk.credentials.read",
    "variants": "sdk.compose",
    "verify_credentials": "sdk.credentials.read",
    "verify_version": "sdk.verify",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name == "errors":
        return importlib.import_module("sdk.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'sdk' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
