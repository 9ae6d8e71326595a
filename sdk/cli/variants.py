"""`imprimatur variants`: every combination of subjects, backgrounds, scenes and territories, into one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from sdk.cli.accounting import FeeOption, parse_fee
from sdk.cli.canvas import LeakageOption, PlaceOption, SchedulerOption, SizeOption, parse_boxes, parse_size
from sdk.cli.connection import ProfileOption, connected, console, now, say

TABLE_FILE = "variants.csv"

commands = typer.Typer()


@commands.command()
def variants(
    subject: Annotated[
        list[str], typer.Option(help="A concept, such as demo/fox; may be repeated, as may those below.")
    ],
    scene: Annotated[list[str], typer.Option(help="In words: 'a photo of {subject} at {background}'.")],
    territory: Annotated[list[str], typer.Option(help="Where: ISO 3166-1 alpha-2 such as JP, or WORLD.")],
    purpose: Annotated[str, typer.Option(help="What it is for, such as advertising.")],
    channel: Annotated[str, typer.Option(help="On what, such as web.")],
    background: Annotated[
        list[str] | None, typer.Option(help="A concept; none: scenes speak of {subject} alone.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder; what is finished there is not composed again.")] = Path(
        "variants"
    ),
    limit: Annotated[int | None, typer.Option(help="Compose at most so many rows now.", min=1)] = None,
    count: Annotated[int, typer.Option(help="How many images a row.")] = 1,
    seed: Annotated[int, typer.Option(help="The first image's seed; the next ones count up.")] = 0,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = 30,
    guidance: Annotated[float, typer.Option(help="How closely to follow the scene.")] = 5.0,
    scheduler: SchedulerOption = "ddim",
    negative: Annotated[str | None, typer.Option(help="What should not be in the picture.", show_default=False)] = None,
    size: SizeOption = None,
    place: PlaceOption = None,
    leakage: LeakageOption = 1.0,
    fee: FeeOption = None,
    profile: ProfileOption = None,
) -> None:
    """Compose a campaign. Every row is decided, recorded and marked on its own; refused rows say why and are asked again."""
    from sdk.compose import VariantRow
    from sdk.compose import variants as compose_variants

    with connected(profile) as (chosen, client), Progress(console=console(), transient=True) as progress:
        bar = progress.add_task("rows", total=None)

        def show(row: VariantRow, decided: int, total: int) -> None:
            progress.update(bar, completed=decided, total=total)
            if row.reason:
                progress.console.print(f"refused: {row.reason}", highlight=False, markup=False, soft_wrap=True)

        campaign = compose_variants(
            subject,
            background or [],
            scene,
            territory,
            purpose=purpose,
            channel=channel,
            folder=out,
            limit=limit,
            count=count,
            seed=seed,
            steps=steps,
            guidance=guidance,
            scheduler=scheduler,
            negative_prompt=negative,
            size=parse_size(size),
            layout=parse_boxes(place),
            leakage=leakage,
            fee=parse_fee(fee),
            profile=chosen,
            client=client,
            on_row=show,
            clock=now,
        )
    campaign.write_csv(out / TABLE_FILE)
    say(str(out / TABLE_FILE))
    composed = sum(not row.reason for row in campaign.rows)
    say(f"{composed} of {campaign.total} rows composed, {len(campaign.rows) - composed} refused")
