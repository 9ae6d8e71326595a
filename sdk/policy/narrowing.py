"""What of a version's sets a question can turn on. Pure; nothing decides here.

A licence may name ten thousand applications; a rule asks whether they contain one. Where every rule of a domain reads a set
of the concept only as `resource.NAME.contains(ELEMENT)`, the set and what it has in common with those elements cannot be told
apart: all rules come out the same. So Cedar is handed the small one. A set that any rule reads in another way is handed
whole, and so are the facts that explain a refusal (`sdk.policy.clauses`, `sdk.policy.nearest`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

_PRINCIPAL: Final = {"Var": "principal"}

Elements = Mapping[str, frozenset[str]]
"""By the name of a set: the elements that a question can turn on. Sets without a name here are handed whole."""
Sought = Mapping[str, tuple[Any, ...]]
"""By the name of a set: the expressions that rules look for in it."""


def sought_elements(policies: Mapping[str, Any]) -> Sought:
    """What the rules (Cedar JSON by name) look for in each set of the concept that they read in no other way."""
    sought: dict[str, list[Any]] = {}
    for name, element in _reads([policy["conditions"] for policy in policies.values()]):
        sought.setdefault(name, []).append(element)
    return MappingProxyType({name: tuple(found) for name, found in sought.items() if None not in found})


def elements_of(sought: Sought, requests: Sequence[Mapping[str, Any]]) -> Elements:
    """The elements that the rules look for when they are asked any of `requests`, as Cedar is."""
    return {
        name: frozenset(_value(element, request) for element in found for request in requests)
        for name, found in sought.items()
    }


def _reads(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every attribute that is read, with the element that is looked for in it; none when it is read in another way."""
    if isinstance(tree, list):
        for each in tree:
            yield from _reads(each)
        return
    if not isinstance(tree, dict) or "Value" in tree:
        return
    if "Record" in tree:  # whose names are anybody's
        yield from _reads(list(tree["Record"].values()))
        return
    contains = tree.get("contains")
    name = _attribute_of_the_concept(contains["left"]) if contains else None
    if contains and name and _is_simple(contains["right"]):
        yield name, contains["right"]
        return
    if "." in tree:
        yield tree["."]["attr"], None  # of whatever it is an attribute
    for each in tree.values():
        yield from _reads(each)


def _attribute_of_the_concept(tree: Any) -> str | None:
    """NAME of `resource.NAME`."""
    read = tree.get(".") if isinstance(tree, dict) else None
    return read["attr"] if read and read["left"] == {"Var": "resource"} else None


def _is_simple(element: Any) -> bool:
    """Whether it is who asks, a fact of the question, or a text: what a value can be given to here."""
    if not isinstance(element, dict):
        return False
    of = element.get(".")
    return (
        element == _PRINCIPAL or bool(of and of["left"] == {"Var": "context"}) or isinstance(element.get("Value"), str)
    )


def _value(element: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """The element's value, a principal's by its id; a fact that the question lacks is in no set, and an error of its rule."""
    if element == _PRINCIPAL:
        return str(request["principal"]["id"])
    if "Value" in element:
        return str(element["Value"])
    return str(request["context"].get(element["."]["attr"]))
