"""The nearest change that would make a refused composition a permitted one, and who can make it.

Candidates are what people can do: ask for something else, leave a concept out, approve, grant, lift a prohibition.
The engine itself is asked what each would change; that somebody is a minor is never a candidate. All single changes
that suffice are found; where none does, the shortest chain that a greedy search finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sdk.policy.engine import PolicyEngine
from sdk.spec.policy import ConceptFacts, PolicyContext, Role
from sdk.spec.terms import WORLD


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that somebody can do."""

    what: str
    who: str
    apply: Callable[[PolicyContext], PolicyContext]


def nearest_changes(engine: PolicyEngine, context: PolicyContext) -> tuple[tuple[Change, ...], ...]:
    """Alternatives, each a set of changes that together turn the refusal into a permit; none if nothing known does."""
    helpful = [change for change in _candidates(context) if _helps(engine, context, change)]
    singles = [(change,) for change in helpful if engine.evaluate(change.apply(context)).permitted]
    if singles:
        return tuple(singles)
    chain = _chain(engine, context, helpful)
    return (chain,) if chain else ()


def _chain(engine: PolicyEngine, context: PolicyContext, helpful: list[Change]) -> tuple[Change, ...]:
    taken: list[Change] = []
    while helpful and not engine.evaluate(context).permitted:
        best = min(helpful, key=lambda change: len(_refusals(engine, change.apply(context))))
        if not _helps(engine, context, best):
            return ()
        context = best.apply(context)
        taken.append(best)
        helpful.remove(best)
    return tuple(taken) if engine.evaluate(context).permitted else ()


def _helps(engine: PolicyEngine, context: PolicyContext, change: Change) -> bool:
    return len(_refusals(engine, change.apply(context))) < len(_refusals(engine, context))


def _refusals(engine: PolicyEngine, context: PolicyContext) -> set[tuple[str, str]]:
    decision = engine.evaluate(context)
    return set() if decision.permitted else {(reason.rule, reason.about) for reason in decision.reasons}


def _candidates(context: PolicyContext) -> Iterator[Change]:
    yield from _of_the_asker(context)
    if Role.APP not in context.principal.roles:
        yield Change(
            what=f"give {context.principal.id} the role {Role.APP.value}",
            who="an administrator",
            apply=lambda asked: _as_role(asked, Role.APP),
        )
    for facts in context.concepts:
        yield from _of_others(context, facts)


def _of_the_asker(context: PolicyContext) -> Iterator[Change]:
    asker = f"{context.principal.id}, who asks"
    for member, granted in (("purpose", "purposes"), ("territory", "territories"), ("channel", "channels")):
        known = {value for facts in context.concepts for value in getattr(facts, granted)} - {WORLD}
        for value in sorted(known - {getattr(context.use, member, None)}):
            yield Change(what=f"ask for the {member} {value}", who=asker, apply=_asking(**{member: value}))
    left = [facts.images_left for facts in context.concepts if facts.images_left]
    if left and context.count and min(left) < context.count:
        fewer = min(left)
        yield Change(what=f"ask for {fewer} images", who=asker, apply=lambda asked: _counting(asked, fewer))
    if len(context.concepts) > 1:
        for facts in context.concepts:
            yield Change(what=f"leave {facts.concept} out of the picture", who=asker, apply=_without(facts))


def _of_others(context: PolicyContext, facts: ConceptFacts) -> Iterator[Change]:
    owner, use = f"the owner, {facts.owner}", context.use
    name = f"{facts.concept}@{facts.number}"
    yield _change(facts, f"approve a version of {facts.concept}", "a reviewer", status="approved")
    yield _change(facts, f"record a live consent for {facts.concept}", owner, consent_live=True)
    yield _change(facts, f"record a licence in force for {facts.concept}", owner, licence_live=True)
    yield _change(facts, f"record a consent and a licence that name {facts.concept}", owner, covers_concept=True)
    if use is None:
        return
    for granted, asked in (("purposes", use.purpose), ("territories", use.territory), ("channels", use.channel)):
        wider = (*getattr(facts, granted), asked)
        yield _change(facts, f"obtain a consent and a licence of {name} that grant {asked}", owner, **{granted: wider})
    lifted = tuple(sorted(set(facts.prohibited_uses) - {use.purpose, use.channel}))
    yield _change(facts, f"obtain a licence of {name} without the prohibition", owner, prohibited_uses=lifted)
    name_it = f"obtain a licence of {name} that"
    yield _change(facts, f"{name_it} names {context.principal.id}", owner, applications=(context.principal.id,))
    yield _change(facts, f"{name_it} allows this base model", owner, base_models=None)
    yield _change(facts, f"{name_it} is not exclusive", owner, exclusive_in=None)
    yield _change(facts, f"obtain a consent and a licence of {name} that grant images", owner, media=None)
    yield _change(facts, f"{name_it} allows these categories beside it", owner, not_with_categories=None)
    yield _change(facts, f"{name_it} allows {context.count or 1} images more", owner, images_left=None)
    yield _change(facts, f"have a second reviewer approve a version of {facts.concept}", "a reviewer", approvals=2)
    beside = {other.concept for other in context.concepts}
    kept = tuple(sorted(set(facts.not_with) - beside))
    yield _change(facts, f"obtain a licence of {name} that allows the others beside it", owner, not_with=kept)


def _change(facts: ConceptFacts, what: str, who: str, **members: Any) -> Change:
    def apply(context: PolicyContext) -> PolicyContext:
        concepts = tuple(
            held.model_copy(update=members) if held.concept == facts.concept else held for held in context.concepts
        )
        return context.model_copy(update={"concepts": concepts})

    return Change(what=what, who=who, apply=apply)


def _asking(**members: str) -> Callable[[PolicyContext], PolicyContext]:
    def apply(context: PolicyContext) -> PolicyContext:
        return context.model_copy(update={"use": context.use.model_copy(update=members) if context.use else None})

    return apply


def _counting(context: PolicyContext, count: int) -> PolicyContext:
    return context.model_copy(update={"count": count})


def _without(facts: ConceptFacts) -> Callable[[PolicyContext], PolicyContext]:
    def apply(context: PolicyContext) -> PolicyContext:
        left = tuple(held for held in context.concepts if held.concept != facts.concept)
        return context.model_copy(update={"concepts": left}) if left else context  # a picture of nothing is no answer

    return apply


def _as_role(context: PolicyContext, role: Role) -> PolicyContext:
    roles = (*context.principal.roles, role)
    return context.model_copy(update={"principal": context.principal.model_copy(update={"roles": roles})})
