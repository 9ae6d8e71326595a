"""Risk classes: which version needs how many reviewers, and data that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sdk.errors import ConfigurationError
from sdk.policy.bundle import RISK_CLASSES, PolicyBundle, load_bundle
from sdk.policy.risk import risk_classes
from sdk.spec.manifest import ConceptKind, minimum_approvals

BUNDLE = load_bundle(Path(__file__).resolve().parents[3] / "policies")


def with_classes(text: str) -> PolicyBundle:
    return replace(BUNDLE, files={**BUNDLE.files, RISK_CLASSES: text})


class TestShippedClasses:
    @pytest.mark.parametrize(
        ("kind", "minor", "name", "approvals"),
        [
            (ConceptKind.PERSON, False, "person", 2),
            (ConceptKind.PERSON, True, "minor", 2),
            (ConceptKind.SUBJECT, True, "minor", 2),
            (ConceptKind.SUBJECT, False, "standard", 1),
            (ConceptKind.LOGO, False, "standard", 1),
        ],
    )
    def test_are_of(self, kind: ConceptKind, minor: bool, name: str, approvals: int) -> None:
        found = risk_classes(BUNDLE).of(kind, minor=minor)
        assert (found.name, found.approvals) == (name, approvals)

    def test_count_in_the_digest_of_the_bundle(self) -> None:
        assert with_classes(BUNDLE.files[RISK_CLASSES] + "\n").digest != BUNDLE.digest


class TestData:
    def test_the_first_class_that_fits_counts(self) -> None:
        classes = risk_classes(
            with_classes(
                "classes: [{name: logos, kinds: [logo], approvals: 3}, {name: people, kinds: [person], approvals: 4},"
                " {name: rest, approvals: 2}]"
            )
        )
        assert classes.of(ConceptKind.LOGO, minor=True).approvals == 3
        assert classes.of(ConceptKind.PERSON, minor=False).approvals == 4
        assert classes.of(ConceptKind.STYLE, minor=False).approvals == 2

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("classes: []", "cannot be read"),
            ("[", "cannot be read"),
            ("classes: [{name: a, approvals: 0}]", "cannot be read"),
            ("classes: [{name: a, approvals: 2, minr: true}]", "cannot be read"),
            ("classes: [{name: a, approvals: 2}, {name: a, approvals: 2}]", "two classes of one name"),
            ("classes: [{name: a, kinds: [person], approvals: 2}]", "must fit everything"),
            ("classes: [{name: a, minor: true, approvals: 2}]", "must fit everything"),
            ("classes: [{name: a, approvals: 1}]", "asks for 1 reviewers of a version of a subject, a minor"),
            (
                "classes: [{name: m, minor: true, approvals: 2}, {name: a, approvals: 1}]",
                "asks for 1 reviewers of a version of a person",
            ),
        ],
    )
    def test_that_cannot_be_used_is_refused(self, text: str, says: str) -> None:
        with pytest.raises(ConfigurationError, match=says):
            risk_classes(with_classes(text))

    def test_must_be_there(self) -> None:
        files = {name: text for name, text in BUNDLE.files.items() if name != RISK_CLASSES}
        with pytest.raises(ConfigurationError, match=f"have no {RISK_CLASSES}"):
            risk_classes(PolicyBundle(files=files))


class TestFloor:
    def test_every_verifier_asks_for_two_where_a_human_being_is_shown(self) -> None:
        asked = {(kind, minor): minimum_approvals(kind, minor=minor) for kind in ConceptKind for minor in (False, True)}
        two = {pair for pair, least in asked.items() if least == 2}
        assert two == {(ConceptKind.PERSON, False), *((kind, True) for kind in ConceptKind)}
