"""A real OpenID Connect issuer on loopback: a process that serves discovery and key set; tokens are signed here.

with oidc_issuer(folder) as issuer:
    issuer.publish("a")
    issuer.token("a", sub="aiko")
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from registry.settings import OidcSettings
from sdk.spec.ids import TenantName
from sdk.spec.policy import Role

AUDIENCE = "imprimatur"


@dataclass
class Issuer:
    """The issuer and its keys, by key id."""

    folder: Path
    address: str
    keys: dict[str, Any] = field(default_factory=dict)

    def publish(self, *kids: str, extra: tuple[dict[str, Any], ...] = ()) -> None:
        """Make these the keys of the key set; `extra` goes in as it is."""
        document = {"keys": [self.jwk(kid) for kid in kids] + list(extra)}
        (self.folder / "keys.json").write_text(json.dumps(document))

    def key(self, kid: str) -> Any:
        """The private key called `kid`, made when it is first asked for: RSA for `rsa...`, else P-256."""
        if kid not in self.keys:
            made: Any = ec.generate_private_key(ec.SECP256R1())
            if kid.startswith("rsa"):
                made = rsa.generate_private_key(65537, 1024 if kid == "rsa-short" else 2048)
            self.keys[kid] = made
        return self.keys[kid]

    def jwk(self, kid: str) -> dict[str, Any]:
        """The public key called `kid`."""
        kind = jwt.algorithms.RSAAlgorithm if kid.startswith("rsa") else jwt.algorithms.ECAlgorithm
        members: dict[str, Any] = kind.to_jwk(self.key(kid).public_key(), as_dict=True)
        return members | {"kid": kid, "use": "sig"}

    def token(self, kid: str, *, at: float, algorithm: str = "", signed_by: str = "", **claims: Any) -> str:
        """A token that names the key `kid`; a claim that is none is left out."""
        standard = {"iss": self.address, "aud": AUDIENCE, "sub": "aiko", "groups": ["reviewers"]}
        members = standard | {"iat": int(at), "exp": int(at) + 300} | claims
        algorithm = algorithm or ("RS256" if kid.startswith("rsa") else "ES256")
        return jwt.encode(
            {name: value for name, value in members.items() if value is not None},
            self.key(signed_by or kid),
            algorithm=algorithm,
            headers={"kid": kid},
        )

    @property
    def fetches(self) -> int:
        """How often the key set was asked for."""
        return (self.folder / "access.log").read_text().count("GET /keys.json")

    def settings(self, **members: Any) -> OidcSettings:
        """Settings of a registry that trusts it for tenant demo."""
        given: dict[str, Any] = {
            "issuer": self.address,
            "audience": AUDIENCE,
            "tenant": TenantName("demo"),
            "roles": {"reviewers": (Role.REVIEWER,), "auditors": (Role.AUDITOR,)},
        }
        return OidcSettings(**given | members)


@contextmanager
def oidc_issuer(folder: Path) -> Iterator[Issuer]:
    """Start the process; it ends with the block."""
    (folder / ".well-known").mkdir()
    log = folder / "access.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)],
            stdout=subprocess.PIPE,
            stderr=output,
        )
    assert process.stdout is not None
    try:
        said = process.stdout.readline().decode()
        port = re.search(r"port (\d+)", said)
        assert port, said
        issuer = Issuer(folder, f"http://127.0.0.1:{port[1]}")
        discovery = {"issuer": issuer.address, "jwks_uri": f"{issuer.address}/keys.json"}
        (folder / ".well-known" / "openid-configuration").write_text(json.dumps(discovery))
        yield issuer
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
