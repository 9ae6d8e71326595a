"""`imprimatur compose`: images with approved concepts, saved with their credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.accounting import FeeOption, parse_fee
from sdk.cli.canvas import LeakageOption, PlaceOption, SchedulerOption, SizeOption, parse_places, parse_size
from sdk.cli.connection import ProfileOption, connected, console, now, say
from sdk.cli.explain import attention_file, save_page
from sdk.errors import InputError
from sdk.spec.canonical import encode_canonical

commands = typer.Typer()


@commands.command()
def compose(
    concepts: Annotated[
        list[str], typer.Argument(help="Concepts, such as demo/fox or demo/fox@2.", metavar="CONCEPT...")
    ],
    scene: Annotated[str, typer.Option(help="The picture in words, concepts in braces: 'a photo of {demo/fox}'.")],
    purpose: Annotated[str, typer.Option(help="What it is for, such as advertising.")],
    territory: Annotated[str, typer.Option(help="Where: ISO 3166-1 alpha-2 such as JP, or WORLD.")],
    channel: Annotated[str, typer.Option(help="On what, such as web.")],
    out: Annotated[Path, typer.Option(help="The folder for the images; made if missing.")] = Path("composed"),
    count: Annotated[int, typer.Option(help="How many images; left out when there are several seeds.")] = 1,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="The first image's seed; the next ones count up. Several: one for each image."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 30,
    guidance: Annotated[float, typer.Option(help="How closely to follow the scene.")] = 5.0,
    scheduler: SchedulerOption = "ddim",
    negative: Annotated[str | None, typer.Option(help="What should not be in the picture.", show_default=False)] = None,
    size: SizeOption = None,
    place: PlaceOption = None,
    leakage: LeakageOption = 1.0,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also keep what each image attended to, and a page that explains it.")
    ] = False,
    photo: Annotated[Path | None, typer.Option(help="A photo to draw into; it stays on this machine.")] = None,
    photo_mask: Annotated[
        Path | None, typer.Option(help="Where in the photo: white is drawn anew, black is kept.")
    ] = None,
    strength: Annotated[float, typer.Option(help="How much of the photo may change: 0 nothing, 1 everything.")] = 0.75,
    run: Annotated[
        str | None,
        typer.Option(
            help="Where: local, or service, a rendering service. Default: here, if the profile has a base model."
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(help="A name of this call, 16 to 64 characters: repeated under it, its images are counted once."),
    ] = None,
    fee: FeeOption = None,
    profile: ProfileOption = None,
) -> None:
    """Generate images. Resolves, verifies, asks policy, records, generates, marks, records; or says why not."""
    from sdk.compose import compose as compose_images
    from sdk.compose import progress_bar

    _make_folder(out)
    seeds = seed if seed and len(seed) > 1 else None
    with connected(profile) as (chosen, client), progress_bar(console()) as show:
        composition = compose_images(
            concepts,
            scene,
            purpose=purpose,
            territory=territory,
            channel=channel,
            count=count,
            seed=seed[0] if seed and not seeds else 0,
            seeds=seeds,
            steps=steps,
            guidance=guidance,
            scheduler=scheduler,
            negative_prompt=negative,
            size=parse_size(size),
            layout=parse_places(place),
            leakage=leakage,
            explain=explain,
            photo=photo,
            photo_mask=photo_mask,
            strength=strength,
            run=run,
            idempotency_key=idempotency_key,
            fee=parse_fee(fee),
            profile=chosen,
            client=client,
            on_progress=show,
            clock=now,
        )
    for index, image in enumerate(composition.images):
        path = out / f"{composition.generation_id}-{index}.png"
        image.save(path)
        say(str(path))
    if composition.attention:
        kept = out / attention_file(composition.generation_id)
        kept.write_bytes(encode_canonical(composition.attention))
        page = out / f"{composition.generation_id}.html"
        save_page(composition.explain(), out, page)
        say(str(page))
    say(f"generation {composition.generation_id} is recorded, log entry {composition.receipt.index}")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InputError(f"the images cannot be written to {path}: {exc.strerror}") from exc
