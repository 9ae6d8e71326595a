"""What `imprimatur audit verify` does for somebody who has public keys and tiles, and what it says of one act."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sdk.acts import acts_of, verify_document
from sdk.audit import VerifiedLog, verify_log
from sdk.cli.connection import read_file, say
from sdk.client.mirror import open_mirror
from sdk.errors import InputError, NotFound
from sdk.signing.trust import TrustRoot
from sdk.spec.log_entry import AuditEventType


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The act that was asked about; nothing of it, and only the log is verified."""

    event: AuditEventType | None
    subject: str | None
    document: bytes | None

    @property
    def anything(self) -> bool:
        return (self.event, self.subject, self.document) != (None, None, None)


def verify_from_outside(place: str, trust: TrustRoot, kept: Path | None, about: Asked) -> None:
    """Verify the log at `place` by public keys alone, hold it to the checkpoint that was kept, and keep the new one."""
    seen = [read_file(kept, "checkpoint")] if kept and kept.exists() else []
    with open_mirror(place) as mirror:
        try:
            mirror.log_checkpoint()
        except NotFound as exc:
            raise InputError(
                f"{place} is no log: it has no checkpoint; a registry's log is at its address with /v1/log"
            ) from exc
        log = verify_log(mirror, trust, remembered=seen)
    say_verified(log, "every entry is included" + ("; nothing seen before was rewritten" if seen else ""))
    show_acts(log, about, trust)
    if kept:
        kept.write_bytes(log.note)


def say_verified(log: VerifiedLog, holds: str) -> None:
    """Say what was verified."""
    say(f"log {log.checkpoint.origin}: {log.checkpoint.tree_size} entries, root {log.checkpoint.root_hash.hex()}")
    say(f"the checkpoint's signature holds; {holds}")


def show_acts(log: VerifiedLog, about: Asked, trust: TrustRoot) -> None:
    """Show the acts that were asked about, and who signed the document. Raises `ProofInvalid`, `SignatureInvalid`."""
    if not about.anything:
        return
    for act in acts_of(log.entries, event=about.event, subject=about.subject, document=about.document):
        entry = act.entry
        say(
            f"entry {act.index}: {entry.event.value} of {entry.subject}, by {entry.actor}, {entry.at:%Y-%m-%d %H:%M:%S} UTC"
        )
        if about.document is None:
            continue
        signers = verify_document(about.document, act, trust)
        say(
            f"  the document is the one, signed by {', '.join(sorted(signers))}"
            if signers
            else "  the document is the one"
        )
