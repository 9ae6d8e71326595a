"""A watermark's id as it travels. How one is put into a picture is `sdk.credentials.watermark`.

The id is random and says nothing by itself; the registry knows which generation it was made for.
"""

from __future__ import annotations

import re
from typing import Final

from sdk.spec.ids import PatternedText

WATERMARK_BITS: Final = 61


class WatermarkId(PatternedText):
    """The random number in an image's invisible watermark."""

    pattern = re.compile(r"wm61:[01][0-9a-f]{15}")
    what = "a watermark id"
    example = "wm61:0123456789abcdef"

    @property
    def number(self) -> int:
        return int(self.removeprefix("wm61:"), 16)
