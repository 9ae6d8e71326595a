"""`imprimatur train`: pictures and concepts from a YAML file, a training job, its progress until it is submitted.

seed: 7
concepts:
  - {id: demo/fox, kind: subject, class_word: fox, title: The fox}        # vectors: 3
pictures:
  - {file: pictures/1.png, concepts: [demo/fox], caption: ...}            # concepts: all of them when left out
  - {file: pictures/2.png, masks: {demo/fox: masks/2-fox.png}}            # of the picture's size, white where it is
settings: {max_rounds: 4}
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from pydantic import Field
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from sdk.cli.connection import ProfileOption, connected, console, named, read_file, say
from sdk.client import Client
from sdk.errors import FormatError, NotFound, ServiceError, TrainingInputError
from sdk.spec.api import NewConcept
from sdk.spec.canonical import WireModel, validate_wire
from sdk.spec.ids import ConceptId, RecordId
from sdk.spec.manifest import ConceptKind
from sdk.spec.training import (
    ConceptRequest,
    JobProgress,
    JobStatus,
    JobView,
    PictureRequest,
    Setting,
    SettingName,
    TrainingRequest,
)

commands = typer.Typer()
POLL_SECONDS: Final = 1.0


class PlannedConcept(WireModel):
    """A concept as the training file names it."""

    id: ConceptId
    kind: ConceptKind
    class_word: str
    title: str | None = None
    vectors: int = 3


class PlannedPicture(WireModel):
    """A picture as the training file names it; files are relative to the training file."""

    file: str
    concepts: tuple[ConceptId, ...] = ()
    caption: str | None = None
    masks: dict[ConceptId, str] = Field(default_factory=dict)


class TrainingPlan(WireModel):
    """The training file."""

    concepts: tuple[PlannedConcept, ...] = Field(min_length=1)
    pictures: tuple[PlannedPicture, ...] = Field(min_length=1)
    seed: int = 0
    settings: dict[SettingName, Setting] = Field(default_factory=dict)


@commands.command()
def train(
    file: Annotated[Path, typer.Argument(help="The concepts and pictures, as YAML.", metavar="FILE")],
    consent: Annotated[list[str], typer.Option(help="A consent record that covers them; may be repeated.")],
    licence: Annotated[list[str], typer.Option(help="A licence that covers them; may be repeated.")],
    draft: Annotated[
        bool, typer.Option("--draft", help="Do not ask for review yet; do it with 'imprimatur review request'.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Follow the job until it ends.")] = True,
    profile: ProfileOption = None,
) -> None:
    """Train concepts from pictures and submit them as new versions. Concepts that have no name yet are named."""
    plan = read_plan(file)
    records = [named(RecordId, text) for text in (*consent, *licence)]
    with connected(profile) as (_, client):
        name_missing_concepts(client, plan)
        request = make_request(client, plan, file.parent, records[: len(consent)], records[len(consent) :])
        request = request.model_copy(update={"draft": draft})
        job = client.create_job(request)
        say(f"training job {job.id} is queued")
        if wait:
            _report(follow(client, job.id))


def read_plan(path: Path) -> TrainingPlan:
    """Read a training file. Raises `TrainingInputError` naming the member at fault."""
    try:
        document = yaml.safe_load(read_file(path, "training file"))
        return validate_wire(TrainingPlan, document, "training file")
    except yaml.YAMLError as exc:
        raise TrainingInputError(f"{path} is not YAML: {exc}") from exc
    except FormatError as exc:
        raise TrainingInputError(f"{path}: {exc.message}") from exc


def name_missing_concepts(client: Client, plan: TrainingPlan) -> None:
    """Create the concepts that do not exist yet."""
    for concept in plan.concepts:
        try:
            client.get_concept(concept.id)
        except NotFound:
            title = concept.title or concept.id.name
            client.create_concept(NewConcept(id=concept.id, kind=concept.kind, title=title))


def make_request(
    client: Client, plan: TrainingPlan, folder: Path, consents: list[RecordId], licences: list[RecordId]
) -> TrainingRequest:
    """Upload the pictures and masks, and say what is to be learned from them."""
    everything = tuple(concept.id for concept in plan.concepts)
    pictures: list[dict[str, Any]] = []
    for picture in plan.pictures:
        digest = client.put_picture(read_file(folder / picture.file, "picture"))
        masks = {of: client.put_picture(read_file(folder / mask, "mask")) for of, mask in picture.masks.items()}
        name, shown = Path(picture.file).name, picture.concepts or everything
        pictures.append({"name": name, "digest": digest, "concepts": shown, "caption": picture.caption, "masks": masks})
    concepts = [
        {**concept.model_dump(exclude={"title"}), "consents": consents, "licences": licences}
        for concept in plan.concepts
    ]
    try:
        return TrainingRequest(
            concepts=tuple(validate_wire(ConceptRequest, concept, "concept") for concept in concepts),
            pictures=tuple(validate_wire(PictureRequest, picture, "picture") for picture in pictures),
            seed=plan.seed,
            settings=plan.settings,
        )
    except (FormatError, ValueError) as exc:
        raise TrainingInputError(f"the training file asks for what cannot be trained: {exc}") from exc


def follow(client: Client, job: RecordId, *, poll_seconds: float = POLL_SECONDS) -> JobView:
    """Show a job's progress until it ends, and return how it ended."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console()) as progress:
        bar = progress.add_task("waiting for a worker", total=None)
        while True:
            view = client.get_job(job)
            if view.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
                progress.update(bar, description=view.status.value, total=1, completed=1)
                return view
            if view.progress:
                _advance(progress, bar, view.progress)
            time.sleep(poll_seconds)


def _advance(progress: Progress, bar: Any, at: JobProgress) -> None:
    loss = f", loss {at.loss:.4f}" if at.loss is not None else ""
    eta = f", about {at.eta_seconds:.0f} s left" if at.eta_seconds is not None else ""
    where = f"round {at.round} of {at.rounds}, " if at.rounds else ""
    description = f"{at.phase}: {where}step {at.step} of {at.steps}{loss}{eta}"
    progress.update(bar, description=description, total=max(at.steps, 1), completed=at.step)


def _report(view: JobView) -> None:
    if view.status is not JobStatus.SUCCEEDED:
        raise ServiceError(f"training job {view.id} {view.status.value}: {view.error or 'no reason was given'}")
    for version in view.versions:
        if view.request.draft:
            say(f"{version} is a draft; look at it, then run: imprimatur review request {version}")
        else:
            say(f"{version} is submitted; a reviewer can now run: imprimatur show {version}")
