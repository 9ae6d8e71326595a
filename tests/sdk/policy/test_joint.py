"""Tests of sdk.policy.joint: the terms of several concepts intersect, and the shipped rules permit nothing outside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.governed import NOW
from support.policy_facts import PLAIN_FACTS

from sdk.policy.bundle import load_bundle
from sdk.policy.cedar import CedarEngine
from sdk.policy.joint import joint_terms
from sdk.spec.policy import ConceptFacts, PolicyContext, PolicyDomain, PolicyPrincipal, Use
from sdk.spec.terms import WORLD

ENGINE = CedarEngine(load_bundle(Path(__file__).resolve().parents[3] / "policies"))
PURPOSES, PLACES, CHANNELS = ("advertising", "editorial", "packaging"), ("DE", "JP", "US", WORLD), ("print", "web")
CATEGORIES, NAMES = ("alcohol", "cars"), ("demo/fox", "demo/shrine", "demo/tree")


def some(values: tuple[str, ...], least: int = 1) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), unique=True, min_size=least).map(tuple)


def maybe(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...] | None]:
    """Rarely a limit: of many limits at once hardly any use would be left to tell apart."""
    return st.integers(0, 5).flatmap(lambda chance: some(values) if chance == 0 else st.none())


def few(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    return maybe(values).map(lambda chosen: (chosen or ())[:1])


@st.composite
def concepts(draw: st.DrawFn) -> tuple[ConceptFacts, ...]:
    names = draw(some(NAMES))
    return tuple(
        facts(
            concept=name,
            purposes=draw(some(PURPOSES, least=2)),
            territories=draw(some(PLACES, least=3)),
            channels=draw(some(CHANNELS, least=2)),
            prohibited_uses=draw(few((*PURPOSES, *CHANNELS))),
            not_with=draw(few(NAMES)),
            not_with_categories=draw(maybe(CATEGORIES)),
            exclusive_in=draw(maybe(CATEGORIES)),
            categories=draw(maybe(CATEGORIES)),
            media=draw(maybe(("image", "video"))),
            applications=draw(maybe(("demo/app", "demo/shop"))),
            images_left=draw(st.none() | st.integers(0, 9)),
        )
        for name in names
    )


def facts(**members: Any) -> ConceptFacts:
    return ConceptFacts.model_validate(PLAIN_FACTS | members)


class TestJointTerms:
    @settings(max_examples=150, deadline=None)
    @given(
        held=concepts(),
        purpose=st.sampled_from(PURPOSES),
        territory=st.sampled_from(PLACES),
        channel=st.sampled_from(CHANNELS),
        count=st.integers(1, 3),
    )
    def test_are_exactly_what_the_rules_permit(
        self, held: tuple[ConceptFacts, ...], purpose: str, territory: str, channel: str, count: int
    ) -> None:
        terms = joint_terms(held)
        inside = (
            purpose in terms.purposes
            and channel in terms.channels
            and not {WORLD, territory}.isdisjoint(terms.territories)
            and (terms.media is None or "image" in terms.media)
            and (terms.applications is None or "demo/app" in terms.applications)
            and (terms.images_left is None or count <= terms.images_left)
            and not terms.apart
        )
        context = PolicyContext(
            domain=PolicyDomain.COMPOSITION,
            action="compose",
            principal=PolicyPrincipal(id="demo/app", roles=("app",)),
            concepts=held,
            use=Use(purpose=purpose, territory=territory, channel=channel),
            count=count,
            at=NOW,
        )
        assert ENGINE.evaluate(context).permitted == inside

    def test_of_the_world_are_those_of_the_other(self) -> None:
        granted = {"purposes": PURPOSES, "channels": CHANNELS}
        terms = joint_terms(
            [
                facts(concept="demo/fox", territories=(WORLD,), **granted),
                facts(concept="demo/tree", territories=("JP",), **granted),
            ]
        )
        assert (terms.territories, terms.usable) == (("JP",), True)

    def test_of_other_media_permit_no_picture(self) -> None:
        granted = {"purposes": PURPOSES, "channels": CHANNELS, "territories": (WORLD,)}
        for media, usable in ((("video",), False), (("image", "video"), True), (None, True)):
            assert joint_terms([facts(concept="demo/fox", media=media, **granted)]).usable is usable, media

    def test_name_who_keeps_whom_away(self) -> None:
        granted = {"purposes": PURPOSES, "channels": CHANNELS, "territories": (WORLD,)}
        terms = joint_terms(
            [
                facts(concept="demo/fox", not_with=("demo/tree",), not_with_categories=("alcohol",), **granted),
                facts(concept="demo/tree", categories=("alcohol", "cars"), **granted),
                facts(concept="demo/van", exclusive_in=("cars",), **granted),
            ]
        )
        assert terms.apart == (("demo/fox", "alcohol"), ("demo/fox", "demo/tree"), ("demo/van", "cars"))
        assert not terms.usable

    def test_of_nothing_permit_nothing(self) -> None:
        assert not joint_terms(()).usable
