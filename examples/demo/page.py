"""What the demo's page shows, in the order in which it happened. How it looks is `gallery`."""

from __future__ import annotations

from pathlib import Path

from examples.demo.demo import ComposedScene, Demo
from examples.demo.gallery import Picture, heading, paragraph, pictures, refusal, section, table, write_page

TRAINING_FOLDER = "training"


def write_gallery(demo: Demo, out: Path) -> Path:
    """Write the composed images and index.html into the output folder; return the page's path."""
    composed = {made.scene: _save_images(out, index, made) for index, made in enumerate(demo.composed)}
    subject, place = demo.story.concepts
    return write_page(
        out,
        "Imprimatur: one concept, start to finish",
        f"{subject.title} and {place.title.lower()} were entangled in every picture; each was learned as a token of its own, "
        "approved, composed under policy, audited, and the subject revoked.",
        [
            section("1. The pictures they were learned from", pictures(_training_pictures(demo, out))),
            section("2. The masks that were learned", *_masks(demo, out)),
            section("3. Refused until approved", *_refusals(demo)),
            section(
                "4. Composed", *(part for scene, made in composed.items() for part in (heading(scene), pictures(made)))
            ),
            section("5. What every file says about itself", *_credentials(demo)),
            section("6. Who generated what, under which approval", _accounts(demo)),
            section("7. How long it took", _timings(demo)),
        ],
    )


def _save_images(out: Path, index: int, made: ComposedScene) -> list[Picture]:
    folder = out / "composed"
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for number, image in enumerate(made.composition.images):
        name = f"{index + 1:02d}-{number + 1}.png"
        image.save(folder / name)
        saved.append(Picture(path=f"composed/{name}"))
    return saved


def _training_pictures(demo: Demo, out: Path) -> list[Picture]:
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for path in demo.story.pictures:
        (folder / path.name).write_bytes(path.read_bytes())
        shown.append(Picture(path=f"pictures/{path.name}"))
    return shown


def _masks(demo: Demo, out: Path) -> list[str]:
    folder = demo.training_files
    masks = [path for path in sorted(folder.rglob("*.png")) if "masks" in path.parts]
    rounds = sorted({path.parent for path in masks})
    parts = []
    for group in rounds:
        label = " / ".join(group.relative_to(folder).parts)
        own = [path for path in masks if path.parent == group]
        shown = [Picture(path=path.relative_to(out).as_posix(), caption=path.stem) for path in own]
        parts += [heading(label), pictures(shown, size="tiny")]
    report = next(iter(sorted(folder.rglob("report.html"))), None)
    if report:
        link = report.relative_to(out).as_posix()
        parts.append(f'<p><a href="{link}">The quality report</a>: masks round by round, losses, leakage, samples.</p>')
    return parts


def _refusals(demo: Demo) -> list[str]:
    return [part for tried, said in demo.refusals.items() for part in (paragraph(tried), refusal(said))]


def _credentials(demo: Demo) -> list[str]:
    found = demo.composed[-1].credentials[-1]
    rows = [(name, str(value)) for name, value in vars(found).items() if not isinstance(value, bytes)]
    return [paragraph("Read back from the last file with a C2PA reader:"), table(("field", "value"), rows)]


def _accounts(demo: Demo) -> str:
    rows = [tuple(str(value) for value in vars(account).values()) for account in demo.accounts]
    head = tuple(vars(demo.accounts[0])) if demo.accounts else ()
    return table(head, rows)


def _timings(demo: Demo) -> str:
    rows = [(str(step.number), step.title, f"{step.seconds:.1f} s") for step in demo.stage.finished]
    return table(("step", "what", "seconds"), rows)
