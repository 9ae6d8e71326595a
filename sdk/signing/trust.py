"""The trust root: which keys count for which role, until when.

A `TrustRoot` is a signed document. Rules, in the order they are checked:
1. The envelope carries the threshold of signatures by the root keys of the *previous* root, or, for the first one a
   client meets, by the root keys it names itself (trust on first use, from a file given out of band).
2. Its version is not below the previous one's.
3. It has not expired.

A key is revoked by its last entry in the log, never by a time: whoever stole it can write any date, but nobody can put an
entry before others. What it signed counts where the log places it up to that entry; a log key, for checkpoints over no
more entries. Without a place (what is signed now, and what the log does not hold) a revoked key counts for nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal

from pydantic import AwareDatetime, Field, model_validator

from sdk.errors import FormatError, ProofInvalid, SignatureInvalid, ThresholdNotMet, TrustRootInvalid
from sdk.signing.public_keys import is_ed25519, key_id, parse_public_key, verify_signature
from sdk.signing.signer import Signer, sign_envelope, verified_keyids
from sdk.spec.canonical import WireModel, encode_canonical, parse_wire
from sdk.spec.envelope import Base64Bytes, Envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.log_checkpoint import (
    LogCheckpoint,
    NoteSignature,
    SignedCheckpoint,
    encode_signed_checkpoint,
    log_key,
    parse_signed_checkpoint,
)

PAYLOAD_TYPE_TRUST_ROOT = "application/vnd.imprimatur.trust-root+json"


class TrustRole(StrEnum):
    """What a key may be trusted for. One key, one role."""

    ROOT = "root"  # signs the next trust root
    LOG = "log"  # signs checkpoints
    TRAINING = "training"  # the training service's attestations
    APPROVAL = "approval"  # reviewers: approvals, rejections, revocations
    GENERATION = "generation"  # applications' statements about what they generated
    AUDIT = "audit"  # auditors' reports
    STATUS = "status"  # the registry on what has ended: status lists
    DECISION = "decision"  # the registry on what it records and permits: consents, submissions, compose grants


ED25519_ROLES: Final = frozenset({TrustRole.LOG, TrustRole.STATUS, TrustRole.TRAINING})
"""Checkpoints and status lists have Ed25519 in their formats; a training job that goes on signs the same bytes again."""


class TrustedKey(WireModel):
    """A verification key, raw bytes of one of the two kinds of `sdk.signing.public_keys`, and whose it is."""

    public_key: Base64Bytes
    role: TrustRole
    holder: PrincipalId
    last_entry: int | None = Field(default=None, ge=-1)  # of the log, that it counts for; none: it is not revoked

    @model_validator(mode="after")
    def _is_a_key_for_its_role(self) -> TrustedKey:
        parse_public_key(self.public_key)
        if self.role in ED25519_ROLES and not is_ed25519(self.public_key):
            raise ValueError(f"a {self.role.value} key must be Ed25519")
        return self

    def counts_at(self, entry: int | None) -> bool:
        """Whether it counts for what entry `entry` of the log holds; with none, for what is signed now."""
        return self.last_entry is None or (entry is not None and entry <= self.last_entry)


class TrustRoot(WireModel):
    """The content of a trust root. `keys` is by key id."""

    schema_: Literal["imprimatur.trust-root/v1"] = Field(default="imprimatur.trust-root/v1", alias="schema")
    version: int = Field(ge=1)
    expires_at: AwareDatetime
    log_origin: str = Field(pattern=r"^[^\s+]{1,200}$")
    keys: dict[str, TrustedKey]
    root_threshold: int = Field(default=1, ge=1)
    credential_authorities: tuple[str, ...] = ()  # PEM certificates that may issue Content Credential signers
    time_stamp_authorities: tuple[str, ...] | None = None  # PEM certificates under which images' time stamps count

    @model_validator(mode="after")
    def _ids_and_roles_fit(self) -> TrustRoot:
        for keyid, key in self.keys.items():
            if keyid != key_id(key.public_key):
                raise ValueError(f"key id {keyid[:12]} is not the digest of its key")
        if len(self.keys_for(TrustRole.ROOT)) < self.root_threshold:
            raise ValueError("fewer root keys than the root threshold")
        return self

    def keys_for(
        self, role: TrustRole, holder: PrincipalId | None = None, *, entry: int | None = None
    ) -> dict[str, bytes]:
        """Key id to raw public key, for one role and, if given, one holder: the keys that count at `entry` of the log."""
        return {
            keyid: key.public_key
            for keyid, key in self.keys.items()
            if key.role is role and key.counts_at(entry) and (holder is None or key.holder == holder)
        }

    def holders_of(self, role: TrustRole) -> frozenset[PrincipalId]:
        """Who has a key for `role` that is not revoked."""
        return frozenset(key.holder for key in self.keys.values() if key.role is role and key.counts_at(None))


def sign_trust_root(root: TrustRoot, *signers: Signer) -> Envelope:
    """Sign a trust root with root keys: as many as its threshold, and the previous one's, ask for."""
    content = encode_canonical(root)
    envelopes = [sign_envelope(content, signer, payload_type=PAYLOAD_TYPE_TRUST_ROOT) for signer in signers]
    signatures = tuple(signature for envelope in envelopes for signature in envelope.signatures)
    return Envelope(payload=content, payload_type=PAYLOAD_TYPE_TRUST_ROOT, signatures=signatures)


def verify_trust_root(envelope: Envelope, *, now: datetime, previous: TrustRoot | None = None) -> TrustRoot:
    """Return the verified trust root; the rules are in the module docstring.

    Raises:
        TrustRootInvalid: signatures, version or expiry are not as they must be.
        FormatError: the payload is not a trust root.
    """
    if envelope.payload_type != PAYLOAD_TYPE_TRUST_ROOT:
        raise FormatError(f"expected a {PAYLOAD_TYPE_TRUST_ROOT}, found {envelope.payload_type!r}")
    root = parse_wire(TrustRoot, envelope.payload, "trust root")
    for judge in filter(None, (previous, root)):
        signed = verified_keyids(envelope, judge.keys_for(TrustRole.ROOT))
        if len(signed) < judge.root_threshold:
            raise TrustRootInvalid(
                f"trust root version {root.version} has {len(signed)} of {judge.root_threshold} root signatures"
            )
    if previous and root.version < previous.version:
        raise TrustRootInvalid(f"trust root went back from version {previous.version} to {root.version}")
    require_current(root, now)
    return root


def require_current(root: TrustRoot, now: datetime) -> None:
    """Return if `root` has not expired. Raises `TrustRootInvalid`."""
    if now >= root.expires_at:
        raise TrustRootInvalid(f"trust root version {root.version} expired at {root.expires_at}; fetch the current one")


def known_root(envelope: Envelope) -> TrustRoot:
    """A trust root that is to be replaced, so its term may be over; otherwise as `verify_trust_root`."""
    ends = parse_wire(TrustRoot, envelope.payload, "trust root").expires_at
    return verify_trust_root(envelope, now=ends - timedelta(seconds=1))


def verify_role(
    envelope: Envelope, trust: TrustRoot, role: TrustRole, *, threshold: int = 1, entry: int | None = None
) -> frozenset[PrincipalId]:
    """Return the holders of the `role` keys that signed `envelope`, at least `threshold` distinct ones.

    `entry` is the entry of the log that was proven to hold this envelope; without one, no revoked key counts.

    Raises:
        SignatureInvalid: nobody trusted for `role` signed, or only with a key that was revoked before.
        ThresholdNotMet: fewer distinct holders than `threshold`.
    """
    signed = verified_keyids(envelope, trust.keys_for(role, entry=entry))
    holders = frozenset(trust.keys[keyid].holder for keyid in signed)
    if not holders:
        _refuse_revoked(envelope, trust, role, entry)
        raise SignatureInvalid(f"no signature by a key trusted for {role.value} verifies")
    if len(holders) < threshold:
        raise ThresholdNotMet(f"{len(holders)} of {threshold} required {role.value} signers")
    return holders


def _refuse_revoked(envelope: Envelope, trust: TrustRoot, role: TrustRole, entry: int | None) -> None:
    """Say so when the signature is good, but by a key that was revoked before."""
    revoked = {keyid: key.public_key for keyid, key in trust.keys.items() if key.role is role}
    for keyid in sorted(verified_keyids(envelope, revoked)):
        place = "what is signed now" if entry is None else f"entry {entry}"
        raise SignatureInvalid(
            f"the {role.value} key {keyid[:12]} of {trust.keys[keyid].holder} counts up to entry "
            f"{trust.keys[keyid].last_entry} of the log, not for {place}: it was revoked; sign with another key"
        )


def sign_checkpoint(checkpoint: LogCheckpoint, signer: Signer) -> bytes:
    """The signed note of `checkpoint`; the key's name is the log's origin, as tlog-checkpoint wants."""
    line = NoteSignature(
        key_name=checkpoint.origin,
        key_hash=log_key(checkpoint.origin, signer.public_key).hash,
        signature=signer.sign(checkpoint.text),
    )
    return encode_signed_checkpoint(SignedCheckpoint(checkpoint=checkpoint, signatures=(line,)))


def verify_checkpoint(note: bytes, trust: TrustRoot) -> LogCheckpoint:
    """Return the checkpoint if the trusted log key signed it.

    Raises:
        ProofInvalid: it is of another log.
        SignatureInvalid: no trusted log key signed it.
    """
    return _verify_checkpoint(
        note, trust.log_origin, tuple(key for key in trust.keys.values() if key.role is TrustRole.LOG)
    )


@lru_cache(maxsize=64)
def _verify_checkpoint(note: bytes, origin: str, log_keys: tuple[TrustedKey, ...]) -> LogCheckpoint:
    """The same bytes under the same keys are verified once; of one call, many receipts have the same note."""
    signed = parse_signed_checkpoint(note)
    checkpoint = signed.checkpoint
    if checkpoint.origin != origin:
        raise ProofInvalid(f"expected a checkpoint of log {origin}, found one of {checkpoint.origin}")
    for key in log_keys:
        if not key.counts_at(checkpoint.tree_size - 1):
            continue
        expected = log_key(origin, key.public_key).hash
        for line in signed.signatures:
            named = line.key_name == origin and line.key_hash == expected
            if named and verify_signature(key.public_key, line.signature, checkpoint.text):
                return checkpoint
    raise SignatureInvalid(f"no trusted log key signed the checkpoint of {checkpoint.tree_size} entries")
