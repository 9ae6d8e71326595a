"""One act in a log, as an outsider meets it: public keys, tiles, what is asked, and the document that was shown.

acts/NAME/   trust-root.json, checkpoint and tile/... as tlog-tiles serves them, about.json (event, subject), document.json
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from support.governed import NOW, World, fixed_signer, make_trust_root, record_id
from support.memory_log import MemoryLog

from sdk.signing.signer import sign_envelope
from sdk.signing.trust import TrustRoot, sign_trust_root
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, encode_envelope, parse_envelope
from sdk.spec.ids import PrincipalId
from sdk.spec.log_entry import AuditEventType as Event
from sdk.spec.log_tiles import entries_path, tile_path
from sdk.spec.statements import GenerationPredicate, encode_statement

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
ABOUT = {
    "consent": (Event.CONSENT_GIVEN, str(record_id("con")), "stated", "decision"),
    "approval": (Event.APPROVAL_SIGNED, "demo/fox@1", "envelope", "reviewer"),
    "grant": (Event.GENERATION_PERMITTED, str(record_id("gen")), "grant", "decision"),
    "generation": (Event.GENERATION_RECORDED, str(record_id("gen")), "statement", "app"),
}
Files = Mapping[str, bytes]


def document(act: str, signer: str | None = None) -> Envelope:
    """What is signed about the act, by who must or by `signer`."""
    if act == "generation":
        made = GenerationPredicate(
            generation=record_id("gen"),
            application=PrincipalId("demo/app"),
            manifests=(Digest.of(b"manifest"),),
            finished_at=NOW,
        )
        payload = encode_statement(made, subjects={"狐.png": Digest.of(b"image")})
    else:
        name = {"consent": "consent-statement", "approval": "approval", "grant": "compose-grant"}[act]
        payload = parse_envelope((VECTORS / f"{name}.json").read_bytes()).payload
    return sign_envelope(payload, fixed_signer(signer or ABOUT[act][3]))


def case(
    act: str,
    *,
    logged: Envelope | None = None,
    shown: Envelope | None = None,
    trust: TrustRoot | None = None,
    subject: str | None = None,
    origin: str | None = None,
) -> Files:
    """The files of an act: `logged` is the document that the log names, `shown` the one that the outsider was shown."""
    event, about, name, _ = ABOUT[act]
    held = logged or document(act)
    log = World().log
    log.append(event, about, evidence={name: held.digest})
    log = log if origin is None else other_log(origin, log)
    size = len(log.contents)
    asked = {"event": event.value, "subject": subject or about}
    return {
        "trust-root.json": encode_envelope(sign_trust_root(trust or make_trust_root(), fixed_signer("root"))),
        "checkpoint": log.note(),
        tile_path(0, 0, width=size): log.log_tile(0, 0, width=size),
        entries_path(0, width=size): log.log_entry_bundle(0, width=size),
        "about.json": json.dumps(asked, ensure_ascii=False).encode() + b"\n",
        "document.json": encode_envelope(shown or held),
    }


def other_log(origin: str, log: MemoryLog) -> MemoryLog:
    made = MemoryLog(origin, fixed_signer("log"), NOW)
    made.contents = list(log.contents)
    return made


def revoked(signer: str, last_entry: int) -> TrustRoot:
    root = make_trust_root()
    keyid = fixed_signer(signer).keyid
    key = root.keys[keyid].model_copy(update={"last_entry": last_entry})
    return root.model_copy(update={"keys": root.keys | {keyid: key}})


def signed_by(act: str, signer: str) -> Callable[[], Files]:
    return lambda: case(act, logged=document(act, signer))


def changed(act: str, **changes: Any) -> Callable[[], Files]:
    """The log itself names the changed document, so only its signature can tell."""
    return lambda: case(act, logged=document(act).model_copy(update=changes))


ACTS: dict[str, tuple[str, str | None, Callable[[], Files]]] = {
    **{act: ("everything holds", None, lambda act=act: case(act)) for act in ABOUT},  # type: ignore[misc]
    "reviewer_key_revoked_after": (
        "the reviewer's key counts up to the entry of the approval",
        None,
        lambda: case("approval", trust=revoked("reviewer", 2)),
    ),
    "reviewer_key_revoked_before_fail": (
        "the reviewer's key counts up to the entry before the approval",
        "SignatureInvalid",
        lambda: case("approval", trust=revoked("reviewer", 1)),
    ),
    "decision_key_revoked_before_fail": (
        "the key of grants counts up to the entry before this one",
        "SignatureInvalid",
        lambda: case("grant", trust=revoked("decision", 1)),
    ),
    "log_key_revoked_before_fail": (
        "the log's key counts up to an earlier size",
        "SignatureInvalid",
        lambda: case("approval", trust=revoked("log", 1)),
    ),
    "another_document_fail": (
        "the log names another document",
        "ProofInvalid",
        lambda: case("consent", shown=document("grant")),
    ),
    "another_act_fail": (
        "asked is about another version than the log's entry",
        "ProofInvalid",
        lambda: case("approval", subject="demo/狐@1"),
    ),
    "consent_by_a_reviewer_fail": ("a reviewer states a consent", "SignatureInvalid", signed_by("consent", "reviewer")),
    "approval_by_an_application_fail": ("an application approves", "SignatureInvalid", signed_by("approval", "app")),
    "grant_by_the_log_fail": (
        "the log's key signed a grant; it is trusted for other things",
        "SignatureInvalid",
        signed_by("grant", "log"),
    ),
    "generation_by_the_registry_fail": (
        "the registry says itself what was generated",
        "SignatureInvalid",
        signed_by("generation", "decision"),
    ),
    "stranger_fail": ("a key that nobody trusts", "SignatureInvalid", signed_by("approval", "stranger")),
    "payload_changed_fail": (
        "the payload was changed after it was signed, and the log names it so",
        "SignatureInvalid",
        changed("generation", payload=document("generation").payload.replace(b"demo/app", b"demo/apq")),
    ),
    "type_changed_fail": (
        "the signature is over another type of payload",
        "SignatureInvalid",
        changed("grant", payload_type="application/json"),
    ),
    "unsigned_fail": ("an envelope without signatures", "FormatError", changed("approval", signatures=())),
    "expired_root_fail": (
        "the term of the public keys is over",
        "TrustRootInvalid",
        lambda: case("approval", trust=make_trust_root(expires_at=NOW - timedelta(days=1))),
    ),
    "wrong_log_fail": (
        "the same entries in another log, signed by the same key",
        "ProofInvalid",
        lambda: case("approval", origin="other.test/log"),
    ),
}
