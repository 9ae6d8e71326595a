"""Bearer tokens of an OpenID Connect issuer: JWTs (RFC 7519, RFC 8725) verified with PyJWT against the issuer's keys.

A token counts when all of this holds; whatever fails is named:
1. Its algorithm is on the list of the settings, which can name asymmetric ones only, and fits the key (RFC 8725, 3.1).
2. Its key id names a key of the issuer's key set; symmetric keys and keys for encryption are not in it, whatever is sent.
3. Its signature verifies; issuer and audience are the ones of the settings.
4. It has not expired, and was not issued or valid from later than now, give or take the leeway.
5. Its claims name a principal of the one tenant of the settings, and at least one role.

The key set is kept for `key_set_seconds` and no longer: an issuer that stays away then stops its tokens (503). A key id that is
not in it makes it be fetched anew, at most every `refresh_seconds` however many such tokens come; keys that are known
go on counting meanwhile. Addresses are https, or of this machine; redirects are not followed; answers are bounded.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from registry.settings import OidcSettings
from sdk.errors import AuthenticationRequired, FormatError, ServiceUnavailable
from sdk.spec.ids import PrincipalId
from sdk.spec.policy import Role

MAX_TOKEN_BYTES: Final = 16_384
_MAX_KEY_SET_BYTES: Final = 262_144
_MAX_KEYS: Final = 64
_LEAST_RSA_BITS: Final = 2048
_FETCH_SECONDS: Final = 5.0
_FAMILY: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_logger = logging.getLogger(__name__)

Fetch = Callable[[str], bytes]
"""Gets the document at an address. Raises `OSError` or `httpx.HTTPError`."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whom a token proves."""

    principal: PrincipalId
    roles: frozenset[Role]


class TokenVerifier(Protocol):
    """Tells whom a token proves at a moment."""

    def verify(self, token: str, now: datetime) -> Identity: ...


@dataclass
class _KeySet:
    keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict)
    fetched_at: float = float("-inf")
    tried_at: float = float("-inf")


class OidcVerifier:
    """A `TokenVerifier` for one issuer. Safe to share between threads."""

    def __init__(self, settings: OidcSettings, fetch: Fetch, *, ticks: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._fetch = fetch
        self._ticks = ticks
        self._set = _KeySet()
        self._lock = threading.Lock()

    def verify(self, token: str, now: datetime) -> Identity:
        """Whom `token` proves.

        Raises:
            AuthenticationRequired: it proves nobody; which of the rules it breaks is named.
            ServiceUnavailable: the issuer's keys cannot be had, so nothing can be said.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise AuthenticationRequired(f"the token has more than {MAX_TOKEN_BYTES} characters")
        key, algorithm = self._key_of(token)
        claims = self._claims(token, key, algorithm)
        self._require_time(claims, now)
        return self._identity(claims)

    def _key_of(self, token: str) -> tuple[jwt.PyJWK, str]:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as exc:
            raise AuthenticationRequired("the bearer token is neither a credential of this registry nor a JWT") from exc
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._settings.algorithms:
            raise AuthenticationRequired(f"the token's algorithm should be {_names(self._settings.algorithms)}")
        if not isinstance(kid, str):
            raise AuthenticationRequired("the token names no key id ('kid')")
        key = self._key(kid)
        if key.key_type != _FAMILY.get(str(algorithm)[:2]):
            raise AuthenticationRequired("the token's algorithm does not fit the key that it names")
        return key, str(algorithm)

    def _claims(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        settings = self._settings
        required = ["iss", "aud", "exp", "iat", settings.principal_claim]
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key=key.key,
                algorithms=[algorithm],
                audience=settings.audience,
                issuer=settings.issuer,
                # Times are compared with the registry's own clock, below.
                options={"require": required, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError as exc:
            raise AuthenticationRequired(f"the token does not count: {_fault(exc)}") from exc
        return claims

    def _require_time(self, claims: Mapping[str, Any], now: datetime) -> None:
        moment, leeway = now.timestamp(), self._settings.leeway_seconds
        times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
        if any(not isinstance(value, int | float) or isinstance(value, bool) for value in times.values()):
            raise AuthenticationRequired("the token's exp, iat and nbf should be numbers")
        if moment >= times["exp"] + leeway:
            raise AuthenticationRequired("the token has expired; get a new one from its issuer")
        if max(times["iat"], times.get("nbf", times["iat"])) > moment + leeway:
            raise AuthenticationRequired(
                "the token is not valid yet; compare the clocks of its issuer and the registry"
            )

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        settings, named = self._settings, claims.get(self._settings.principal_claim)
        name = settings.principals.get(named, named) if isinstance(named, str) else None
        try:
            principal = PrincipalId(f"{settings.tenant}/{name}")
        except FormatError as exc:
            raise AuthenticationRequired(
                f"the token's {settings.principal_claim} is no name of a principal; [registry.oidc.principals] can map it"
            ) from exc
        groups = claims.get(settings.roles_claim, [])
        groups = groups.split() if isinstance(groups, str) else groups
        held = [group for group in groups if isinstance(group, str)] if isinstance(groups, list) else []
        roles = frozenset(role for group in held for role in settings.roles.get(group, ()))
        if not roles:
            raise AuthenticationRequired(
                f"the token gives {principal} no role: [registry.oidc.roles] maps none of its {settings.roles_claim}"
            )
        return Identity(principal=principal, roles=roles)

    def _key(self, kid: str) -> jwt.PyJWK:
        held = self._set
        fresh = self._ticks() - held.fetched_at < self._settings.key_set_seconds
        if not fresh or kid not in held.keys:
            held, fresh = self._refreshed(kid)
        if not fresh:
            raise ServiceUnavailable("the issuer of the token does not tell its keys now; try again in a moment")
        if kid not in held.keys:
            raise AuthenticationRequired("the token's key id is none of its issuer's keys")
        return held.keys[kid]

    def _refreshed(self, kid: str) -> tuple[_KeySet, bool]:
        """The key set after at most one fetch, by whoever comes first; and whether it is fresh."""
        with self._lock:
            held, now = self._set, self._ticks()
            fresh = now - held.fetched_at < self._settings.key_set_seconds
            if (fresh and kid in held.keys) or now - held.tried_at < self._settings.refresh_seconds:
                return held, fresh
            try:
                keys = self._fetch_keys()
            except (OSError, httpx.HTTPError, ValueError, KeyError, TypeError, jwt.PyJWTError) as exc:
                _logger.warning("the key set of the issuer could not be fetched: %s", type(exc).__name__)
                self._set = _KeySet(keys=held.keys, fetched_at=held.fetched_at, tried_at=now)
            else:
                self._set, fresh = _KeySet(keys=keys, fetched_at=now, tried_at=now), True
            return self._set, fresh

    def _fetch_keys(self) -> Mapping[str, jwt.PyJWK]:
        address = self._settings.key_set_url
        if not address:
            found = json.loads(self._fetch(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"))
            if found["issuer"] != self._settings.issuer:
                raise ValueError("the discovery document is of another issuer")
            address = require_address(str(found["jwks_uri"]))
        offered = json.loads(self._fetch(address))["keys"]
        if not isinstance(offered, list) or len(offered) > _MAX_KEYS:
            raise ValueError(f"a key set holds at most {_MAX_KEYS} keys")
        return dict(_usable(offered))


def _usable(offered: list[Any]) -> list[tuple[str, jwt.PyJWK]]:
    """The keys that can verify a signature, by id. What is not understood is left out: others may understand it."""
    usable = []
    for jwk in offered:
        asymmetric = isinstance(jwk, dict) and jwk.get("kty") in ("RSA", "EC", "OKP")
        if not asymmetric or not isinstance(jwk.get("kid"), str) or jwk.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(jwk)
        except jwt.PyJWTError:
            continue
        if isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS:
            continue
        usable.append((jwk["kid"], key))
    return usable


def fetch_over_https(address: str) -> bytes:
    """Get a bounded document, following nothing. Raises `OSError` or `httpx.HTTPError`."""
    with (
        httpx.Client(timeout=_FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
        client.stream("GET", address, headers={"Accept": "application/json"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise OSError(f"status {response.status_code}")
        content = bytearray()
        for block in response.iter_bytes():
            content += block
            if len(content) > _MAX_KEY_SET_BYTES:
                raise OSError("the document is too large")
        return bytes(content)


def require_address(address: str) -> str:
    """Return `address` if it is https, or http to this machine. Raises `ValueError`."""
    url = httpx.URL(address)
    if url.scheme == "https" or (url.scheme == "http" and url.host in ("127.0.0.1", "::1", "localhost")):
        return address
    raise ValueError(f"{address} is no https address")


def _names(algorithms: tuple[str, ...]) -> str:
    return " or ".join(algorithms)


def _fault(exc: jwt.PyJWTError) -> str:
    match exc:
        case jwt.InvalidAudienceError():
            return "it is for another audience"
        case jwt.InvalidIssuerError():
            return "it is of another issuer"
        case jwt.InvalidSignatureError():
            return "its signature does not verify"
        case jwt.MissingRequiredClaimError():
            return f"it lacks the claim {exc.claim}"
        case _:
            return "it is malformed"
