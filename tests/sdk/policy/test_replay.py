"""Recorded decisions decided again: what a proposal changes, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.governed import NOW, World, licence_grant, record_id, use_terms

from sdk.errors import DigestMismatch, InputError
from sdk.policy.bundle import load_bundle
from sdk.policy.cedar import CedarEngine
from sdk.policy.facts import concept_facts
from sdk.policy.replay import ProposedTerms, Replayed, replay
from sdk.spec.api import RecordedDecision
from sdk.spec.bundle import RenewalEvidence, VersionBundle
from sdk.spec.ids import ConceptId
from sdk.spec.policy import PolicyContext, PolicyDomain, PolicyPrincipal, Use

ENGINE = CedarEngine(load_bundle(Path(__file__).resolve().parents[3] / "policies"))
WORLD = World()
USE = Use(purpose="advertising", territory="JP", channel="web")


def recorded(use: Use = USE) -> RecordedDecision:
    bundle = WORLD.bundle()
    facts = concept_facts(
        concept=bundle.concept,
        number=bundle.number,
        kind=WORLD.manifest.kind,
        status="approved",
        owner=bundle.owner,
        trainer_of_record=WORLD.manifest.training.requested_by,
        consents=bundle.consents,
        licences=bundle.licences,
        at=NOW,
    )
    context = PolicyContext(
        domain=PolicyDomain.COMPOSITION,
        action="compose",
        principal=PolicyPrincipal(id="demo/app", roles=("app",)),
        concepts=(facts,),
        use=use,
        at=NOW,
    )
    return RecordedDecision(
        generation=record_id("gen"), log_index=1, context=context, decision=ENGINE.evaluate(context)
    )


def under(terms: ProposedTerms, *decisions: RecordedDecision) -> list[Replayed]:
    return list(replay(ENGINE, decisions, terms=terms, fetch_version=lambda concept, number, at: WORLD.bundle()))


class TestReplay:
    def test_nothing_proposed_changes_nothing(self) -> None:
        (same,) = under({}, recorded())
        assert (same.gains, same.loses, same.proposed) == (False, False, same.recorded.decision)

    def test_narrower_terms_lose(self) -> None:
        (lost,) = under({record_id("lic"): licence_grant(terms=use_terms(channels=("print",)))}, recorded())
        assert lost.loses
        assert [reason.rule for reason in lost.proposed.reasons] == ["composition.channel"]

    def test_a_term_that_begins_later_does_not_undo_what_was_live(self) -> None:
        later = use_terms(valid_from=NOW + timedelta(days=1))
        (same,) = under({record_id("lic"): licence_grant(terms=later)}, recorded())
        assert not same.loses

    def test_terms_that_nothing_rests_on_are_named(self) -> None:
        with pytest.raises(InputError, match=f"no replayed decision rests on {record_id('lic', 'z')}"):
            under({record_id("lic", "z"): licence_grant()}, recorded())

    def test_a_version_is_replayed_as_it_stood_at_the_moment(self) -> None:
        renewal = RenewalEvidence(request=WORLD.log.receipt(0), renewed=None)
        for renewed, moments in ((None, [None]), (renewal, [None, NOW])):
            asked: list[datetime | None] = []

            def fetch(
                concept: ConceptId, number: int, at: datetime | None, asked=asked, renewed=renewed
            ) -> VersionBundle:  # type: ignore[no-untyped-def]
                asked.append(at)
                return WORLD.bundle().model_copy(update={"renewal": renewed})

            list(replay(ENGINE, [recorded()] * 3, terms={record_id("lic"): licence_grant()}, fetch_version=fetch))
            assert asked == moments

    def test_a_context_that_is_not_the_one_decided_on_is_refused(self) -> None:
        held = recorded()
        changed = held.context.model_copy(update={"use": USE.model_copy(update={"territory": "US"})})
        with pytest.raises(DigestMismatch, match="but the registry sent"):
            under({}, held.model_copy(update={"context": changed}))
