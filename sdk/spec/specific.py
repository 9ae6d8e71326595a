"""Whether a description of intended uses is reasonably specific, as a person's replica needs it (California AB 2602).

A description says what will be made and where it is shown. What is refused: phrases that cover everything, and texts too
short to describe anything. A text that passes may still be vague; a reviewer reads it.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from sdk.spec.texts import ShortText

MIN_WORDS: Final = 5
MIN_JAPANESE_CHARACTERS: Final = 12
_JAPANESE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_VAGUE: Final = (
    (
        r"(?:any|all|every|whatever)(?: and all)? (?:\w+ )?"
        r"(?:uses?|purposes?|media|medium|means|manners?|ways?|forms?|channels?|projects?|works?|products?|technolog\w+)"
    ),
    r"any (?:and all|other|kind|sort)\b",
    r"(?:now|hereafter) known|hereafter devised|in perpetuity|throughout the universe",
    r"without (?:limitation|restriction)|not limited to|but not limited",
    r"(?:and so on|et cetera|etc\b|and the like|and more|as needed|as required|where appropriate|as we see fit)",
    r"(?:general|various|miscellaneous|other|commercial|business|marketing|promotional) (?:uses?|purposes?)",
    r"(?:あらゆる|すべての|全ての|一切の|いかなる)(?:用途|目的|媒体|方法|形態|利用)",
    r"(?:等一切|その他一切|など一切)",
)
_FOUND: Final = re.compile("|".join(_VAGUE), re.IGNORECASE)


def require_specific(text: str) -> str:
    """Return `text` if it is specific enough to be an intended use. Raises `ValueError` naming what is vague."""
    if vague := _FOUND.search(text):
        raise ValueError(
            f"'{vague[0]}' is vague: say what will be made, of whom, for which campaign or work, shown where"
        )
    japanese = len(_JAPANESE.findall(text))
    if japanese >= MIN_JAPANESE_CHARACTERS or len(re.findall(r"\w{2,}", text)) >= MIN_WORDS:
        return text
    raise ValueError(
        f"'{text}' is too short to describe a use: say what will be made, of whom, for which campaign or work, shown where"
    )


IntendedUse = Annotated[ShortText, AfterValidator(require_specific)]
"""One reasonably specific use: 'a poster of the singer in a red coat for the 2027 spring tour, shown in Tokyo'."""
