"""What a compose call was given, checked before anything is spent: its use, and how its images are drawn.

Every fault is an error that names the option, what was found, and what it should be. No torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sdk.compose.key import IntentKey
from sdk.compose.values import Run
from sdk.credentials.mark import ParentPhoto, require_readable_parent
from sdk.errors import FormatError, InputError
from sdk.generate.photo import GivenPhoto, Photo, read_photo
from sdk.generate.places import GivenPlace, parse_layout
from sdk.generate.scene import plain_text
from sdk.spec.api import IDEMPOTENCY_KEY
from sdk.spec.canonical import validate_wire
from sdk.spec.ids import ConceptId
from sdk.spec.money import Money
from sdk.spec.policy import Use
from sdk.spec.sampling import MAX_COUNT, MAX_SEED, MAX_SIDE, MAX_STEPS, SIDE_UNIT, Sampling, Scheduler


def check_use(purpose: str, territory: str, channel: str) -> Use:
    """The use that is asked for. Raises `FormatError`."""
    return validate_wire(Use, {"purpose": purpose, "territory": territory, "channel": channel}, "use")


def check_fee(fee: tuple[str, str] | None) -> Money | None:
    """What is charged for the generation, a currency and an amount, if that is said. Raises `FormatError`."""
    if fee is None:
        return None
    if not isinstance(fee, tuple | list) or len(fee) != 2:
        raise FormatError(f"fee is {fee!r}; it is a currency and an amount, such as ('JPY', '4000')")
    currency, amount = fee
    return validate_wire(Money, {"currency": currency, "amount": amount}, "fee")


def check_options(
    names: Mapping[str, ConceptId],
    *,
    count: int = 1,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    steps: int = 30,
    guidance: float = 5.0,
    scheduler: str = "ddim",
    negative_prompt: str | None = None,
    size: tuple[int, int] | None = None,
    layout: Mapping[str, GivenPlace] | None = None,
    leakage: float = 1.0,
) -> tuple[int, Sampling]:
    """How many images, and how they are drawn; `names` are the concepts as the scene calls them.

    Raises:
        InputError, SceneError: an option cannot be meant, alone or beside the others.
    """
    given = _check_seeds(seed, seeds, count)
    places = parse_layout(layout or {}, names)
    sampling = Sampling(
        seed=given[0] if given else check_whole("seed", seed, 0, MAX_SEED - MAX_COUNT),
        seeds=given,
        steps=check_whole("steps", steps, 1, MAX_STEPS),
        guidance=_check_number("guidance", guidance, 0, 100),
        scheduler=_check_scheduler(scheduler),
        negative_prompt=plain_text(negative_prompt or ""),
        size=None if size is None else check_size(size),
        layout=places,
        leakage=_check_leakage(leakage, len(places)),
    )
    return len(given) if given else check_whole("count", count, 1, MAX_COUNT), sampling


def check_run(run: object) -> Run | None:
    """Where images are drawn, if it is said. Raises `InputError`."""
    if run is None:
        return None
    if not isinstance(run, str) or run not in tuple(Run):
        raise InputError(f"run is {run!r}; it must be one of {', '.join(Run)}")
    return Run(run)


def check_key(key: object) -> IntentKey:
    """The idempotency key of the call: the one that is given, else a fresh one. Raises `InputError`."""
    if key is None:
        return IntentKey.fresh()
    if not isinstance(key, str) or not re.fullmatch(IDEMPOTENCY_KEY, key):
        raise InputError(
            f"idempotency_key is {key!r}; it must be 16 to 64 letters, digits, '-' or '_', such as str(uuid.uuid4())"
        )
    return IntentKey(text=key)


def check_photo(
    photo: GivenPhoto | None, mask: GivenPhoto | None, strength: float, sampling: Sampling, run: Run | None
) -> tuple[Photo | None, Sampling]:
    """The photo that is drawn into, if there is one, and the sampling that says so.

    Raises:
        InputError: it cannot be read, would have to leave this process, or is to change by not one of the steps.
    """
    if photo is None:
        if mask is not None:
            raise InputError("photo_mask is given without a photo")
        return None, sampling
    if run is Run.SERVICE:
        raise InputError("a photo stays with the application: draw here (run='local'), where there is a base model")
    if int(sampling.steps * _check_number("strength", strength, 0, 1)) < 1:
        raise InputError(f"strength {strength} of {sampling.steps} steps is no step at all; raise one of them")
    read = read_photo(photo, mask, float(strength), sampling.size)
    require_readable_parent(ParentPhoto(content=read.content, media_type=read.media_type))
    return read, sampling.model_copy(update={"edit": read.edit})


def check_whole(name: str, value: object, lowest: int, highest: int) -> int:
    """A whole number between `lowest` and `highest`. Raises `InputError`."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise InputError(f"{name} is {value!r}; it must be a whole number between {lowest} and {highest}")
    return value


def check_size(size: object) -> tuple[int, int]:
    """A (width, height) that pipelines can draw. Raises `InputError`."""
    sides = size if isinstance(size, tuple) and len(size) == 2 else (0, 0)
    if any(not isinstance(side, int) or side % SIDE_UNIT or not 0 < side <= MAX_SIDE for side in sides):
        raise InputError(
            f"a size is (width, height) in multiples of {SIDE_UNIT} up to {MAX_SIDE} pixels, found {size!r}"
        )
    return sides


def _check_number(name: str, value: object, lowest: float, highest: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not lowest <= value <= highest:
        raise InputError(f"{name} is {value!r}; it must be a number between {lowest} and {highest}")
    return float(value)


def _check_seeds(seed: object, seeds: object, count: object) -> tuple[int, ...] | None:
    if seeds is None:
        return None
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Sequence) or not 1 <= len(seeds) <= MAX_COUNT:
        raise InputError(f"seeds is {seeds!r}; it must be a list of 1 to {MAX_COUNT} seeds, one for each image")
    if seed != 0 or count not in (1, len(seeds)):
        raise InputError("seeds are given, one for each image; leave seed and count out")
    return tuple(check_whole(f"seeds[{index}]", each, 0, MAX_SEED) for index, each in enumerate(seeds))


def _check_scheduler(name: object) -> Scheduler:
    if not isinstance(name, str) or name not in tuple(Scheduler):
        raise InputError(f"scheduler is {name!r}; it must be one of {', '.join(Scheduler)}")
    return Scheduler(name)


def _check_leakage(leakage: object, places: int) -> float:
    checked = _check_number("leakage", leakage, 0, 1)
    if checked < 1 and places < 2:
        raise InputError(
            f"leakage is {leakage!r}, but it is between concepts that have places; give two of them a place"
        )
    return checked
