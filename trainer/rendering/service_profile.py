"""Who this rendering service is, and whom it believes: its profile, its base model, the workspace's trust root."""

from __future__ import annotations

from datetime import datetime

from sdk.errors import ConfigurationError, NotFound
from sdk.generate.base_model import base_model_digest
from sdk.profile import Profile, load_profile
from sdk.signing.trust import TrustRoot, verify_trust_root
from sdk.spec.envelope import parse_envelope
from sdk.spec.rendering import RendererView
from trainer.settings import TrainerSettings


def renderer_profile(settings: TrainerSettings) -> Profile:
    """The service's own profile, with the credential that it is handed artefacts by. Raises `NotFound`."""
    if not settings.renderer_profile.exists():
        raise NotFound(
            f"this workspace has no rendering service: there is no {settings.renderer_profile.name}; issue a credential "
            "with the role renderer and write its profile"
        )
    return load_profile(settings.renderer_profile)


def renderer_of(settings: TrainerSettings) -> RendererView:
    """Who draws here, and on what. Raises `NotFound` like `renderer_profile`, `BackboneError`."""
    profile = renderer_profile(settings)
    return RendererView(principal=profile.principal, base_model=base_model_digest(settings.base_model))


def current_trust_root(settings: TrainerSettings, now: datetime) -> TrustRoot:
    """The trust root of the workspace, read anew: keys that were replaced stop counting here too.

    Raises:
        ConfigurationError: there is none.
        TrustRootInvalid: it is unsigned or has expired.
    """
    try:
        content = settings.trust_root.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"no trust root can be read at {settings.trust_root}: {exc.strerror}") from exc
    return verify_trust_root(parse_envelope(content), now=now)
