"""A PKCS#11 token of SoftHSM, for keys that never leave it. Tests skip where it is not installed.

softhsm_token(tmp_path, monkeypatch)   # "hsm:2?label=aiko": a P-256 key; the environment finds it until the test ends
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sdk.signing.remote import PIN_VARIABLE

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


def softhsm_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a token in `folder` with a P-256 key of id 2; return the key's URI."""
    if not SOFTHSM.exists():
        pytest.skip("there is no SoftHSM on this machine; it is the Debian package softhsm2")
    pkcs11 = pytest.importorskip("pkcs11")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    for name, value in {"SOFTHSM2_CONF": str(configuration), "PYKCS11LIB": str(SOFTHSM), PIN_VARIABLE: "1234"}.items():
        monkeypatch.setenv(name, value)
    making = ["softhsm2-util", "--init-token", "--free", "--label", "aiko", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(making, check=True, capture_output=True, env=dict(os.environ))
    library = pkcs11.lib(str(SOFTHSM))
    library.reinitialize()
    with library.get_token(token_label="aiko").open(user_pin="1234", rw=True) as session:
        curve = pkcs11.util.ec.encode_named_curve_parameters("secp256r1")
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
        )
        parameters.generate_keypair(store=True, id=b"\x02", label="aiko")
    return "hsm:2?label=aiko"
