"""Tokens of a real local issuer: what counts, what does not, rotation of keys, and what a flood costs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from support.asgi import AsgiTransport
from support.database import DatabaseServer
from support.oidc_issuer import Issuer, oidc_issuer
from support.registry import BASE_URL, START, make_test_registry

from registry.app import create_app
from registry.console.sessions import open_session
from registry.oidc import OidcVerifier, fetch_over_https, require_address
from registry.settings import read_settings
from sdk.errors import AuthenticationRequired, ConfigurationError, ServiceUnavailable
from sdk.spec.policy import Role

NOW = START.timestamp()


@dataclass
class Ticks:
    """A clock that stands until it is moved."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with oidc_issuer(tmp_path_factory.mktemp("issuer")) as made:
        yield made


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def verifier(issuer: Issuer, ticks: Ticks) -> OidcVerifier:
    issuer.publish("a", "rsa")
    return OidcVerifier(issuer.settings(), fetch_over_https, ticks=ticks)


def refusal(verifier: OidcVerifier, token: str) -> str:
    with pytest.raises(AuthenticationRequired) as refused:
        verifier.verify(token, START)
    assert token[-40:] not in refused.value.message or len(token) < 60
    return refused.value.message


class TestTokens:
    @pytest.mark.parametrize("kid", ["a", "rsa"])
    def test_prove_a_principal_with_the_roles_of_its_groups(
        self, issuer: Issuer, verifier: OidcVerifier, kid: str
    ) -> None:
        found = verifier.verify(issuer.token(kid, at=NOW, groups=["reviewers", "staff"]), START)
        assert (found.principal, found.roles) == ("demo/aiko", {Role.REVIEWER})

    @pytest.mark.parametrize(
        ("claims", "reason"),
        [
            ({"aud": "another"}, "another audience"),
            ({"aud": None}, "lacks the claim aud"),
            ({"iss": "https://evil.example"}, "another issuer"),
            ({"exp": NOW - 61}, "has expired"),
            ({"exp": None}, "lacks the claim exp"),
            ({"exp": "never"}, "should be numbers|malformed"),
            ({"iat": NOW + 61}, "not valid yet"),
            ({"nbf": NOW + 61}, "not valid yet"),
            ({"sub": None}, "lacks the claim sub"),
            ({"sub": "Aiko Tanaka"}, "no name of a principal"),
            ({"sub": "../other/owner"}, "no name of a principal"),
            ({"groups": ["staff"]}, "gives demo/aiko no role"),
            ({"groups": None}, "gives demo/aiko no role"),
            ({"groups": {"reviewers": 1}}, "gives demo/aiko no role"),
        ],
    )
    def test_are_refused_by_claim(
        self, issuer: Issuer, verifier: OidcVerifier, claims: dict[str, Any], reason: str
    ) -> None:
        import re

        message = refusal(verifier, issuer.token("a", at=NOW, **claims))
        assert re.search(reason, message), message

    def test_clocks_may_differ_by_the_leeway(self, issuer: Issuer, verifier: OidcVerifier) -> None:
        for claims in ({"exp": NOW - 59}, {"iat": NOW + 60, "nbf": NOW + 60}):
            verifier.verify(issuer.token("a", at=NOW, **claims), START)

    def test_a_value_that_is_no_name_can_be_mapped(self, issuer: Issuer) -> None:
        settings = issuer.settings(principals={"auth0|123": "aiko"})
        found = OidcVerifier(settings, fetch_over_https).verify(issuer.token("a", at=NOW, sub="auth0|123"), START)
        assert found.principal == "demo/aiko"

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJFUzI1NiJ9.e30.", "imp_" + "A" * 43])
    def test_are_refused_when_they_are_none(self, verifier: OidcVerifier, token: str) -> None:
        refusal(verifier, token)

    def test_are_bounded(self, issuer: Issuer, verifier: OidcVerifier) -> None:
        assert "characters" in refusal(verifier, issuer.token("a", at=NOW, padding="x" * 20_000))


class TestAlgorithms:
    def unsigned(self, issuer: Issuer, header: dict[str, str]) -> str:
        good = issuer.token("a", at=NOW).split(".")
        encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
        return f"{encoded}.{good[1]}."

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "ES512", ""])
    def test_that_are_not_on_the_list_are_refused(self, issuer: Issuer, verifier: OidcVerifier, algorithm: str) -> None:
        message = refusal(verifier, self.unsigned(issuer, {"alg": algorithm, "kid": "a"}))
        assert "algorithm should be ES256 or EdDSA or RS256" in message

    def test_a_public_key_is_never_taken_for_a_shared_secret(self, issuer: Issuer, verifier: OidcVerifier) -> None:
        public = issuer.key("rsa").public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        import hashlib
        import hmac

        head, body, _ = issuer.token("rsa", at=NOW).split(".")
        head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa"}').decode().rstrip("=")
        mac = hmac.new(pem, f"{head}.{body}".encode(), hashlib.sha256).digest()
        forged = f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
        assert "algorithm should be" in refusal(verifier, forged)

    def test_that_do_not_fit_the_key_are_refused(self, issuer: Issuer, verifier: OidcVerifier) -> None:
        assert "does not fit the key" in refusal(
            verifier, issuer.token("a", at=NOW, signed_by="rsa", algorithm="RS256")
        )

    def test_a_signature_by_another_key_is_refused(self, issuer: Issuer, verifier: OidcVerifier) -> None:
        assert "signature does not verify" in refusal(verifier, issuer.token("a", at=NOW, signed_by="stranger"))

    def test_a_changed_token_is_refused(self, issuer: Issuer, verifier: OidcVerifier) -> None:
        head, _, signature = issuer.token("a", at=NOW).split(".")
        other = issuer.token("a", at=NOW, sub="admin").split(".")[1]
        assert "signature does not verify" in refusal(verifier, f"{head}.{other}.{signature}")

    @pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
    def test_keys_that_are_weak_symmetric_or_for_encryption_do_not_count(self, issuer: Issuer, ticks: Ticks) -> None:
        secret = base64.urlsafe_b64encode(b"s" * 32).decode().rstrip("=")
        symmetric = {"kty": "oct", "kid": "shared", "k": secret, "alg": "HS256"}
        issuer.publish("rsa-short", extra=(symmetric, issuer.jwk("enc") | {"use": "enc"}, {"kty": "new"}))
        verifier = OidcVerifier(issuer.settings(), fetch_over_https, ticks=ticks)
        for kid in ("rsa-short", "enc"):
            assert "none of its issuer's keys" in refusal(verifier, issuer.token(kid, at=NOW))
        shared = jwt.encode({"sub": "aiko"}, b"s" * 32, algorithm="HS256", headers={"kid": "shared"})
        assert "algorithm should be" in refusal(verifier, shared)


class TestKeySet:
    def test_is_fetched_once_however_many_tokens_come(self, issuer: Issuer, verifier: OidcVerifier) -> None:
        before = issuer.fetches
        for _ in range(20):
            verifier.verify(issuer.token("a", at=NOW), START)
        assert issuer.fetches == before + 1

    def test_a_new_key_counts_at_once_and_an_old_one_no_more(
        self, issuer: Issuer, verifier: OidcVerifier, ticks: Ticks
    ) -> None:
        old = issuer.token("a", at=NOW)
        verifier.verify(old, START)
        issuer.publish("b")
        ticks.now += 30
        verifier.verify(issuer.token("b", at=NOW), START)
        assert "none of its issuer's keys" in refusal(verifier, old)

    def test_a_withdrawn_key_counts_no_longer_than_the_key_set(
        self, issuer: Issuer, verifier: OidcVerifier, ticks: Ticks
    ) -> None:
        token = issuer.token("a", at=NOW)
        verifier.verify(token, START)
        issuer.publish("b")
        ticks.now += 3599
        verifier.verify(token, START)
        ticks.now += 1
        assert "none of its issuer's keys" in refusal(verifier, token)

    def test_a_flood_of_unknown_keys_costs_one_fetch_in_a_while(
        self, issuer: Issuer, verifier: OidcVerifier, ticks: Ticks
    ) -> None:
        verifier.verify(issuer.token("a", at=NOW), START)
        ticks.now += 30
        before = issuer.fetches
        flood = issuer.token("stranger", at=NOW)
        _, body, signature = flood.split(".")
        for number in range(200):
            named = base64.urlsafe_b64encode(json.dumps({"alg": "ES256", "kid": f"k{number}"}).encode())
            refusal(verifier, f"{named.decode().rstrip('=')}.{body}.{signature}")
        verifier.verify(issuer.token("a", at=NOW), START)
        assert issuer.fetches == before + 1

    def test_an_issuer_that_is_away_stops_nobody_until_its_keys_are_old(
        self, issuer: Issuer, verifier: OidcVerifier, ticks: Ticks
    ) -> None:
        token = issuer.token("a", at=NOW)
        verifier.verify(token, START)
        (issuer.folder / "keys.json").unlink()
        ticks.now += 3599
        verifier.verify(token, START)
        ticks.now += 1
        with pytest.raises(ServiceUnavailable, match="does not tell its keys"):
            verifier.verify(token, START)
        issuer.publish("a")
        ticks.now += 30
        verifier.verify(token, START)

    def test_redirects_and_large_documents_are_refused(self, issuer: Issuer) -> None:
        (issuer.folder / "large").write_bytes(b"x" * 300_000)
        with pytest.raises(OSError, match="too large"):
            fetch_over_https(f"{issuer.address}/large")
        with pytest.raises(OSError, match="status 301"):
            fetch_over_https(f"{issuer.address}/.well-known")

    @pytest.mark.parametrize("address", ["http://id.example.com/keys", "file:///etc/passwd", "ftp://127.0.0.1/keys"])
    def test_is_fetched_over_https_only(self, address: str) -> None:
        with pytest.raises(ValueError, match="no https address"):
            require_address(address)


class TestRegistry:
    def test_takes_tokens_beside_its_own_credentials(self, postgres_server: DatabaseServer, issuer: Issuer) -> None:
        issuer.publish("a")
        verifier = OidcVerifier(issuer.settings(), fetch_over_https)
        with (
            postgres_server.fresh_database() as url,
            make_test_registry(url, change=lambda runtime: replace(runtime, tokens=verifier)) as registry,
            httpx.Client(base_url=BASE_URL, transport=AsgiTransport(create_app(registry.runtime))) as client,
        ):
            bearer = {"Authorization": f"Bearer {issuer.token('a', at=NOW, groups=['auditors'])}"}
            who = client.get("/v1/whoami", headers=bearer)
            assert (who.json()["principal"], who.json()["roles"]) == ("demo/aiko", ["auditor"])
            assert client.get("/v1/log/entries", headers=bearer).status_code == 200
            body = {"id": "demo/fox", "kind": "subject", "title": "Fox"}
            keyed = bearer | {"Idempotency-Key": "k" * 16}
            assert client.post("/v1/concepts", json=body, headers=keyed).status_code == 403
            assert registry.client("app").get("/v1/whoami").status_code == 200
            registry.clock.advance(seconds=361)
            assert client.get("/v1/whoami", headers=bearer).status_code == 401
            with pytest.raises(AuthenticationRequired), registry.runtime.transaction() as session:
                open_session(session, registry.runtime, bearer["Authorization"][7:])


class TestSettings:
    GOOD = (
        '[registry.oidc]\nissuer = "https://id.example.com"\naudience = "x"\ntenant = "demo"\n'
        '[registry.oidc.roles]\nstaff = ["reviewer"]\n'
    )

    def test_are_read_from_their_table(self, tmp_path: Path) -> None:
        path = tmp_path / "imprimatur.toml"
        path.write_text(self.GOOD)
        found = read_settings(path, {}).oidc
        assert found is not None
        assert (found.tenant, found.roles["staff"], found.algorithms) == (
            "demo",
            (Role.REVIEWER,),
            ("ES256", "EdDSA", "RS256"),
        )

    @pytest.mark.parametrize(
        ("before", "after", "message"),
        [
            ('audience = "x"\n', "", "audience: Field required"),
            ("audience", "audiences", "audience"),
            ('"reviewer"', '"king"', r"roles\.staff\.0"),
            ('tenant = "demo"', 'tenant = "Demo"', "tenant"),
            ('tenant = "demo"', 'tenant = "demo"\nalgorithms = ["HS256"]', "HS256"),
            ('tenant = "demo"', 'tenant = "demo"\nalgorithms = ["none"]', "none"),
            ("https://id", "http://id", "should be an https address"),
            ('tenant = "demo"', 'tenant = "demo"\nrefresh_seconds = 0', "above 0"),
        ],
    )
    def test_are_refused_by_name(self, tmp_path: Path, before: str, after: str, message: str) -> None:
        path = tmp_path / "imprimatur.toml"
        path.write_text(self.GOOD.replace(before, after, 1))
        with pytest.raises(ConfigurationError, match=message):
            read_settings(path, {})


def test_the_clock_is_the_registrys(issuer: Issuer, verifier: OidcVerifier) -> None:
    token = issuer.token("a", at=NOW)
    with pytest.raises(AuthenticationRequired, match="expired"):
        verifier.verify(token, START + timedelta(seconds=360))
