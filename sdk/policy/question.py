"""A `PolicyContext` as Cedar sees it: request, entities, and the same facts by the names that rules use. Pure.

Cedar is asked once for every concept of a picture; `facts` is that concept, or none when records are asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sdk.policy.narrowing import Elements
from sdk.spec.policy import ConceptFacts, PolicyContext, PolicyDomain

_WHOLE: Final[Elements] = MappingProxyType({})
_PEOPLE: Final = ("owner", "trainer_of_record", "review_requested_by")


def encode_request(context: PolicyContext, facts: ConceptFacts | None) -> dict[str, Any]:
    """The Cedar request about one concept, or about the tenant's records."""
    asked: dict[str, Any] = {}
    if context.domain is PolicyDomain.COMPOSITION and facts:
        asked = context.use.model_dump() if context.use else {}  # no use is an error by the schema, so a denial
        asked["others"] = other_concepts(context, facts)
        asked["other_categories"] = other_categories(context, facts)
        if context.count is not None:
            asked["count"] = context.count
    return {
        "principal": _principal(str(context.principal.id)),
        "action": {"type": "Action", "id": context.action},
        "resource": _concept_uid(facts) if facts else _records_uid(context),
        "context": asked,
    }


def encode_entities(context: PolicyContext, elements: Elements = _WHOLE) -> list[dict[str, Any]]:
    """Who asks, the tenant's records, and every concept of the question; of the sets in `elements`, no other elements."""
    roles = [role.value for role in context.principal.roles]
    asker = {"uid": _principal(str(context.principal.id)), "attrs": {"roles": roles}, "parents": []}
    records = {"uid": _records_uid(context), "attrs": {}, "parents": []}
    return [asker, records, *(_concept_entity(facts, elements) for facts in context.concepts)]


def named_facts(context: PolicyContext, facts: ConceptFacts | None) -> dict[str, Any]:
    """The facts by the names that rules use: `context.territory`, `resource.owner`, `principal`."""
    request = encode_request(context, facts)
    held: dict[str, Mapping[str, Any]] = {
        "principal": {"roles": [role.value for role in context.principal.roles]},
        "resource": _concept_entity(facts)["attrs"] if facts else {},
        "context": request["context"],
    }
    members = {f"{variable}.{name}": value for variable, of in held.items() for name, value in of.items()}
    return members | {"principal": request["principal"], "resource": request["resource"]}


def other_concepts(context: PolicyContext, facts: ConceptFacts) -> list[str]:
    """The other concepts of the same picture."""
    return sorted({str(other.concept) for other in context.concepts} - {str(facts.concept)})


def other_categories(context: PolicyContext, facts: ConceptFacts) -> list[str]:
    """What the other concepts of the same picture are in trade."""
    others = (other for other in context.concepts if other.concept != facts.concept)
    return sorted({category for other in others for category in other.categories or ()})


def _concept_entity(facts: ConceptFacts, elements: Elements = _WHOLE) -> dict[str, Any]:
    attributes = facts.model_dump(mode="json", exclude={"concept", "applications", *_PEOPLE}, exclude_none=True)
    for name in elements.keys() & attributes.keys():
        if isinstance(attributes[name], list):
            attributes[name] = [held for held in attributes[name] if held in elements[name]]
    for name in _PEOPLE:
        if person := getattr(facts, name):
            attributes[name] = {"__entity": _principal(str(person))}
    if facts.applications is not None:
        wanted = elements.get("applications")
        named = facts.applications if wanted is None else [name for name in wanted if name in facts.applications]
        attributes["applications"] = [{"__entity": _principal(str(name))} for name in named]
    return {"uid": _concept_uid(facts), "attrs": attributes, "parents": []}


def _principal(name: str) -> dict[str, str]:
    return {"type": "Principal", "id": name}


def _concept_uid(facts: ConceptFacts) -> dict[str, str]:
    return {"type": "Concept", "id": f"{facts.concept}@{facts.number}"}


def _records_uid(context: PolicyContext) -> dict[str, str]:
    return {"type": "Records", "id": str(context.principal.id.tenant)}
