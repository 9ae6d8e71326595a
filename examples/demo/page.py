"""demo-out/index.html: what the demo's page shows, in the order in which it happened. How it looks is `page.html`.

The page is one file: pictures are inside it, and it needs neither script nor network. The composed files, credentials
and all, lie beside it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from examples.demo.demo import ComposedScene, Demo
from sdk.compose import ComposedImage
from sdk.credentials.read import ContentCredentials

TRAINING_FOLDER = "training"
COMPOSED_FOLDER = "composed"
_SIDE = 256  # pixels that a picture claims before it is laid out; all are square


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture inside the page."""

    uri: str
    alt: str
    side: int = _SIDE


@dataclass(frozen=True, kw_only=True)
class ShownImage:
    """A composed image: the picture, its file beside the page, and what that file says of itself."""

    picture: Picture
    href: str
    credentials: ContentCredentials

    @property
    def facts(self) -> dict[str, tuple[str, ...]]:
        """What a reader finds in the file, by name."""
        found = self.credentials
        facts = {
            "validation": (found.state.value,),
            "signer": (f"{found.signer}, certified by {found.issuer}",),
            "actions": found.actions,
            "digital source type": ((found.source_type or "").rpartition("/")[2],),
            "made with": found.ingredients,
        }
        if use := found.use:
            entries = [str(approval.log_index) for version in use.versions for approval in version.approvals]
            facts |= {
                "generation": (use.generation,),
                "recorded": (f"entry {use.intent_index} of {use.log_origin}",),
                "approvals": (f"log entries {', '.join(entries)}",),
            }
        return facts


@dataclass(frozen=True, kw_only=True)
class ShownScene:
    """A scene as it was asked for, and its images."""

    text: str
    images: tuple[ShownImage, ...]


def write_page(demo: Demo, out: Path) -> Path:
    """Write the composed files and index.html into the folder `out`; return the page's path."""
    from trainer.quality.plots import LABEL_COLOURS  # needs torch, which the demo's first steps do without

    subject, place = demo.story.concepts
    rounds = list(_rounds(demo.training_files / "rounds"))
    report = demo.training_files / "report.html"
    text = (
        _environment()
        .get_template("page.html")
        .render(
            subject=subject,
            place=place,
            facts=_facts(demo),
            training=[
                _picture(
                    path.read_bytes(),
                    f"Training picture {path.stem}: {subject.title.lower()} and {place.title.lower()}",
                )
                for path in demo.story.pictures
            ],
            rounds=rounds,
            round_headings=["class words", *(f"round {number}" for number in range(1, len(rounds[0]) - 1))]
            if rounds
            else [],
            legend=list(zip((subject.title, place.title), LABEL_COLOURS, strict=False)),
            report=report.relative_to(out).as_posix() if report.exists() else None,
            scenes=[_scene(out, number, made) for number, made in enumerate(demo.composed, 1)],
            refusals=demo.refusals,
            accounts=demo.accounts,
            steps=demo.stage.finished,
            slowest=max((step.seconds for step in demo.stage.finished), default=1),
        )
    )
    path = out / "index.html"
    path.write_text(text, encoding="utf-8")
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"concepts": _mark_concepts, "rules": _mark_rules}
    return environment


def _mark_concepts(scene: str) -> Markup:
    """The scene with its concepts set apart from its words."""
    return Markup(re.sub(r"\{([^{}]+)\}", r"<mark>\1</mark>", str(escape(scene))))


def _mark_rules(said: str) -> Markup:
    """A refusal with the names of rules set apart from its words."""
    return Markup(re.sub(r"\(([a-z_]+\.[a-z-]+)\)", r"(<code>\1</code>)", str(escape(said))))


def _facts(demo: Demo) -> dict[str, str]:
    return {
        "images": str(sum(len(made.composition.images) for made in demo.composed)),
        "generations on record": str(len(demo.accounts)),
        "refusals": str(len(demo.refusals)),
        "log entries verified": str(demo.log_size),
        "seconds, all steps": f"{demo.stage.seconds:.0f}",
    }


def _rounds(folder: Path) -> Iterator[list[Picture]]:
    """For each training picture, itself and its masks after every round, as the trainer wrote them."""
    for own in sorted(folder.iterdir()) if folder.is_dir() else ():
        original = folder.parent / "pictures" / f"{own.name}.png"
        row = [_picture(original.read_bytes(), f"Picture {own.name} as it was trained on")]
        for number, path in enumerate(sorted(own.glob("*.png"), key=lambda path: int(path.stem))):
            after = f"after round {number}" if number else "from the class words alone"
            row.append(_picture(path.read_bytes(), f"Masks of picture {own.name} {after}"))
        yield row


def _scene(out: Path, number: int, made: ComposedScene) -> ShownScene:
    images = zip(made.composition.images, made.credentials, strict=True)
    return ShownScene(
        text=made.scene,
        images=tuple(
            _shown_image(out, f"{number:02d}-{place}.png", made.scene, image, credentials)
            for place, (image, credentials) in enumerate(images, 1)
        ),
    )


def _shown_image(out: Path, name: str, scene: str, image: ComposedImage, credentials: ContentCredentials) -> ShownImage:
    (out / COMPOSED_FOLDER).mkdir(parents=True, exist_ok=True)
    image.save(out / COMPOSED_FOLDER / name)
    alt = f"Generated image: {scene.replace('{', '').replace('}', '')}"
    return ShownImage(picture=_picture(image.png, alt), href=f"{COMPOSED_FOLDER}/{name}", credentials=credentials)


def _picture(png: bytes, alt: str) -> Picture:
    return Picture(uri="data:image/png;base64," + base64.b64encode(png).decode("ascii"), alt=alt)
