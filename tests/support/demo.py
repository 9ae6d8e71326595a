"""The demo of `examples/demo` in process: from the point where training has just submitted both concepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from support.studio import StudioInProcess

from examples.demo import steps
from examples.demo.demo import Demo
from examples.demo.stage import Stage
from examples.demo.story import Story, load_story
from sdk.spec.api import NewConcept


class ShortStory(Story):
    """The example without its further scenes."""

    subject_elsewhere = ()
    place_with_others = ()


@dataclass
class InProcess(Demo):
    """A demo whose studio tests may tamper with."""

    studio: StudioInProcess


OpenDemo = Callable[..., InProcess]


def make_demo(studio: StudioInProcess) -> InProcess:
    story = load_story()
    demo = InProcess(
        studio=studio,
        story=ShortStory(subject=story.subject, place=story.place, pictures=story.pictures),
        stage=Stage(Console(quiet=True)),
        training_files=studio.folder / "training",
        sampling_steps=1,
    )
    with studio.client("trainer") as trainer:
        for concept in story.concepts:
            trainer.create_concept(NewConcept(id=concept.id, kind=concept.kind, title=concept.title))
    steps.record_terms(demo)
    for concept in story.concepts:
        studio.submit(concept.id, concept.kind, demo.consents, demo.licences)
    return demo
