"""Verifying the receipt that a person keeps of a consent, with the trust root alone. Pure, no I/O."""

from __future__ import annotations

from sdk.errors import ProofInvalid
from sdk.signing.receipts import verify_entry
from sdk.signing.recorded import verify_recorded
from sdk.signing.trust import TrustRoot
from sdk.spec.canonical import encode_canonical
from sdk.spec.consent_events import LOGGED_AS, ConsentReceipt
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.recorded import ConsentPredicate


def verify_consent_receipt(receipt: ConsentReceipt, trust: TrustRoot) -> ConsentReceipt:
    """Return a consent receipt whose record has its digest and whose events are all in the log.

    What the clock brought is in no log; everything else is.

    Raises:
        DigestMismatch: the record is not the one that was logged.
        ProofInvalid, SignatureInvalid: an event is not in the log, or what the registry stated of it is not shown.
    """
    verify_digest(encode_canonical(receipt.record), receipt.digest, f"consent {receipt.id}")
    for event in receipt.events:
        act = event.life_event or event.answer
        if event.receipt is None:
            if event.recorded_by is not None:
                raise ProofInvalid(f"{event.event.value} of consent {receipt.id} comes without a proof")
            continue
        entry = verify_entry(event.receipt, trust, LOGGED_AS[event.event], receipt.id, receipt.digest)
        if act is not None and entry.evidence.get("act") != Digest.of(encode_canonical(act)):
            raise ProofInvalid(f"entry {event.receipt.index} of the log is of another {event.event.value}")
        stated = verify_recorded(event.statement, entry, event.receipt.index, trust, ConsentPredicate)
        if stated and (stated.consent, stated.event) != (receipt.id, event.event):
            raise ProofInvalid(f"the statement of {event.event.value} of consent {receipt.id} is of something else")
    return receipt
