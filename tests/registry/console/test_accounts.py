"""The console's page of accounts: what was used by month, and what is due for it."""

from __future__ import annotations

import re

import pytest
from support.console import Browser
from support.registry import RegistryUnderTest
from support.versions import Steps, accepted, refused

from registry.console.chart import FOOT, HEIGHT, WIDTH, bars
from sdk.spec.royalty import RoyaltyPeriod, RoyaltyTerms

OWED = RoyaltyTerms(currency="EUR", per_image="0.125", minimum_guarantee="3.00", period=RoyaltyPeriod.MONTH)


@pytest.fixture
def used(registry: RegistryUnderTest) -> RegistryUnderTest:
    """In June the fox is recorded once, in July permitted only."""
    steps = Steps(registry)
    fox = steps.approved(licences=(steps.licence(steps.concept(), royalty=OWED)["id"],))
    grant = accepted(steps.compose(fox, key="a" * 16))
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], fox)))
    registry.clock.advance(days=30)
    accepted(steps.compose(fox, key="b" * 16, count=5))
    registry.clock.advance(days=1)
    return registry


class TestAccounts:
    def test_shows_usage_drawn_and_in_numbers_and_what_is_due(self, used: RegistryUnderTest) -> None:
        page = Browser(used).signed_in("auditor").get("/accounts")
        assert page.status_code == 200
        assert [len(re.findall(f'<rect class="{part}"', page.text)) for part in ("recorded", "open")] == [2, 1]
        assert "2026-06" in page.text
        assert "holder-0001 · EUR 6.00" in page.text
        assert "1 generations of 5 images granted have no result" in page.text

    def test_shows_one_period_and_one_licence(self, used: RegistryUnderTest) -> None:
        browser = Browser(used, language="ja").signed_in("owner")
        page = browser.get("/accounts?since=2026-06-01&until=2026-06-30").text
        assert "EUR 3.00" in page
        assert "2026-07" not in page.split("<tbody>")[1]
        licence = re.search(r"lic_[a-z2-7]{26}", page)
        assert licence
        assert browser.get(f"/accounts?licence={licence[0]}").status_code == 200
        assert browser.get("/accounts?licence=nonsense").status_code == 422

    def test_of_an_old_end_is_the_year_before_it(self, used: RegistryUnderTest) -> None:
        browser = Browser(used).signed_in("auditor")
        assert browser.get("/accounts?since=&until=2024-01-31").status_code == 200
        refused = browser.get("/accounts?since=2026-02-01&until=2026-01-01")
        assert (refused.status_code, "before it begins on 2026-02-01" in refused.text) == (422, True)

    @pytest.mark.parametrize("day", ["0001-01-01", "0002-06-01", "1899-12-31"])
    def test_of_a_day_before_anything_says_so(self, used: RegistryUnderTest, day: str) -> None:
        for end in ("since", "until"):
            answer = Browser(used).signed_in("auditor").get(f"/accounts?{end}={day}")
            assert (answer.status_code, "name a day from 1900 on" in answer.text) == (422, True)

    def test_of_nothing_says_so(self, registry: RegistryUnderTest) -> None:
        page = Browser(registry).signed_in("auditor").get("/accounts").text
        assert "Nothing was used in this time." in page
        assert "No licence has royalty terms." in page

    def test_is_for_auditors_and_owners(self, used: RegistryUnderTest) -> None:
        for name, status in (("owner", 200), ("app", 403), ("reviewer", 403)):
            assert Browser(used).signed_in(name).get("/accounts").status_code == status, name
        assert "demo/fox" not in Browser(used).signed_in("other-auditor").get("/accounts").text
        refused(used.client("app").get("/v1/royalties"), 403, "policy.denied")


class TestChart:
    def test_bars_stand_on_the_line_inside_the_frame_to_one_scale(self) -> None:
        drawn = bars([("a", 10, 0), ("b", 5, 5), ("c", 0, 0)])
        assert [bar.y + bar.height for bar in drawn] == [HEIGHT - FOOT] * 3
        assert drawn[0].height == 2 * drawn[1].height == 2 * drawn[1].top_height > 0
        assert drawn[1].top_y == drawn[0].y > 0
        assert drawn[2].height == 0
        assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in drawn)
        assert len({bar.middle for bar in drawn}) == 3

    def test_of_nothing_is_empty_and_of_zeros_is_flat(self) -> None:
        assert bars([]) == ()
        assert [bar.height for bar in bars([("a", 0, 0)])] == [0]
