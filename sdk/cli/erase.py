"""`imprimatur erase`: destroy the keys of everything about a person, and keep the certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sdk.cli.connection import ProfileOption, connected, now, require_writable, say
from sdk.errors import InputError
from sdk.receipt import verify_erasure, verify_log_proof
from sdk.resolve import load_trust_root
from sdk.signing.cosign import policy_of
from sdk.spec.envelope import encode_envelope
from sdk.spec.log_proof import encode_log_proof, proof_of_receipt

commands = typer.Typer()


@commands.command("erase")
def erase(
    subject: Annotated[str, typer.Argument(help="The pseudonym that consents know the person by.", metavar="SUBJECT")],
    out: Annotated[
        Path, typer.Option(help="The signed certificate goes here, its receipt beside it.", show_default=False)
    ],
    for_good: Annotated[bool, typer.Option("--for-good", help="You know that there is no way back.")] = False,
    profile: ProfileOption = None,
) -> None:
    """Erase a person for good: consents, documents, versions. No backup brings them back; the log goes on."""
    if not for_good:
        raise InputError("an erasure cannot be undone, by anybody; say --for-good to go on")
    proof = out.with_suffix(".tlog-proof")
    require_writable(out, proof)
    with connected(profile) as (chosen, client):
        trust = load_trust_root(chosen.trust_root, now=now())
        accepted = client.erase_subject(subject)
    out.write_bytes(encode_envelope(accepted.certificate))
    proof.write_bytes(encode_log_proof(proof_of_receipt(accepted.receipt)))
    verify_log_proof(proof.read_bytes(), policy_of(trust))
    said = verify_erasure(accepted.certificate, trust)
    say(f"{said.erasure}: {said.keys} keys are destroyed")
    say(f"  consents   {', '.join(said.consents)}")
    say(f"  versions   {', '.join(said.versions) or 'none'}")
    say(f"  documents  {', '.join(said.documents) or 'none'}")
    for kept in said.kept:
        say(f"  kept       {kept.what}: {kept.why}")
    say(f"certificate: {out}; its receipt: {proof}")
