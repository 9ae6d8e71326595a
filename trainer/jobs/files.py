"""The folders of a job and what it wrote: paths, and reading by a name that was listed. No database.

    <jobs>/<job id>/attempt-<n>/inputs    the pictures, staged under their names; not served
    <jobs>/<job id>/attempt-<n>/out       what the training writes; embeddings and its TrainingCheckpoint are not served

Each attempt has its own folder, so that an attempt which was given up but still runs harms nothing; a later attempt
takes the newest TrainingCheckpoint over. Once the job has succeeded only the folder with its files is kept.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from sdk.errors import NotFound
from sdk.spec.ids import RecordId
from sdk.spec.manifest import ArtefactName

INPUTS: Final = "inputs"
OUT: Final = "out"
CHECKPOINT_FILE: Final = "em_state.safetensors"  # as the optimiser names it
LEARNED_SUFFIX: Final = ".safetensors"  # embeddings and TrainingCheckpoints: they are never served
_ATTEMPT: Final = re.compile(r"attempt-([1-9][0-9]*)")
_NAME: Final = TypeAdapter(ArtefactName)


def attempt_folder(jobs: Path, job: RecordId, attempt: int) -> Path:
    """The folder of one attempt; it may not exist."""
    return jobs / job / f"attempt-{attempt}"


def earlier_attempts(jobs: Path, job: RecordId, attempt: int) -> tuple[Path, ...]:
    """The folders of the attempts before `attempt`, newest first."""
    return tuple(folder for number, folder in _attempts(jobs, job) if number < attempt)


def remove_spent(jobs: Path, job: RecordId) -> None:
    """Remove what a job has learned whose versions are submitted, and its folders except the one whose files are served.

    From here on the registry alone has the embeddings, sealed. What cannot go now stays.
    """
    kept = False
    for _, folder in _attempts(jobs, job):
        if kept or not _served_in(folder):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            kept = True
            for learned in (folder / OUT).rglob(f"*{LEARNED_SUFFIX}"):
                learned.unlink(missing_ok=True)


def list_files(jobs: Path, job: RecordId) -> tuple[str, ...]:
    """The names of what the newest attempt wrote, sorted; empty when none wrote anything."""
    listings = (_served_in(folder) for _, folder in _attempts(jobs, job))
    return next((names for names in listings if names), ())


def find_file(jobs: Path, job: RecordId, name: str) -> Path:
    """The path of a listed file. Raises `NotFound`, whatever else `name` may point at."""
    if name in list_files(jobs, job):
        for _, folder in _attempts(jobs, job):
            if (folder / OUT / name).is_file():
                return folder / OUT / name
    raise NotFound(f"job {job} has no file {name!r}; list its files first")


def _served_in(folder: Path) -> tuple[str, ...]:
    out = folder / OUT
    names = (path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and not path.is_symlink())
    return tuple(sorted(name for name in names if _is_served(name)))


def _is_served(name: str) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return not name.endswith(LEARNED_SUFFIX)


def _attempts(jobs: Path, job: RecordId) -> list[tuple[int, Path]]:
    root = jobs / job
    if not root.is_dir():
        return []
    numbered = [(match, path) for path in root.iterdir() if (match := _ATTEMPT.fullmatch(path.name))]
    return sorted(((int(match[1]), path) for match, path in numbered), reverse=True)
