"""The worker process: the only place where durable jobs and the optimiser meet.

One worker works on one job at a time; start one for each GPU, on as many machines as share the workspace folder and the
database. It submits as the training service, with that service's own credential and key.

    train_with_em   the `Train` port over `trainer.run`
    run             the process: settings, backbone, credential and key for `trainer.jobs.loop`
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import torch

from sdk.credentials.signer import CredentialSigner, load_credential_signer
from sdk.errors import TrainingInputError
from sdk.profile import Profile, load_profile
from sdk.signing.signer import load_key_file
from sdk.spec.training import JobProgress
from trainer.backbone import Backbone
from trainer.data import load_training_set
from trainer.em.problem import fingerprint_training
from trainer.em.progress import TrainingPhase, TrainingProgress
from trainer.encoders import ImageTextEncoder, load_encoder
from trainer.jobs.files import INPUTS, OUT
from trainer.jobs.loop import serve_queue
from trainer.jobs.ports import Trained, TrainingOrder
from trainer.jobs.runtime import Runtime
from trainer.loading import choose_device, load_backbone
from trainer.orders import concepts_of, read_config, stage_pictures, take_checkpoint_over
from trainer.outcome import mark_samples, trained
from trainer.run import TrainingResult, run_training

OpenMarker = Callable[[], CredentialSigner]
"""What signs Content Credentials now: its certificate may live a day, a training may take longer."""

_PHASES: Final[Mapping[TrainingPhase, str]] = {
    TrainingPhase.PREPARE: "prepare",
    TrainingPhase.MASKS: "e-step",
    TrainingPhase.TOKENS: "m-step",
    TrainingPhase.ADAPTERS: "m-step",
    TrainingPhase.DONE: "quality",  # fitted; samples and report follow
    TrainingPhase.SAMPLES: "quality",
}


def run(runtime: Runtime) -> None:
    """Load the base model, then work until told to stop.

    Raises:
        ConfigurationError: the workspace's training-service profile or key is missing.
        BackboneError: the base model or the image encoder cannot be loaded.
    """
    settings = runtime.settings
    profile = load_profile(settings.service_profile)
    signer = load_key_file(profile.need("signing_key"))
    open_marker = sample_signer(profile)
    device, judge = choose_device(settings.device), settings.likeness_encoder
    train = functools.partial(
        train_with_em,
        load_backbone(settings.base_model, device=device),
        encoder=None if judge is None else load_encoder(judge, device=device),
        open_marker=open_marker,
    )
    serve_queue(runtime, train=train, credential=profile.credential, signer=signer)


def train_with_em(
    backbone: Backbone,
    order: TrainingOrder,
    *,
    on_progress: Callable[[JobProgress], None],
    encoder: ImageTextEncoder | None = None,
    open_marker: OpenMarker | None = None,
) -> Trained:
    """Run the optimiser on an order, going on from the newest TrainingCheckpoint of its earlier attempts that is one of it.

    `open_marker` gives what signs the samples' Content Credentials; without it they carry none.

    Raises:
        TrainingInputError: pictures, concepts or settings that cannot be trained from; messages name pictures and masks
            as the request does.
    """
    config = read_config(order.request)
    inputs, out = order.folder / INPUTS, order.folder / OUT
    try:
        training_set = load_training_set(
            stage_pictures(order), concepts_of(order.request), resolution=backbone.resolution
        )
        take_checkpoint_over(order.resume_from, out, fingerprint_training(backbone, training_set, config))
        result = run_training(
            backbone,
            training_set,
            config,
            out,
            on_progress=lambda progress: on_progress(_translate(progress)),
            encoder=encoder,
        )
    except TrainingInputError as exc:
        raise TrainingInputError(re.sub(rf"{re.escape(str(inputs))}/[0-9]+/", "", exc.message)) from exc
    except torch.OutOfMemoryError as exc:
        raise TrainingInputError(
            "the GPU ran out of memory; set m_step.batch_size and e_step.batch_size lower and ask again"
        ) from exc
    if open_marker:
        mark_samples(result, order, open_marker())
    on_progress(_exporting(result))
    return trained(training_set, config, result, out)


def sample_signer(profile: Profile) -> OpenMarker | None:
    """None if the profile names no `content_credentials`. Raises `ConfigurationError` when it names some that do not sign."""
    folder = profile.content_credentials
    if folder is None:
        return None

    def open_marker() -> CredentialSigner:
        return load_credential_signer(
            folder, holder=profile.principal, now=datetime.now(UTC), time_stamp_url=profile.time_stamp_url
        )

    open_marker()
    return open_marker


def _translate(progress: TrainingProgress) -> JobProgress:
    return JobProgress(
        phase=_PHASES[progress.phase],
        round=progress.round,
        rounds=progress.rounds,
        step=progress.step,
        steps=progress.steps,
        loss=progress.loss,
        eta_seconds=progress.eta_seconds,
    )


def _exporting(result: TrainingResult) -> JobProgress:
    return JobProgress(phase="export", round=result.rounds, rounds=result.rounds, step=result.steps, steps=result.steps)
