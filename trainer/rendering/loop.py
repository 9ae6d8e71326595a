"""A rendering worker's loop: queue entries become attempts, lost renders are found in between. No torch."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace

from procrastinate import JobContext

from sdk.profile import Profile
from sdk.resolve import connect
from sdk.spec.ids import RecordId
from trainer.jobs.queue import make_worker_app, run_worker
from trainer.jobs.runtime import Runtime
from trainer.rendering import service
from trainer.rendering.queue import RENDERS
from trainer.rendering.service_profile import current_trust_root, renderer_of
from trainer.rendering.workflow import Draw, run_render

_logger = logging.getLogger(__name__)


def serve_renders(runtime: Runtime, profile: Profile, *, draw: Draw) -> None:
    """Draw what is queued until SIGTERM or SIGINT, as the principal of `profile`."""
    settings, renderer = runtime.settings, renderer_of(runtime.settings)

    def run_entry(context: JobContext, generation: str) -> None:
        with connect(replace(profile, trainer=None)) as registry:
            run_render(
                runtime,
                RecordId(generation),
                draw=draw,
                registry=registry,
                renderer=renderer,
                trust=lambda: current_trust_root(settings, runtime.clock()),
                stopping=context.should_abort,
            )

    def upkeep() -> None:
        with runtime.transaction() as session:
            found = service.upkeep(
                session,
                at=runtime.clock(),
                stalled_seconds=settings.stalled_seconds,
                keep_seconds=settings.render_keep_seconds,
            )
        for generation in found:
            _logger.warning("render %s: its worker stopped answering, or its application did", generation)

    app = make_worker_app(settings, RENDERS, run_entry=run_entry, upkeep=upkeep)
    run_worker(app, settings, RENDERS, name=socket.gethostname())
