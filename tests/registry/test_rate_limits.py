"""Rate limits: who is charged for what, what a flood does to others, and what is said to whoever is too fast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from starlette.testclient import TestClient
from support.asgi import AsgiTransport
from support.console import Browser
from support.registry import BASE_URL, RegistryUnderTest

from registry.app import create_app
from registry.rate_limits import Buckets, Rate, RateLimit
from registry.settings import Settings
from sdk.spec.digest import Digest


class TestBuckets:
    def test_give_a_burst_and_then_the_rate(self) -> None:
        now = [0.0]
        buckets = Buckets(Rate(per_second=2, burst=3), lambda: now[0])
        assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
        now[0] = 0.5
        assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
        assert buckets.take("b") == 0

    def test_hold_no_more_than_the_burst_after_a_rest(self) -> None:
        now = [0.0]
        buckets = Buckets(Rate(per_second=2, burst=3), lambda: now[0])
        now[0] = 1e6
        assert [buckets.take("a") > 0 for _ in range(4)] == [False, False, False, True]


@pytest.fixture
def limited(registry: RegistryUnderTest) -> Iterator[httpx.Client]:
    """The registry where a principal has 5 requests and an address 3, and no more comes in a test's time."""
    settings: Settings = replace(
        registry.runtime.settings,
        requests_per_second=1,
        requests_at_once=5,
        anonymous_per_second=1,
        anonymous_at_once=3,
    )
    app = create_app(replace(registry.runtime, settings=settings))
    _stop_time(app)
    with httpx.Client(base_url=BASE_URL, transport=AsgiTransport(app)) as client:
        yield client


def _stop_time(app: object) -> None:
    for middleware in app.user_middleware:  # type: ignore[attr-defined]
        if middleware.cls is RateLimit:
            middleware.kwargs["clock"] = lambda: 0.0


def signed_in(registry: RegistryUnderTest, name: str) -> dict[str, str]:
    return Browser(registry).signed_in(name).cookies


def as_(registry: RegistryUnderTest, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {registry.credentials[name]}"}


class TestRequests:
    def test_of_a_principal_are_counted_together(self, registry: RegistryUnderTest, limited: httpx.Client) -> None:
        statuses = [limited.get("/v1/whoami", headers=as_(registry, "app")).status_code for _ in range(8)]
        assert statuses == [200] * 6 + [429] * 2  # the first was the address's: nobody knew the credential yet
        assert limited.get("/v1/whoami", headers=as_(registry, "owner")).status_code == 200

    def test_that_are_too_many_say_when_to_come_back(self, limited: httpx.Client) -> None:
        answers = [limited.get("/v1/trust-root") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].headers["retry-after"] == "1"
        assert answers[-1].json()["code"] == "service.too_many_requests"

    def test_of_a_flood_stop_nobody_who_is_known(self, registry: RegistryUnderTest, limited: httpx.Client) -> None:
        assert limited.get("/v1/whoami", headers=as_(registry, "app")).status_code == 200
        flood = [
            limited.get("/v1/whoami", headers={"Authorization": f"Bearer imp_{number:043}"}).status_code
            for number in range(5)
        ]
        assert flood == [401, 401, 429, 429, 429]
        assert limited.get("/v1/whoami", headers=as_(registry, "app")).status_code == 200
        assert limited.get("/v1/whoami", headers=as_(registry, "owner")).status_code == 429

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_that_ask_for_no_credential_leave_it_known(
        self, registry: RegistryUnderTest, limited: httpx.Client, method: str
    ) -> None:
        headers = as_(registry, "owner") | {"Idempotency-Key": "k" * 16}
        body = {"id": "demo/den", "kind": "subject", "title": "Den"}
        assert limited.post("/v1/concepts", json=body, headers=headers).status_code == 201
        if method == "POST":
            answer = limited.post("/v1/concepts", json=body, headers=headers)
            assert (answer.status_code, answer.headers["idempotent-replayed"]) == (201, "true")
        else:
            assert limited.get("/v1/trust-root", headers=headers).status_code == 200
        assert [limited.get("/v1/trust-root").status_code for _ in range(3)] == [200, 200, 429]
        assert limited.get("/v1/whoami", headers=headers).status_code == 200

    def test_with_a_credential_that_was_good_are_the_addresss_once_it_is_refused(
        self, registry: RegistryUnderTest, limited: httpx.Client
    ) -> None:
        headers = as_(registry, "app")
        assert limited.get("/v1/whoami", headers=headers).status_code == 200
        revocation = f"/v1/credentials/{Digest.of(registry.credentials['app'].encode())}/revocation"
        assert registry.client("admin").post(revocation).status_code == 201
        answers = [limited.get("/v1/whoami", headers=headers).status_code for _ in range(4)]
        assert answers == [401, 401, 401, 429]  # the first was still its principal's

    def test_with_a_bad_credential_are_the_addresss_on_public_routes_too(self, limited: httpx.Client) -> None:
        statuses = [
            limited.get("/v1/trust-root", headers={"Authorization": f"Bearer {number}"}).status_code
            for number in range(4)
        ]
        assert statuses == [200, 200, 200, 429]

    def test_of_a_browser_are_its_principals_until_its_session_ends(
        self, registry: RegistryUnderTest, limited: httpx.Client
    ) -> None:
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in signed_in(registry, "auditor").items())}
        assert limited.get("/console/log", headers=cookies).status_code == 200
        assert [limited.get("/v1/trust-root").status_code for _ in range(4)] == [200, 200, 429, 429]
        assert limited.get("/console/log", headers=cookies).status_code == 200
        registry.clock.advance(days=2)
        assert limited.get("/console/log", headers=cookies).status_code == 303
        assert limited.get("/console/log", headers=cookies).status_code == 429  # the address's again

    def test_in_the_console_cookies_alone_tell_who_calls(
        self, registry: RegistryUnderTest, limited: httpx.Client
    ) -> None:
        shared = {"Authorization": "Basic " + "c2hhcmVk"}  # of a proxy, the same for every browser
        assert limited.get("/v1/whoami", headers=as_(registry, "app")).status_code == 200
        assert limited.get("/console/log", headers=as_(registry, "app")).status_code == 303
        assert limited.get("/console/log", headers=shared).status_code == 303
        assert limited.get("/console/log", headers=shared).status_code == 429  # the address's
        assert limited.get("/v1/whoami", headers=as_(registry, "app")).status_code == 200  # known still

    def test_of_a_browser_that_are_too_many_are_told_on_a_page(self, limited: httpx.Client) -> None:
        answers = [limited.get("/console/sign-in") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].headers["content-type"].startswith("text/html")
        assert "frame-ancestors 'none'" in answers[-1].headers["content-security-policy"]

    def test_of_probes_are_free(self, limited: httpx.Client) -> None:
        assert {limited.get(path).status_code for path in ("/healthz", "/readyz", "/metrics") * 4} == {200}

    @pytest.mark.parametrize(
        ("hosts", "statuses"),
        [
            (("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"), [200, 429, 200]),
            (("::ffff:192.0.2.1", "::ffff:192.0.2.2", "192.0.2.1"), [200, 200, 429]),  # as a socket for both sees them
        ],
    )
    def test_from_one_ipv6_network_are_one_addresss_and_ipv4_stays_ipv4(
        self, registry: RegistryUnderTest, hosts: tuple[str, ...], statuses: list[int]
    ) -> None:
        settings = replace(registry.runtime.settings, anonymous_per_second=1, anonymous_at_once=1)
        app = create_app(replace(registry.runtime, settings=settings))
        _stop_time(app)
        answers = [TestClient(app, client=(host, 1)).get("/v1/trust-root").status_code for host in hosts]
        assert answers == statuses
