"""Intended uses: what is specific enough passes, what covers everything or says nothing is refused with the reason."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from support.governed import licence_grant

from sdk.spec.specific import require_specific


class TestRequireSpecific:
    @pytest.mark.parametrize(
        "text",
        [
            "posters of the singer in a red coat for the 2027 spring tour, shown in Tokyo",
            "a web banner that shows the runner with shoe model A1, on the maker's own site",
            "2027年春のツアーの告知ポスターに、赤いコート姿の歌手を掲載する",
        ],
    )
    def test_passes_what_says_what_will_be_made(self, text: str) -> None:
        assert require_specific(text) == text

    @pytest.mark.parametrize(
        ("text", "vague"),
        [
            ("any and all uses of the singer's likeness in the campaign", "any and all uses"),
            ("all media now known or hereafter devised, of the singer", "all media"),
            ("posters of the singer, including but not limited to the tour", "but not limited"),
            ("pictures of the singer for marketing purposes of the studio", "marketing purposes"),
            ("posters of the singer for the tour in Tokyo and so on", "and so on"),
            ("歌手の肖像をあらゆる媒体で使用することができるものとする", "あらゆる媒体"),
        ],
    )
    def test_refuses_what_covers_everything_and_names_it(self, text: str, vague: str) -> None:
        with pytest.raises(ValueError, match=f"'{vague}' is vague: say what will be made"):
            require_specific(text)

    @pytest.mark.parametrize("text", ["advertising", "posters in Tokyo", "ポスターに使う"])
    def test_refuses_what_is_too_short_to_say_anything(self, text: str) -> None:
        with pytest.raises(ValueError, match="is too short to describe a use"):
            require_specific(text)

    def test_holds_in_a_licence(self) -> None:
        with pytest.raises(ValidationError, match="is vague"):
            licence_grant(intended_uses=("any use of the likeness of the singer whatsoever",))
        assert licence_grant(intended_uses=("posters of the singer for the 2027 spring tour",)).intended_uses
