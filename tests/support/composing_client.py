"""One client in a process of its own: composes again and again, and tells when it did what. For tests of revocation.

    python -m support.composing_client PROFILE --drawing 0.1 [--times 1] [--behind 0.5] [--skew 0.5] [--unchecked]

A line of JSON for each event: {"event": "verified" | "drawing" | "handed-out" | "refused", "at": epoch seconds, "why": code, "says": message}.
Everything is the SDK's own but the drawing, which takes `--drawing` seconds and paints nothing. `--behind` sets its clock
back; `--unchecked` leaves out the last check of the compose call, as a client without it would.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image

import sdk.verify
from sdk.compose import ComposeProgress, ComposeStage, call, compose
from sdk.errors import ImprimaturError
from sdk.spec.api import GenerationGrant
from sdk.spec.manifest import ArtefactRole


def tell(event: str, why: str = "", says: str = "") -> None:
    print(json.dumps({"event": event, "at": time.time(), "why": why, "says": says}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("profile", type=Path)
    for name in ("--drawing", "--behind", "--skew"):
        parser.add_argument(name, type=float, default=0.0)
    parser.add_argument("--times", type=int, default=1_000_000)
    parser.add_argument("--unchecked", action="store_true")
    asked = parser.parse_args()
    sdk.verify.live.CLOCK_SKEW = timedelta(seconds=asked.skew)  # type: ignore[misc]

    def draw(composer: Any, _loaded: None, opened: GenerationGrant, versions: Any, *_: Any) -> list[Image.Image]:
        for version in versions:
            (embedding,) = version.manifest.by_role(ArtefactRole.EMBEDDING)
            composer.client.fetch_artefact(opened.id, embedding.digest)
        tell("drawing")
        time.sleep(asked.drawing)
        return [Image.effect_noise((64, 64), 80).convert("RGB")]

    call.load_for, call.generate_pictures = lambda *_: None, draw
    if asked.unchecked:
        call.require_live = lambda *_: None

    def on_progress(progress: ComposeProgress) -> None:
        if progress.stage is ComposeStage.ENFORCE:
            tell("verified")

    for _ in range(asked.times):
        try:
            compose(
                ["demo/fox"],
                "a photo of {demo/fox}",
                purpose="advertising",
                territory="JP",
                channel="web",
                profile=asked.profile,
                on_progress=on_progress,
                clock=lambda: datetime.now(UTC) - timedelta(seconds=asked.behind),
            )
            tell("handed-out")
        except ImprimaturError as exc:
            tell("refused", exc.code, exc.message)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
