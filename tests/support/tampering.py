"""One thing broken at a time: a registry without a rule, and answers that somebody changed on their way.

make_studio(url, folder, change=without_rules("composition.territory"))
with studio.wire.tampered(r"GET /v1/generations", changed_json(lambda body: body["generations"].clear())): ...
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from registry.runtime import Runtime
from sdk.client import Client
from sdk.policy.bundle import PolicyBundle, load_bundle
from sdk.policy.cedar import CedarEngine

POLICIES = Path(__file__).resolve().parents[2] / "policies"
Answer = Callable[[], httpx.Response]
Change = Callable[[httpx.Request, Answer], httpx.Response]


def without_rules(*rules: str) -> Callable[[Runtime], Runtime]:
    """A change of a registry: its policies, less these rules."""

    def change(runtime: Runtime) -> Runtime:
        bundle = without_rule(*rules, bundle=runtime.policy_bundle)
        return replace(runtime, policy=CedarEngine(bundle), policy_bundle=bundle)

    return change


def without_rule(*rules: str, bundle: PolicyBundle | None = None) -> PolicyBundle:
    """The policies of `bundle`, or the shipped ones, less these rules."""
    files = dict((bundle or load_bundle(POLICIES)).files)
    for rule in rules:
        name = f"{rule.partition('.')[0]}/rules.cedar"
        kept = re.sub(rf'@id\("{re.escape(rule)}"\).*?;\n(?=\n|\Z)', "", files[name], flags=re.DOTALL)
        assert kept != files[name], f"no rule {rule} in {name}"
        files[name] = kept
    return PolicyBundle(files=files)


def changed_json(change: Callable[[dict[str, Any]], None]) -> Change:
    """An answer with `change` made to its body."""

    def answer(request: httpx.Request, ask: Answer) -> httpx.Response:
        body = json.loads(ask().content)
        change(body)
        return httpx.Response(200, json=body, request=request)

    return answer


def changed_bytes(old: bytes, new: bytes) -> Change:
    """An answer with `new` in the place of `old`, which must be there."""

    def answer(request: httpx.Request, ask: Answer) -> httpx.Response:
        content = ask().content
        assert old in content
        return httpx.Response(200, content=content.replace(old, new), request=request)

    return answer


def from_the_log_of(other: Client) -> Change:
    """Answers about a log, taken from another that the same key signed under the same origin."""

    def answer(request: httpx.Request, ask: Answer) -> httpx.Response:
        content = other._registry.get_bytes(request.url.path)
        return httpx.Response(200, content=content, request=request)

    return answer
