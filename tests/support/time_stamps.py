"""A time-stamp authority on loopback: RFC 3161 over HTTP, ECDSA P-256 under an Ed25519 root, written from the text of the RFC.

with time_stamp_authority() as stamps:
    stamps.url              # what a signer is given
    stamps.root             # PEM, what a reader is given
    stamps.answer = ...     # what is answered instead; `openssl_answers` is another implementation
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from sdk.credentials import authority

POLICY = "1.2.3.4.1"
ROOT_NAME = "Time stamps root"


@dataclass
class TimeStamps:
    """What the authority is, and what it was asked."""

    url: str
    root_key: Ed25519PrivateKey
    root_certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    answer: Callable[[bytes], bytes] | None = None
    asked: list[bytes] = field(default_factory=list)

    @property
    def root(self) -> str:
        """The root's certificate (PEM)."""
        return self.root_certificate.public_bytes(Encoding.PEM).decode()

    def stamp(self, request: bytes) -> bytes:
        """A TimeStampResp for a TimeStampReq."""
        asked = tsp.TimeStampReq.load(request)
        at = datetime.now(UTC).replace(microsecond=0)
        members = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": asked["message_imprint"],
            "serial_number": secrets.randbits(64),
            "gen_time": at,
        }
        if asked["nonce"].native is not None:
            members["nonce"] = asked["nonce"].native
        signed = self._signed(tsp.TSTInfo(members).dump())
        token = {"content_type": "signed_data", "content": signed}
        return bytes(tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump())

    def _signed(self, content: bytes) -> cms.SignedData:
        chain = [
            asn1_x509.Certificate.load(each.public_bytes(Encoding.DER))
            for each in (self.certificate, self.root_certificate)
        ]
        digest = hashlib.sha256(chain[0].dump()).digest()
        named = tsp.SigningCertificateV2({"certs": [tsp.ESSCertIDv2({"cert_hash": digest})]})
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(content).digest()]}),
                cms.CMSAttribute({"type": "signing_certificate_v2", "values": [named]}),
            ]
        )
        issuer = {"issuer": chain[0].issuer, "serial_number": chain[0].serial_number}
        signer = {
            "version": "v1",
            "sid": cms.SignerIdentifier({"issuer_and_serial_number": issuer}),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [{"algorithm": "sha256"}],
                "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(content)},
                "certificates": chain,
                "signer_infos": [signer],
            }
        )


_OPENSSL = """[tsa]
serial = serial
signer_cert = stamps.pem
certs = root.pem
signer_key = key.pem
signer_digest = sha256
default_policy = {policy}
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
"""


def openssl_answers(stamps: TimeStamps, folder: Path) -> Callable[[bytes], bytes]:
    """What `openssl ts` answers in the authority's place, with its key and certificates."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("there is no openssl on this machine")
    secret = stamps.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {
        "root.pem": stamps.root.encode(),
        "stamps.pem": stamps.certificate.public_bytes(Encoding.PEM),
        "key.pem": secret,
        "serial": b"01\n",
        "ts.conf": _OPENSSL.format(policy=POLICY).encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)

    def answer(request: bytes) -> bytes:
        (folder / "request.tsq").write_bytes(request)
        reply = [
            "ts",
            "-reply",
            "-config",
            "ts.conf",
            "-section",
            "tsa",
            "-queryfile",
            "request.tsq",
            "-out",
            "reply.tsr",
        ]
        subprocess.run([openssl, *reply], cwd=folder, check=True, capture_output=True)
        return (folder / "reply.tsr").read_bytes()

    return answer


@contextmanager
def time_stamp_authority() -> Iterator[TimeStamps]:
    """Start it on a free port; it ends with the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["content-length"]))
            stamps.asked.append(request)
            content = (stamps.answer or stamps.stamp)(request)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    root_key, key = Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    root = _certificate(ROOT_NAME, root_key.public_key(), root_key, ca=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stamps = TimeStamps(
        url=f"http://127.0.0.1:{server.server_port}/",
        root_key=root_key,
        root_certificate=root,
        key=key,
        certificate=_certificate("Time stamps", key.public_key(), root_key, ca=False),
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stamps
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _certificate(
    name: str, key: Ed25519PublicKey | ec.EllipticCurvePublicKey, root_key: Ed25519PrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    subject, issuer = (authority._name("Time Stamps", each) for each in (name, ROOT_NAME))
    builder = authority._certificate(subject, issuer, key, now - timedelta(days=1), now + timedelta(days=3650))
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
    usages = ("key_cert_sign", "crl_sign") if ca else ("digital_signature",)
    builder = builder.add_extension(authority._key_usage(*usages), critical=True)
    if not ca:
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
        builder = builder.add_extension(issued_by, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return builder.sign(root_key, None)
