"""What a call keeps for the next one: for how long, and that nothing kept is the last word."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from support.governed import NOW, World, make_manifest
from support.workshop import SCENE, USE, Workshop, make_embedding

from sdk.cache import StatusWatch
from sdk.client import Client
from sdk.compose import Composition, compose
from sdk.compose.call import _composer
from sdk.compose.premises import KEPT, Premises, _fetching, _kept, on_premises
from sdk.compose.values import ComposeProgress, ComposeStage, Run
from sdk.errors import (
    Conflict,
    NotApproved,
    PolicyDenied,
    ServiceUnavailable,
    SignatureInvalid,
    StatusListInvalid,
)
from sdk.generate.base_model import base_model_digest
from sdk.policy.bundle import PolicyBundle
from sdk.policy.cedar import CedarEngine
from sdk.resolve import log_memory, shared_connection
from sdk.signing.status import verify_status_list
from sdk.signing.trust import TrustRole
from sdk.spec.bundle import VersionStatus
from sdk.spec.manifest import ConceptManifest
from sdk.spec.policy import Role

ASKED_ONCE = ("GET /v1/trust-root", "GET /v1/policies", "GET /v1/whoami")
NEVER = """
@id("composition.never") @title("x") @plain("x") @plain_ja("x") @because("x") @remedy("x")
forbid (principal, action == Action::"compose", resource);
"""


@pytest.fixture
def client(workshop: Workshop) -> Iterator[Client]:
    with workshop.registry.client() as connection:
        yield connection


def run(workshop: Workshop, client: Client, *, after: timedelta = timedelta(0), **options: Any) -> Composition:
    workshop.registry.clock = lambda: NOW + after
    asked = {"concepts": ["demo/fox"], "scene": SCENE, "steps": 1, "profile": workshop.profile, "client": client}
    return compose(**asked | {"clock": lambda: NOW + after} | USE | options)


def compose_now(workshop: Workshop, client: Client, **options: Any) -> Composition:
    """A call by the registry's clock, which goes on."""
    asked = {"concepts": ["demo/fox"], "scene": SCENE, "steps": 1, "profile": workshop.profile, "client": client}
    return compose(**asked | {"clock": lambda: workshop.registry.clock()} | USE | options)


def approved(workshop: Workshop, manifest: ConceptManifest) -> World:
    """A second version, in the log of the first."""
    world = World(manifest=manifest, number=2, log=workshop.registry.log)
    world.approve()
    return world


def times_asked(workshop: Workshop) -> list[int]:
    return [workshop.registry.asked.count(asked) for asked in ASKED_ONCE]


class TestKept:
    def test_a_second_call_asks_for_a_grant_and_a_receipt_alone(self, workshop: Workshop, client: Client) -> None:
        for _ in range(2):
            run(workshop, client)
        assert times_asked(workshop) == [1, 1, 1]
        second = workshop.registry.asked[len(workshop.registry.asked) - 2 :]
        assert [re.sub(r"gen_\w+", "*", asked) for asked in second] == [
            "POST /v1/generations",
            "POST /v1/generations/*/result",
        ]

    def test_a_version_for_a_minute(self, workshop: Workshop, client: Client) -> None:
        for seconds in (0, 59, 60):
            run(workshop, client, after=timedelta(seconds=seconds))
        assert workshop.registry.asked.count("GET /v1/resolve") == 2

    def test_a_version_for_one_reference(self, workshop: Workshop, client: Client) -> None:
        for reference in ("demo/fox", "demo/fox@1", "demo/fox"):
            run(workshop, client, concepts={"fox": reference}, scene="a photo of {fox}")
        assert workshop.registry.asked.count("GET /v1/resolve") == 2

    def test_a_status_list_until_its_own_end(self, workshop: Workshop, client: Client) -> None:
        for seconds in (0, 50, 59, 61, 62):
            run(workshop, client, after=timedelta(seconds=seconds))
        assert workshop.registry.asked.count("GET /v1/status/demo/0") == 2

    def test_a_version_that_ended_is_refused_at_once(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client)
        workshop.registry.status["demo/fox"] = VersionStatus.REVOKED
        with pytest.raises(NotApproved, match="demo/fox@1 is revoked"):
            run(workshop, client)

    def test_a_list_that_says_so_ends_it_though_the_registry_does_not(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client)
        bundle = workshop.registry.bundle("demo/fox")
        workshop.registry.overrides["/v1/resolve"] = lambda: bundle
        workshop.registry.status["demo/fox"] = VersionStatus.REVOKED
        with pytest.raises(NotApproved, match="demo/fox@1 is revoked"):
            run(workshop, client, after=timedelta(seconds=60))

    @pytest.mark.parametrize(("seconds", "times"), [(59, 1), (60, 2)])
    def test_for_a_minute(self, workshop: Workshop, client: Client, seconds: int, times: int) -> None:
        run(workshop, client)
        run(workshop, client, after=timedelta(seconds=seconds))
        assert times_asked(workshop) == [times] * 3

    def test_not_by_a_clock_that_was_set_back(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client)
        with pytest.raises(StatusListInvalid, match="somebody shows an old one"):
            run(workshop, client, after=-timedelta(seconds=1))
        assert times_asked(workshop) == [2, 2, 2]

    def test_not_beyond_the_trust_roots_end(self, workshop: Workshop, client: Client) -> None:
        end = NOW + timedelta(seconds=20)
        workshop.registry.trust = workshop.registry.trust.model_copy(update={"expires_at": end})
        run(workshop, client)
        workshop.registry.trust = workshop.registry.trust.model_copy(update={"expires_at": NOW + timedelta(days=1)})
        run(workshop, client, after=timedelta(seconds=20))
        assert times_asked(workshop) == [2, 2, 2]

    def test_not_for_another_connection_or_another_profile(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client)
        with workshop.registry.client() as other:
            run(workshop, other)
        changed = dataclasses.replace(workshop.profile, timeout_seconds=7)
        run(dataclasses.replace(workshop, profile=changed), client)
        assert times_asked(workshop) == [3, 3, 3]


class TestNotTheLastWord:
    def test_a_reference_that_means_another_version_by_now_is_resolved_anew(
        self, workshop: Workshop, client: Client
    ) -> None:
        run(workshop, client)
        workshop.registry.overrides["POST /v1/generations$"] = lambda: Conflict(
            "demo/fox does not mean demo/fox@1 any more"
        )
        with pytest.raises(Conflict):
            run(workshop, client)
        assert workshop.registry.asked.count("GET /v1/resolve") == 2
        assert workshop.registry.asked.count("POST /v1/generations") == 3

    def test_a_refusal_on_record_is_asked_for_once(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client)
        decision = CedarEngine(workshop.registry.policies).evaluate(
            workshop.registry.context(workshop.registry.intents[0]).model_copy(update={"count": 0, "use": None})
        )
        assert not decision.permitted
        workshop.registry.overrides["POST /v1/generations$"] = lambda: PolicyDenied("no images are left", decision)
        with pytest.raises(PolicyDenied, match="no images are left"):
            run(workshop, client)
        assert workshop.registry.asked.count("POST /v1/generations") == 2

    def test_a_role_that_was_given_holds_at_once(self, workshop: Workshop, client: Client) -> None:
        workshop.registry.roles = ()
        with pytest.raises(PolicyDenied, match="needs the role app"):
            run(workshop, client)
        workshop.registry.roles = (Role.APP,)
        assert run(workshop, client).images

    def test_a_version_that_was_approved_since_a_list_was_kept_is_composed_with_at_once(
        self, workshop: Workshop, client: Client
    ) -> None:
        run(workshop, client)
        lists = _kept[client][workshop.profile].lists  # as a call with another version would have left them
        ((name, (_signed, until)),) = lists.items()
        workshop.registry.status["demo/fox"] = VersionStatus.SUSPENDED
        lists[name] = workshop.registry.status_list(), until
        workshop.registry.status["demo/fox"] = VersionStatus.APPROVED
        assert run(workshop, client).images

    def test_a_version_that_was_learned_anew_on_an_exchanged_base_model_is_composed_with_at_once(
        self, workshop: Workshop, client: Client
    ) -> None:
        run(workshop, client)
        base = workshop.profile.need("base_model")
        (base / "scheduler" / "note.json").write_text("{}")
        manifest = make_manifest(make_embedding(), base_model=base_model_digest(base))
        workshop.registry.worlds["demo/fox"] = approved(workshop, manifest)
        assert run(workshop, client).versions[0].bundle.number == 2

    def test_a_refusal_that_the_registry_repeats_is_one_refusal(self, workshop: Workshop, client: Client) -> None:
        for _ in range(2):
            with pytest.raises(PolicyDenied, match="territory US"):
                run(workshop, client, territory="US")
        assert times_asked(workshop) == [2, 2, 2]
        assert workshop.registry.intents == []
        assert len(workshop.registry.denied) == 2  # each is on record once

    def test_policies_that_were_narrowed_refuse_at_once(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client)
        files = dict(workshop.registry.policies.files)
        files["composition/rules.cedar"] += NEVER
        workshop.registry.policies = PolicyBundle(files=files)
        with pytest.raises(PolicyDenied, match=r"composition\.never"):
            run(workshop, client)
        assert len(workshop.registry.results) == 1

    def test_a_key_that_was_revoked_counts_no_longer_than_a_minute(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client)
        trust = workshop.registry.trust
        revoked = {
            keyid: key.model_copy(update={"last_entry": -1}) if key.role is TrustRole.STATUS else key
            for keyid, key in trust.keys.items()
        }
        workshop.registry.trust = trust.model_copy(update={"keys": revoked})
        with pytest.raises(SignatureInvalid, match="status"):
            run(workshop, client, after=KEPT)


class TestAnotherProcessOfTheProfile:
    """It was told a newer status list while this call's was on its way."""

    def outrun(self, workshop: Workshop, *, of_fetch: int) -> None:
        told = list[bytes]()

        def answer() -> bytes:
            told.append(workshop.registry.status_list())
            if len(told) == of_fetch:
                now = workshop.registry.clock() + timedelta(seconds=1)
                workshop.registry.clock = lambda: now
                newer = verify_status_list(workshop.registry.status_list(), workshop.registry.trust)
                StatusWatch(log_memory(workshop.profile)).see(newer)
            return told[-1]

        workshop.registry.overrides["GET /v1/status/"] = answer

    def test_before_anything_is_drawn(self, workshop: Workshop, client: Client) -> None:
        self.outrun(workshop, of_fetch=1)
        assert compose_now(workshop, client).images

    def test_when_everything_is_recorded(self, workshop: Workshop, client: Client) -> None:
        def slow(progress: ComposeProgress) -> None:
            if progress.stage is ComposeStage.RESULT:
                now = workshop.registry.clock() + timedelta(minutes=4)  # drawing took longer than the list is good for
                workshop.registry.clock = lambda: now

        self.outrun(workshop, of_fetch=2)
        assert compose_now(workshop, client, on_progress=slow).images


class TestTogether:
    """Calls that begin while another fetches."""

    def calls(
        self, workshop: Workshop, client: Client, act: Callable[[Premises], Premises], whoami: Any = None
    ) -> list[Premises | Exception]:
        """What becomes of four of them; the first answer to whoami comes when all have begun."""
        composer = _composer(workshop.profile, client, lambda: NOW, Run.LOCAL)
        begun, asked = Event(), Event()
        honest = workshop.registry._route

        def answer() -> Any:
            if not isinstance(whoami, ServiceUnavailable):
                workshop.registry.overrides.clear()
            asked.set()
            begun.wait(10)
            return whoami or honest("GET", "/v1/whoami", None)  # type: ignore[arg-type]

        def call(_: int) -> Premises | Exception:
            try:
                return on_premises(composer, act)
            except Exception as exc:
                return exc

        workshop.registry.overrides["/v1/whoami"] = answer
        with ThreadPoolExecutor(4) as threads:
            first = threads.submit(call, 0)
            assert asked.wait(10)
            others = [threads.submit(call, number) for number in range(3)]
            time.sleep(0.2)  # until they wait, or ask for themselves
            begun.set()
            return [each.result(10) for each in (first, *others)]

    def test_use_what_one_of_them_fetched(self, workshop: Workshop, client: Client) -> None:
        first, *others = self.calls(workshop, client, lambda premises: premises)
        assert all(each is first for each in others)
        assert times_asked(workshop) == [1, 1, 1]

    def test_fetch_for_themselves_what_then_refuses_them(self, workshop: Workshop, client: Client) -> None:
        def act(_: Premises) -> Premises:
            raise SignatureInvalid("by a key that was replaced since")

        found = self.calls(workshop, client, act)
        assert [type(each) for each in found] == [SignatureInvalid] * 4
        assert times_asked(workshop) == [4, 4, 4]

    def test_end_with_a_registry_that_does_not_answer(self, workshop: Workshop, client: Client) -> None:
        found = self.calls(workshop, client, lambda premises: premises, whoami=ServiceUnavailable("away"))
        assert [type(each) for each in found] == [ServiceUnavailable] * 4
        assert times_asked(workshop)[:2] == [1, 1]
        assert not _fetching[client]

    def test_ask_for_themselves_after_another_fault(self, workshop: Workshop, client: Client) -> None:
        first, *others = self.calls(workshop, client, lambda premises: premises, whoami=Conflict("not yet"))
        assert isinstance(first, Conflict)
        assert all(isinstance(each, Premises) for each in others)
        assert not _fetching[client]

    def test_a_list_that_another_call_keeps_while_they_are_read(self, workshop: Workshop, client: Client) -> None:
        run(workshop, client)
        premises = _kept[client][workshop.profile]
        ((name, (signed, _)),) = premises.lists.items()
        version = premises.versions["demo/fox"]
        keeping = Thread(target=lambda: premises.keep("demo/fox", version, signed))

        class Crossed(datetime):
            """A moment that somebody keeps a list in while it is compared."""

            def __gt__(self, other: datetime) -> bool:
                keeping.start()
                keeping.join(0.5)
                return super().__gt__(other)

        end = Crossed.fromisoformat((NOW + KEPT).isoformat())
        premises.lists.clear()
        premises.lists[dataclasses.replace(name, number=7)] = signed, end
        assert [each.number for each in premises.lists_at(NOW)] == [7]
        keeping.join()
        assert name in premises.lists


class TestConnection:
    def test_calls_with_one_profile_share_one(self, workshop: Workshop) -> None:
        profile = dataclasses.replace(workshop.profile, registry="http://127.0.0.1:1")
        shared = shared_connection(profile)
        assert shared_connection(dataclasses.replace(profile)) is shared
        assert shared_connection(dataclasses.replace(profile, credential="imp_y")) is not shared
