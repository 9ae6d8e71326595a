"""Asking the registry who calls, and remembering it for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.training import MemoryRegistry

from sdk.errors import AuthenticationRequired, PermissionDenied, ServiceUnavailable
from sdk.spec.ids import PrincipalId, TenantName
from sdk.spec.policy import Role
from trainer.jobs.auth import Authenticator, Caller


class Now:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 24, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def make(registry: MemoryRegistry, now: Now, entries: int = 10) -> Authenticator:
    return Authenticator(registry.open, now, seconds=30, entries=entries)


class TestAuthenticator:
    def test_asks_once_within_its_time(self) -> None:
        registry, now = MemoryRegistry(), Now()
        authenticator = make(registry, now)
        first = authenticator.whoami("imp_trainer")
        now.at += timedelta(seconds=29)
        assert authenticator.whoami("imp_trainer") == first
        assert registry.asked == ["imp_trainer"]

    def test_asks_again_after_it(self) -> None:
        registry, now = MemoryRegistry(), Now()
        authenticator = make(registry, now)
        authenticator.whoami("imp_trainer")
        now.at += timedelta(seconds=30)
        authenticator.whoami("imp_trainer")
        assert len(registry.asked) == 2

    def test_keeps_credentials_apart(self) -> None:
        authenticator = make(MemoryRegistry(), Now())
        assert authenticator.whoami("imp_trainer").principal == "demo/aiko"
        assert authenticator.whoami("imp_other").principal == "other/trainer"

    def test_never_remembers_a_refusal(self) -> None:
        registry = MemoryRegistry()
        authenticator = make(registry, Now())
        for _ in range(2):
            with pytest.raises(AuthenticationRequired):
                authenticator.whoami("imp_nobody")
        assert len(registry.asked) == 2

    def test_refuses_when_nobody_can_say(self) -> None:
        with pytest.raises(ServiceUnavailable):
            make(MemoryRegistry(away=True), Now()).whoami("imp_trainer")

    def test_forgets_the_oldest_when_it_is_full(self) -> None:
        registry = MemoryRegistry()
        authenticator = make(registry, Now(), entries=1)
        for credential in ("imp_trainer", "imp_owner", "imp_trainer"):
            authenticator.whoami(credential)
        assert registry.asked == ["imp_trainer", "imp_owner", "imp_trainer"]


class TestCaller:
    caller = Caller(
        principal=PrincipalId("demo/shop"),
        tenant=TenantName("demo"),
        roles=frozenset({Role.APP}),
        credential="imp_secret",
    )

    def test_needs_one_of_the_roles(self) -> None:
        self.caller.require(Role.TRAINER, Role.APP)
        with pytest.raises(PermissionDenied, match="demo/shop needs the role trainer or owner"):
            self.caller.require(Role.TRAINER, Role.OWNER)

    def test_never_shows_its_credential(self) -> None:
        assert "imp_secret" not in repr(self.caller)
