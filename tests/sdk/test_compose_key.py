"""The idempotency key of a call: which intents of it go under one, and that it is a key at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest
from support.governed import NOW
from support.workshop import SCENE, USE, Workshop
from support.workshop import run as run_alone

from sdk.client import Client
from sdk.compose import Composition, acompose
from sdk.errors import Conflict, InputError
from sdk.policy.bundle import PolicyBundle
from sdk.spec.api import GenerationIntent
from sdk.spec.grant import GrantPredicate


@pytest.fixture
def client(workshop: Workshop) -> Iterator[Client]:
    with workshop.registry.client() as connection:
        yield connection


def run(workshop: Workshop, client: Client, **options: Any) -> Composition:
    return run_alone(workshop, steps=1, client=client, **options)


class TestKey:
    """One key for all intents of a call, as far as the registry takes it."""

    KEY = "spring-2027-poster-1"

    def test_is_the_one_that_is_given(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client, idempotency_key=self.KEY)
        assert workshop.registry.intents[0].idempotency_key == self.KEY

    def test_is_the_one_that_is_given_in_an_event_loop(self, workshop: Workshop, client: Client) -> None:
        options = {"steps": 1, "profile": workshop.profile, "client": client, "clock": lambda: NOW, **USE}
        anyio.run(partial(acompose, ["demo/fox"], SCENE, idempotency_key=self.KEY, **options))
        assert workshop.registry.intents[0].idempotency_key == self.KEY

    @pytest.mark.parametrize(
        "key", ["short", "k" * 65, "spring 2027 poster", "k" * 16 + "\n", "é" * 16, 1234567890123456]
    )
    def test_that_the_wire_does_not_know_is_refused_before_anybody_is_asked(
        self, workshop: Workshop, client: Client, key: Any
    ) -> None:
        with pytest.raises(InputError, match=r"idempotency_key is .* must be 16 to 64"):
            run(workshop, client, idempotency_key=key)
        assert workshop.registry.asked == []

    def repeated(self, workshop: Workshop, client: Client, meanwhile: Callable[[], None]) -> list[GenerationIntent]:
        """The intents of a call that a grant for something else makes begin anew."""
        run(workshop, client)
        honest = workshop.registry.leave

        def leave(*of: Any) -> GrantPredicate:
            workshop.registry.leave = honest  # type: ignore[method-assign]
            meanwhile()
            return honest(*of).model_copy(update={"count": 2})

        workshop.registry.leave = leave  # type: ignore[method-assign]
        assert run(workshop, client, idempotency_key=self.KEY).images
        return workshop.registry.intents[1:]

    def test_the_same_intent_again_goes_under_the_same_one(self, workshop: Workshop, client: Client) -> None:
        first, second = self.repeated(workshop, client, lambda: None)
        assert first == second
        assert first.idempotency_key == self.KEY

    def test_another_intent_than_the_one_permitted_goes_under_a_fresh_one(
        self, workshop: Workshop, client: Client
    ) -> None:
        first, second = self.repeated(workshop, client, lambda: other_policies(workshop))
        assert first.policy_bundle != second.policy_bundle
        assert self.KEY == first.idempotency_key != second.idempotency_key

    def test_another_intent_goes_under_the_same_one_where_none_was_permitted(
        self, workshop: Workshop, client: Client
    ) -> None:
        run(workshop, client)

        def refuse() -> Conflict:
            workshop.registry.overrides.clear()
            other_policies(workshop)
            return Conflict("fetch the policies again")

        workshop.registry.overrides["POST /v1/generations$"] = refuse
        assert run(workshop, client, idempotency_key=self.KEY).images
        first, second = workshop.registry.intents
        assert first.policy_bundle != second.policy_bundle
        assert second.idempotency_key == self.KEY


def other_policies(workshop: Workshop) -> None:
    """Put a bundle in force that says the same in other words."""
    files = dict(workshop.registry.policies.files)
    files["composition/rules.cedar"] += "\n// as before\n"
    workshop.registry.policies = PolicyBundle(files=files)
