"""What a training needs of an order: its settings, its pictures under their names, and the state of an earlier attempt."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from sdk.errors import FormatError, TrainingInputError
from sdk.spec.training import TrainingRequest
from trainer.data import ConceptSpec, PictureSpec
from trainer.em.config import EMConfig, parse_config
from trainer.em.state import EMState, load_state, save_state
from trainer.jobs.files import CHECKPOINT_FILE, INPUTS, OUT
from trainer.jobs.ports import TrainingOrder

_logger = logging.getLogger(__name__)


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
        if dot and group in request.settings:
            raise TrainingInputError(f"settings have both {group} and {name}; leave one of them out")
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


def concepts_of(request: TrainingRequest) -> tuple[ConceptSpec, ...]:
    """The concepts that are asked for, as the optimiser takes them."""
    return tuple(
        ConceptSpec(name=str(wanted.id), kind=wanted.kind, class_word=wanted.class_word, vectors=wanted.vectors)
        for wanted in request.concepts
    )


def stage_pictures(order: TrainingOrder) -> tuple[PictureSpec, ...]:
    """Put the pictures where they have the names of the request, since what is found and messages are named after them."""
    inputs, specs = order.folder / INPUTS, []
    for number, picture in enumerate(order.request.pictures):
        path = inputs / str(number) / picture.name.rpartition("/")[2]
        _copy(order.files[picture.digest], path, f"picture {picture.name!r}")
        masks = {str(concept): path.parent / f"mask of {concept} in {path.name}" for concept in picture.masks}
        for concept, digest in picture.masks.items():
            _copy(order.files[digest], masks[str(concept)], f"the mask of {concept} in {picture.name!r}")
        shown = tuple(str(name) for name in picture.concepts)
        specs.append(PictureSpec(path=path, concepts=shown, caption=picture.caption, masks=masks))
    return tuple(specs)


def take_checkpoint_over(earlier: tuple[Path, ...], out: Path, fingerprint: str) -> None:
    """Keep the newest state of `earlier` that this training can go on from in `out`; without one it starts over."""
    for folder in earlier:
        checkpoint = folder / OUT / CHECKPOINT_FILE
        if checkpoint.is_file() and (state := _usable(checkpoint, fingerprint)):
            save_state(state, out / CHECKPOINT_FILE)
            _logger.info("going on from %s", checkpoint)
            return


def _copy(stored: Path, path: Path, what: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(stored, path)
    except FileNotFoundError as exc:
        raise TrainingInputError(f"{what} is no longer stored; upload it and ask again") from exc


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
