"""Cosignatures of witnesses, and checkpoints held to a log policy. C2SP tlog-cosignature v1, Ed25519.

A cosignature says: at this time, this was the largest consistent checkpoint of the log that the witness had seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sdk.errors import FormatError, ProofInvalid, SignatureInvalid, ThresholdNotMet
from sdk.signing.public_keys import verify_signature
from sdk.signing.signer import Signer
from sdk.signing.trust import TrustRole, TrustRoot
from sdk.spec.log_checkpoint import (
    LogCheckpoint,
    NoteSignature,
    SignedCheckpoint,
    log_key,
    parse_signed_checkpoint,
)
from sdk.spec.log_policy import LogPolicy, Party
from sdk.spec.note_keys import NoteAlgorithm, NoteKey

_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, kw_only=True)
class WitnessedCheckpoint:
    """A checkpoint that meets a policy: which log, and which witnesses at what time."""

    checkpoint: LogCheckpoint
    cosigned: Mapping[str, datetime]  # by the witness's name in the policy


def cosigner_key(name: str, public_key: bytes) -> NoteKey:
    """The verifier key of a witness."""
    return NoteKey(name=name, algorithm=NoteAlgorithm.COSIGNATURE, public_key=public_key)


def sign_cosignature(checkpoint: LogCheckpoint, *, name: str, signer: Signer, at: datetime) -> NoteSignature:
    """The signature line by which the witness `name` cosigns."""
    seconds = int(at.timestamp())
    signature = signer.sign(_message(checkpoint, seconds))
    key = cosigner_key(name, signer.public_key)
    content = seconds.to_bytes(_TIME_BYTES, "big") + signature
    return NoteSignature(key_name=name, key_hash=key.hash, signature=content)


def cosigned_at(signed: SignedCheckpoint, key: NoteKey) -> datetime | None:
    """When the holder of `key` cosigned, if a line of theirs verifies."""
    for line in signed.signatures:
        named = line.key_name == key.name and line.key_hash == key.hash
        if not named or len(line.signature) != _TIME_BYTES + _SIGNATURE_BYTES:
            continue
        seconds = int.from_bytes(line.signature[:_TIME_BYTES], "big")
        if verify_signature(key.public_key, line.signature[_TIME_BYTES:], _message(signed.checkpoint, seconds)):
            try:
                return datetime.fromtimestamp(seconds, UTC)
            except (OverflowError, ValueError, OSError):
                return None  # a time that no clock shows
    return None


def verify_note(note: bytes, policy: LogPolicy) -> WitnessedCheckpoint:
    """The checkpoint, if a log of the policy signed it and its witnesses cosigned it.

    Raises:
        ProofInvalid: it is of another log.
        SignatureInvalid: no log of the policy signed it.
        ThresholdNotMet: the witnesses that cosigned it are no quorum.
    """
    signed = parse_signed_checkpoint(note)
    origin = signed.checkpoint.origin
    keys = [party.key for party in policy.logs if party.key.name == origin]
    if not keys:
        known = ", ".join(sorted({party.key.name for party in policy.logs})) or "no log at all"
        raise ProofInvalid(f"expected a checkpoint of {known}, found one of {origin}")
    if not any(_is_signed(signed, key) for key in keys):
        raise SignatureInvalid(f"no trusted log key signed the checkpoint of {signed.checkpoint.tree_size} entries")
    times = {name: cosigned_at(signed, witness.key) for name, witness in policy.witnesses.items()}
    cosigned = {name: at for name, at in times.items() if at is not None}
    if not policy.is_met_by(cosigned):
        raise ThresholdNotMet(
            f"the checkpoint of {signed.checkpoint.tree_size} entries is cosigned by {', '.join(cosigned) or 'nobody'}; "
            f"that is no quorum ({policy.quorum}); ask for a newer one, or ask the witnesses why"
        )
    return WitnessedCheckpoint(checkpoint=signed.checkpoint, cosigned=cosigned)


def policy_of(trust: TrustRoot, witnesses: LogPolicy | None = None, *, note: bytes | None = None) -> LogPolicy:
    """The policy that a trust root's log keys make, with the witnesses of another one.

    With the `note` that is to be verified, a revoked log key counts for checkpoints from before its revocation.

    Raises:
        FormatError: the other policy names logs, and this one is not among them.
    """
    entry = None if note is None else parse_signed_checkpoint(note).checkpoint.tree_size - 1
    keys = trust.keys_for(TrustRole.LOG, entry=entry).values()
    logs = tuple(Party(key=log_key(trust.log_origin, key)) for key in keys)
    if witnesses is None:
        return LogPolicy(logs=logs)
    if witnesses.logs and not {party.key for party in witnesses.logs} & {party.key for party in logs}:
        raise FormatError(f"the log policy is of another log than {trust.log_origin}, or of another key of it")
    return LogPolicy(logs=logs, witnesses=witnesses.witnesses, groups=witnesses.groups, quorum=witnesses.quorum)


def _is_signed(signed: SignedCheckpoint, key: NoteKey) -> bool:
    return any(
        line.key_name == key.name
        and line.key_hash == key.hash
        and verify_signature(key.public_key, line.signature, signed.checkpoint.text)
        for line in signed.signatures
    )


def _message(checkpoint: LogCheckpoint, seconds: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % seconds + checkpoint.text
