"""How images are drawn: every number and place that the pixels depend on, apart from the scene and the concepts.

A `Sampling` travels to a rendering service as it is, and its digest is part of every recorded intent. Reading what
people give is `sdk.compose.options`; drawing is `sdk.generate.pipeline`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from sdk.spec.canonical import WireModel, encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Base64Bytes
from sdk.spec.ids import ConceptId

MAX_COUNT: Final = 64  # images of one call
MAX_CONCEPTS: Final = 16  # of one call
MAX_SIDE: Final = 2048  # pixels
SIDE_UNIT: Final = 8  # pixels; what diffusers pipelines accept
MAX_STEPS: Final = 1000
MAX_SEED: Final = 2**53 - 1  # the largest whole number that JSON carries exactly
MAX_MASK_BYTES: Final = 262_144  # bytes of a mask's file

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Side = Annotated[int, Field(gt=0, le=MAX_SIDE, multiple_of=SIDE_UNIT)]


class Scheduler(StrEnum):
    """How a picture is denoised from step to step."""

    DDIM = "ddim"  # arXiv 2010.02502; the default
    EULER = "euler"  # arXiv 2206.00364, algorithm 2 without churn
    EULER_ANCESTRAL = "euler-a"  # Euler with fresh noise at every step, from the image's seed
    DPM = "dpm++"  # DPM-Solver++ of second order, arXiv 2211.01095; good in 15 to 25 steps
    UNIPC = "unipc"  # arXiv 2302.04867; good in 10 to 20 steps


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Box:
    """A place on the canvas, in fractions of its width and height from the upper left corner."""

    left: Fraction
    top: Fraction
    right: Fraction
    bottom: Fraction


class Mask(WireModel):
    """A place on the canvas as a picture of it: white is the concept's, black is not, grey is in part."""

    png: Base64Bytes = Field(max_length=MAX_MASK_BYTES)  # 8-bit greyscale

    @property
    def digest(self) -> Digest:
        return Digest.of(self.png)


Place = Box | Mask


class PhotoEdit(WireModel):
    """What is drawn into a photo, whose pixels stay with the application."""

    photo: Digest  # of the photo's file
    mask: Digest | None = None  # of the mask's pixels; none: the whole photo is drawn anew
    strength: Fraction  # 0 keeps the photo, 1 forgets it


class Sampling(WireModel):
    """How images are drawn: all numbers of it, so that the same values, and as many images, give the same
    pixels on one machine.

    Image i is drawn under `seeds[i]`, or, without `seeds`, under `seed + i`.
    """

    seed: Seed
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_COUNT)] | None = None
    steps: int = Field(ge=1, le=MAX_STEPS)
    guidance: float = Field(ge=0, le=100, allow_inf_nan=False)
    scheduler: Scheduler = Scheduler.DDIM
    negative_prompt: str = Field(default="", max_length=2_000)
    size: tuple[Side, Side] | None = None  # width, height in pixels; the base model's own when None
    layout: dict[ConceptId, Place] = Field(default_factory=dict)  # concepts that have a place of their own
    leakage: Fraction = 1.0  # how much placed concepts see of each other while they are drawn; 0: nothing
    edit: PhotoEdit | None = None

    @model_validator(mode="after")
    def _first_seed_is_the_seed(self) -> Sampling:
        if self.seeds and self.seeds[0] != self.seed:
            raise ValueError("seed is the first of seeds")
        return self

    def seed_of(self, image: int) -> int:
        """The seed of image number `image`, from 0."""
        return self.seeds[image] if self.seeds else self.seed + image

    @property
    def digest(self) -> Digest:
        return Digest.of(encode_canonical(self))
