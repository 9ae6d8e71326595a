"""A trust root that several people sign, each with a key and on a machine of their own, before anything is published.

A proposal is one file that goes from holder to holder. Three documents in it are signed:

    trust root   by as many as the root keys in force ask for, and as many as its own ask for
    TUF root     where root keys, their threshold or their term change: the same
    TUF targets  by as many as the new root keys ask for

Rules:
1. The targets name the digest of the trust root's file, signatures and all. So they are made by the signature that
   completes the trust root, and whoever signed before that signs once more.
2. A holder signs against the trust root that they know, and only what follows from it: the same log, the next version.
3. TUF says the same as the trust root: its root keys, its threshold, its term, and these two targets and no others.
4. Nothing counts here that does not count for clients: `complete` holds every document to its thresholds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import Field
from securesystemslib.exceptions import StorageError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, TargetFile, Targets
from tuf.api.serialization import DeserializationError

from registry.distribution.repository import HASH, OFFLINE_ROLES, TufSigner
from sdk.errors import ConfigurationError, FormatError, ThresholdNotMet, VerificationError
from sdk.signing.public_keys import verify_signature
from sdk.signing.remote import sslib_key
from sdk.signing.signer import Signer, sign_envelope, verified_keyids
from sdk.signing.trust import PAYLOAD_TYPE_TRUST_ROOT, TrustRole, TrustRoot
from sdk.signing.tuf_client import POLICIES_TARGET, TRUST_ROOT_TARGET
from sdk.spec.canonical import WireModel, parse_wire
from sdk.spec.envelope import Base64Bytes, Envelope, encode_envelope

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_TARGETS: Final = frozenset({TRUST_ROOT_TARGET, POLICIES_TARGET})


class TrustProposal(WireModel):
    """What is to be signed, with the signatures so far. Proves nothing until it is `complete`."""

    schema_: Literal["imprimatur.trust-proposal/v1"] = Field(default="imprimatur.trust-proposal/v1", alias="schema")
    trust_root: Envelope
    policies: Base64Bytes
    tuf_root: Base64Bytes | None = None  # none: the one in force stays
    tuf_targets: Base64Bytes

    @property
    def root(self) -> TrustRoot:
        """The trust root that is proposed. Raises `FormatError`."""
        if self.trust_root.payload_type != PAYLOAD_TYPE_TRUST_ROOT:
            raise FormatError(f"expected a {PAYLOAD_TYPE_TRUST_ROOT}, found {self.trust_root.payload_type!r}")
        return parse_wire(TrustRoot, self.trust_root.payload, "trust root")

    @property
    def targets(self) -> Metadata[Targets]:
        """TUF's targets. Raises `FormatError`."""
        return _parse_metadata(self.tuf_targets, Targets)

    @property
    def next_root(self) -> Metadata[Root] | None:
        """TUF's next root, if there is to be one. Raises `FormatError`."""
        return None if self.tuf_root is None else _parse_metadata(self.tuf_root, Root)

    @property
    def contents(self) -> Mapping[str, bytes]:
        """What is to be distributed, by its name."""
        return {TRUST_ROOT_TARGET: encode_envelope(self.trust_root), POLICIES_TARGET: self.policies}


def sign_proposal(proposal: TrustProposal, signer: Signer, known: TrustRoot) -> TrustProposal:
    """The proposal with every signature that `signer` can give now; `known` is the trust root that its holder knows.

    Raises:
        ConfigurationError: the key is no root key, neither of the trust root known nor of the one proposed.
        VerificationError: what is proposed does not follow from the trust root known, or TUF says something else.
    """
    root = require_successor(proposal, known)
    ours, theirs = known.keys_for(TrustRole.ROOT), root.keys_for(TrustRole.ROOT)
    if signer.keyid not in ours | theirs:
        raise ConfigurationError(
            f"{signer.keyid[:16]} is no root key, neither of version {known.version} nor of {root.version}"
        )
    envelope = proposal.trust_root
    if _lacking_of_root(envelope, known, root):
        envelope = _signed(envelope, signer)
    changes: dict[str, Any] = {"trust_root": envelope}
    if (tuf_root := proposal.next_root) is not None:
        changes["tuf_root"] = _with_signature(tuf_root, signer)
    if not _lacking_of_root(envelope, known, root) and signer.keyid in theirs:
        targets = proposal.targets
        targets.signed.targets[TRUST_ROOT_TARGET] = _target(TRUST_ROOT_TARGET, encode_envelope(envelope))
        changes["tuf_targets"] = _with_signature(targets, signer)
    return proposal.model_copy(update=changes)


def lacking(proposal: TrustProposal, known: TrustRoot) -> tuple[str, ...]:
    """What is not signed by enough root keys yet, in words; nothing when it is complete."""
    root = proposal.root
    missing = list(_lacking_of_root(proposal.trust_root, known, root))
    if (tuf_root := proposal.next_root) is not None:
        missing += _lacking_of(tuf_root, "TUF's root", known, root)
    return (*missing, *_lacking_of(proposal.targets, "TUF's targets", root))


def complete(proposal: TrustProposal, known: TrustRoot) -> TrustRoot:
    """The trust root of a proposal that may be published now, `known` being the one in force.

    Raises:
        ThresholdNotMet: it is not signed by enough root keys.
        VerificationError: it does not follow from `known`, or TUF says something else.
    """
    root = require_successor(proposal, known)
    if missing := lacking(proposal, known):
        raise ThresholdNotMet(f"{'; '.join(missing)}: more holders have to sign ('imprimatur trust sign')")
    return root


def require_successor(proposal: TrustProposal, known: TrustRoot) -> TrustRoot:
    """The trust root proposed, if it follows from `known` and TUF says the same. Raises `VerificationError`."""
    root = proposal.root
    if root.log_origin != known.log_origin:
        raise VerificationError(
            f"the proposal is for the log {root.log_origin}, the trust root known for {known.log_origin}"
        )
    if root != known and root.version != known.version + 1:
        raise VerificationError(
            f"the proposal is for version {root.version} of the trust root, known is {known.version}: propose it anew, "
            "or get the trust root that is in force"
        )
    for fault in _contradictions(proposal, root):
        raise VerificationError(f"the proposal contradicts itself: {fault}")
    return root


def _contradictions(proposal: TrustProposal, root: TrustRoot) -> Iterator[str]:
    targets, tuf_root = proposal.targets, proposal.next_root
    listed = targets.signed.targets
    if not set(listed) <= _TARGETS or POLICIES_TARGET not in listed:
        yield f"TUF would distribute {', '.join(sorted(listed)) or 'nothing'}"
    for name, target in listed.items():
        if name in proposal.contents and target != _target(name, proposal.contents[name]):
            yield f"TUF would distribute another {name}"
    if targets.signed.expires > root.expires_at:
        yield "TUF's targets would outlive the trust root"
    if tuf_root is None:
        return
    for role in OFFLINE_ROLES:
        of = tuf_root.signed.roles[role]
        keys = {keyid: tuf_root.signed.keys[keyid] for keyid in of.keyids}
        expected = {keyid: sslib_key(key) for keyid, key in root.keys_for(TrustRole.ROOT).items()}
        if (keys, of.threshold) != (expected, root.root_threshold):
            yield f"TUF's {role} would ask for other keys than the trust root"
    if tuf_root.signed.expires > root.expires_at:
        yield "TUF's root would outlive the trust root"


def _lacking_of_root(envelope: Envelope, known: TrustRoot, root: TrustRoot) -> tuple[str, ...]:
    return tuple(
        _words("the trust root", len(verified_keyids(envelope, judge.keys_for(TrustRole.ROOT))), judge)
        for judge in _judges(known, root)
        if len(verified_keyids(envelope, judge.keys_for(TrustRole.ROOT))) < judge.root_threshold
    )


def _lacking_of(metadata: Metadata[Any], name: str, *judges: TrustRoot) -> tuple[str, ...]:
    missing = []
    for judge in _judges(*judges):
        signed = _tuf_signers(metadata, judge.keys_for(TrustRole.ROOT))
        if len(signed) < judge.root_threshold:
            missing.append(_words(name, len(signed), judge))
    return tuple(missing)


def _judges(*roots: TrustRoot) -> tuple[TrustRoot, ...]:
    """Those whose root keys have to sign, each set of keys once."""
    by_keys: dict[tuple[object, ...], TrustRoot] = {}
    for root in roots:
        by_keys.setdefault((*sorted(root.keys_for(TrustRole.ROOT)), root.root_threshold), root)
    return tuple(by_keys.values())


def _words(name: str, count: int, judge: TrustRoot) -> str:
    return f"{name} has {count} of {judge.root_threshold} signatures by root keys of version {judge.version}"


def _tuf_signers(metadata: Metadata[Any], keys: Mapping[str, bytes]) -> frozenset[str]:
    content = metadata.signed_bytes
    found = {keyid: metadata.signatures[keyid].signature for keyid in keys if keyid in metadata.signatures}
    return frozenset(
        keyid
        for keyid, signature in found.items()
        if _HEX.fullmatch(signature) and verify_signature(keys[keyid], bytes.fromhex(signature), content)
    )


def _signed(envelope: Envelope, signer: Signer) -> Envelope:
    if verified_keyids(envelope, {signer.keyid: signer.public_key}):
        return envelope
    added = sign_envelope(envelope.payload, signer, payload_type=envelope.payload_type).signatures
    return envelope.model_copy(update={"signatures": envelope.signatures + added})


def _with_signature(metadata: Metadata[Any], signer: Signer) -> bytes:
    if signer.keyid not in _tuf_signers(metadata, {signer.keyid: signer.public_key}):
        metadata.sign(TufSigner(signer), append=True)
    return metadata.to_bytes()


def _target(name: str, content: bytes) -> TargetFile:
    return TargetFile.from_data(name, content, [HASH])


def _parse_metadata(content: bytes, kind: type[Any]) -> Metadata[Any]:
    try:
        metadata = Metadata.from_bytes(content)
    except (DeserializationError, RepositoryError, StorageError) as exc:
        raise FormatError(f"the proposal holds no TUF metadata: {exc}") from exc
    if not isinstance(metadata.signed, kind):
        raise FormatError(f"the proposal holds TUF's {metadata.signed.type} where {kind.type} belongs")
    return metadata
