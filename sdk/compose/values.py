"""What a compose call takes with it, reports and hands out. Values only; the call itself is `sdk.compose.call`."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sdk.cache import RegistryMemory
from sdk.client import Client
from sdk.compose.key import IntentKey
from sdk.credentials.signer import CredentialSigner
from sdk.profile import Profile
from sdk.signing.signer import Signer
from sdk.spec.digest import Digest
from sdk.spec.explanation import Explanation, GenerationAttention
from sdk.spec.fingerprint import Fingerprint
from sdk.spec.ids import RecordId
from sdk.spec.log_entry import LogReceipt
from sdk.spec.policy import Decision
from sdk.spec.watermark import WatermarkId
from sdk.verify import VerifiedVersion

if TYPE_CHECKING:
    from PIL.Image import Image


class Run(StrEnum):
    """Where images are drawn."""

    LOCAL = "local"  # in this process, with torch
    SERVICE = "service"  # by a rendering service; this process needs no torch and is handed no token


class ComposeStage(StrEnum):
    """Where a compose call is."""

    RESOLVE = "resolve"
    VERIFY = "verify"
    ENFORCE = "enforce"
    INTENT = "record-intent"
    GENERATE = "generate"
    CREDENTIAL = "credential"
    RESULT = "record-result"


@dataclass(frozen=True, kw_only=True)
class ComposeProgress:
    """How far a compose call is; `image` and `step` count from 0 and only while generating.

    `together` images, from `image` on, are at the same `step`: they are drawn at once. `preview` is how the one `image`
    looks so far, an eighth of its size: nothing that was recorded, and no result.
    """

    stage: ComposeStage
    image: int = 0
    together: int = 1
    images: int = 0
    step: int = 0
    steps: int = 0
    preview: Image | None = None

    @property
    def done(self) -> float:
        """How much of the drawing is done, between 0 and 1."""
        whole = self.images * self.steps
        return (self.image * self.steps + (self.step + 1) * self.together) / whole if whole else 0.0


OnProgress = Callable[[ComposeProgress], None]
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Watcher:
    """Who is told how far a call is, and after how many steps each a preview is made; 0: never."""

    told: tuple[OnProgress, ...]
    preview_every: int = 0

    def tell(self, progress: ComposeProgress) -> None:
        for on_progress in self.told:
            on_progress(progress)


@dataclass(frozen=True, kw_only=True)
class ComposedImage:
    """A picture, and the very file that was recorded."""

    png: bytes  # credentials included
    fingerprints: tuple[Fingerprint, ...] = ()  # of its pixels: what is recorded, to find copies again
    watermark: WatermarkId | None = None  # in its pixels; none in a picture too small to carry one

    @property
    def image(self) -> Image:
        """The picture, decoded from the recorded file."""
        from PIL import Image

        return Image.open(io.BytesIO(self.png))

    @property
    def digest(self) -> Digest:
        return Digest.of(self.png)

    def save(self, path: Path | str) -> None:
        """Write the recorded file. Saving `image` instead would lose its credentials."""
        Path(path).write_bytes(self.png)


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What a compose call hands out."""

    images: tuple[ComposedImage, ...]
    generation_id: RecordId
    decision: Decision
    receipt: LogReceipt  # proves that the result is recorded
    versions: tuple[VerifiedVersion, ...]
    explanation: Explanation

    def explain(self) -> Explanation:
        """Why it was permitted, who approved what, and, if it was composed with `explain`, what each image attended to."""
        return self.explanation

    @property
    def attention(self) -> GenerationAttention | None:
        """The maps to be kept beside the images: their digest is on record. None unless composed with `explain`."""
        images = self.explanation.images
        return GenerationAttention(generation=self.generation_id, images=images) if images else None


@dataclass(frozen=True, kw_only=True)
class Composer:
    """Everything a compose call uses: services, keys, base model, memory, clock."""

    client: Client
    profile: Profile
    signer: Signer
    credential_signer: CredentialSigner
    base_model: Path | None  # none: a rendering service draws
    memory: RegistryMemory
    clock: Clock
    key: IntentKey = field(default_factory=IntentKey.fresh)

    @property
    def local_base_model(self) -> Path:
        """The base model of a call that draws in this process. Raises `ConfigurationError`."""
        return self.base_model or self.profile.need("base_model")
