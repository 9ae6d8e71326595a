"""What the registry is asked about a picture that was found: its digest, and what can be read out of its pixels.

First about the picture itself, its mirror image, and the pictures that may be in it, as in a screenshot; if that finds
nothing, about crops of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sdk.credentials.fingerprint import fingerprints_of_crops, fingerprints_of_query
from sdk.credentials.framing import pictures_in
from sdk.credentials.watermark import extract
from sdk.spec.digest import Digest
from sdk.spec.identify import MAX_CROPS, MAX_WATERMARKS, IdentifyQuery

if TYPE_CHECKING:
    from PIL.Image import Image


def query_of(content: bytes, picture: Image) -> IdentifyQuery:
    """The first question about the picture in the file `content`."""
    from PIL import ImageOps

    shown = list(_candidates(picture))
    marks = [extract(each) for one in shown for each in (one, ImageOps.mirror(one))]
    return IdentifyQuery(
        digest=Digest.of(content),
        fingerprints=tuple(dict.fromkeys(held for each in shown for held in fingerprints_of_query(each))),
        watermarks=tuple(dict.fromkeys(mark for mark in marks if mark))[:MAX_WATERMARKS],
    )


def query_of_crops(query: IdentifyQuery, picture: Image) -> IdentifyQuery:
    """The second question, about a picture of which `query` found nothing."""
    crops = tuple(dict.fromkeys(held for each in _candidates(picture) for held in fingerprints_of_crops(each)))
    return query.model_copy(update={"fingerprints": (), "crops": crops[:MAX_CROPS]})


def _candidates(picture: Image) -> Iterator[Image]:
    yield picture
    yield from pictures_in(picture)
