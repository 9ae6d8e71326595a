"""The worker process: the only place where durable jobs and the optimiser meet.

One worker works on one job at a time; start one for each GPU, on as many machines as share the workspace folder and the
database. It submits as the training service, with that service's own credential and key.

    train_with_em   the `Train` port over `trainer.run`
    run             the process: settings, backbone, credential and key for `trainer.jobs.loop`
"""

from __future__ import annotations

import functools
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image

from sdk.credentials.sample import SampleOrigin, mark_sample
from sdk.credentials.signer import CredentialSigner, load_credential_signer
from sdk.errors import FormatError, TrainingInputError
from sdk.profile import Profile, load_profile
from sdk.signing.signer import load_key_file
from sdk.software import software_version
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import ConceptId
from sdk.spec.manifest import ArtefactRole, EmbeddingFacts
from sdk.spec.training import JobProgress, TrainingRequest
from trainer.backbone import Backbone
from trainer.data import ConceptSpec, PictureSpec, TrainingSet, load_training_set
from trainer.em.config import EMConfig, parse_config
from trainer.em.problem import fingerprint_training
from trainer.em.progress import TrainingPhase, TrainingProgress
from trainer.em.state import EMState, load_state, save_state
from trainer.encoders import ImageTextEncoder, load_encoder
from trainer.jobs.files import CHECKPOINT_FILE, INPUTS, OUT
from trainer.jobs.loop import serve_queue
from trainer.jobs.ports import Trained, TrainedConcept, TrainedFile, TrainingOrder
from trainer.jobs.runtime import Runtime
from trainer.loading import choose_device, load_backbone
from trainer.run import LearnedConcept, TrainingResult, run_training

_logger = logging.getLogger(__name__)

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
            _stage(order, inputs), _concepts(order.request), resolution=backbone.resolution
        )
        _take_checkpoint_over(order.resume_from, out, fingerprint_training(backbone, training_set, config))
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
        _mark_samples(result, order, open_marker())
    on_progress(_exporting(result))
    return _trained(training_set, config, result, out)


def read_config(request: TrainingRequest) -> EMConfig:
    """The optimiser's settings: the request's overrides by dotted name (`m_step.steps`), and its seed.

    Raises:
        TrainingInputError: a name is unknown, a value out of range, or the result would not be kept.
    """
    values: dict[str, Any] = {"seed": request.seed}
    for name, value in request.settings.items():
        group, dot, member = name.partition(".")
        if name == "seed":
            raise TrainingInputError("the seed is a member of the request itself; take it out of its settings")
        if dot:
            values.setdefault(group, {})[member] = value
        else:
            values[name] = value
    config = parse_config(values)
    if config.adapters.steps:
        raise TrainingInputError(
            "adapters.steps: a version holds embeddings alone, and a job's adapters would be lost; leave it out, or train "
            "with trainer.run.run_training"
        )
    return config


def _concepts(request: TrainingRequest) -> tuple[ConceptSpec, ...]:
    return tuple(
        ConceptSpec(name=str(wanted.id), kind=wanted.kind, class_word=wanted.class_word, vectors=wanted.vectors)
        for wanted in request.concepts
    )


def _stage(order: TrainingOrder, inputs: Path) -> tuple[PictureSpec, ...]:
    """Put the pictures where they have the names of the request, since what is found and messages are named after them."""
    specs = []
    for number, picture in enumerate(order.request.pictures):
        path = inputs / str(number) / picture.name.rpartition("/")[2]
        _copy(order.files[picture.digest], path, f"picture {picture.name!r}")
        masks = {str(concept): path.parent / f"mask of {concept} in {path.name}" for concept in picture.masks}
        for concept, digest in picture.masks.items():
            _copy(order.files[digest], masks[str(concept)], f"the mask of {concept} in {picture.name!r}")
        shown = tuple(str(name) for name in picture.concepts)
        specs.append(PictureSpec(path=path, concepts=shown, caption=picture.caption, masks=masks))
    return tuple(specs)


def _copy(stored: Path, path: Path, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(stored, path)
    except FileNotFoundError as exc:
        raise TrainingInputError(f"{what} is no longer stored; upload it and ask again") from exc


def _take_checkpoint_over(earlier: tuple[Path, ...], out: Path, fingerprint: str) -> None:
    """Keep the newest state of `earlier` that this training can go on from in `out`; without one it starts over."""
    for folder in earlier:
        checkpoint = folder / OUT / CHECKPOINT_FILE
        if checkpoint.is_file() and (state := _usable(checkpoint, fingerprint)):
            save_state(state, out / CHECKPOINT_FILE)
            _logger.info("going on from %s", checkpoint)
            return


def _usable(checkpoint: Path, fingerprint: str) -> EMState | None:
    """A state that was torn, or was saved under other defaults, may not end a job: nobody who asked for it can remove it."""
    try:
        state = load_state(checkpoint)
    except FormatError as exc:
        _logger.warning("it is passed over: %s", exc.message)
        return None
    if state.fingerprint != fingerprint:
        _logger.warning("%s is of another training, or of another version's settings; it is passed over", checkpoint)
        return None
    return state


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


def _trained(training_set: TrainingSet, config: EMConfig, result: TrainingResult, out: Path) -> Trained:
    pictures = _write_pictures(training_set, out)
    return Trained(
        base_model=result.base_model,
        config=Digest.of(encode_canonical(config.encode())),
        software=_software(),
        rounds=result.rounds,
        steps=result.steps,
        concepts=tuple(_concept(learned, training_set, pictures, result) for learned in result.concepts),
    )


def _software() -> str:
    return f"imprimatur {software_version()}, torch {torch.__version__}"


def _mark_samples(result: TrainingResult, order: TrainingOrder, signer: CredentialSigner) -> None:
    """Put Content Credentials into the samples, which images composed with their version will carry on."""
    for learned in result.concepts:
        origin = SampleOrigin(
            concept=ConceptId(learned.name), job=order.job, base_model=result.base_model, software=_software()
        )
        for path in learned.samples:
            path.write_bytes(mark_sample(path.read_bytes(), origin, signer))


def _write_pictures(training_set: TrainingSet, out: Path) -> dict[str, Path]:
    """Write the pictures as they were trained on: decoded, cropped and re-encoded, without their metadata."""
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for picture in training_set.pictures:
        written[picture.name] = folder / f"{picture.name}.png"
        Image.fromarray(picture.pixels.permute(1, 2, 0).numpy()).save(written[picture.name], format="PNG")
    return written


def _concept(
    learned: LearnedConcept, training_set: TrainingSet, pictures: Mapping[str, Path], result: TrainingResult
) -> TrainedConcept:
    shown = [picture.name for picture in training_set.pictures if learned.name in picture.concepts]
    files = [
        _file("learned_embeds.safetensors", ArtefactRole.EMBEDDING, learned.embedding),
        *(_file(f"masks/{name}.png", ArtefactRole.MASK, path) for name, path in learned.masks.items()),
        *(_file(f"samples/{path.name}", ArtefactRole.SAMPLE, path) for path in learned.samples),
        *(_file(f"pictures/{name}.png", ArtefactRole.TRAINING_PICTURE, pictures[name]) for name in shown),
        _file("report.html", ArtefactRole.REPORT, result.report_html),
        _file("report.json", ArtefactRole.REPORT, result.report_json),
    ]
    return TrainedConcept(
        concept=ConceptId(learned.name),
        embedding=EmbeddingFacts(
            placeholder_token=learned.placeholder_token,
            vectors=learned.vectors,
            dimensions=learned.dimensions,
            class_word=learned.class_word,
        ),
        files=tuple(files),
    )


_MEDIA_TYPES: Final = {
    ".safetensors": "application/vnd.safetensors",
    ".png": "image/png",
    ".html": "text/html",
    ".json": "application/json",
}


def _file(name: str, role: ArtefactRole, path: Path) -> TrainedFile:
    return TrainedFile(name=name, role=role, media_type=_MEDIA_TYPES[path.suffix], path=path)


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
