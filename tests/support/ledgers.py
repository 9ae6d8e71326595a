"""Ledgers of use without a registry: a signed log in memory, receipts about what a test says was used. For tests.

world = LedgerWorld(licences={"a": licence_grant(FOX, ...)}, versions={"demo/fox@1": ("a",)})
world.use("demo/fox@1", images=2, at=...)           # permitted and recorded
content = world.ledger(limit=100)                   # the file
verify_ledger(content, world.trust)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from support.governed import NOW, ORIGIN, fixed_signer, make_manifest, make_trust_root

from registry.log.tree import Node, completed_by, multiproof, root_hash
from sdk.signing.signer import sign_envelope
from sdk.signing.trust import sign_checkpoint
from sdk.spec.api import GenerationIntent
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.ids import PrincipalId, RecordId, TenantName, parse_version_ref
from sdk.spec.ledger import LedgerEntry, LedgerPage, UseReceipt
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogEntry, encode_log_entry
from sdk.spec.manifest import ConceptManifest, encode_manifest
from sdk.spec.merkle import leaf_hash
from sdk.spec.money import Money
from sdk.spec.policy import Use
from sdk.spec.statements import GenerationPredicate, encode_statement
from sdk.spec.terms import LicenceEvidence, LicenceGrant

TENANT = TenantName("demo")
APP = PrincipalId("demo/app")
USE = Use(purpose="advertising", territory="JP", channel="web")


class LedgerWorld:
    """Licences, versions that rest on them, and the log of their use."""

    def __init__(self, *, licences: Mapping[str, LicenceGrant], versions: Mapping[str, Sequence[str]]) -> None:
        self.trust = make_trust_root()
        self.licences = {name: _evidence(grant) for name, grant in licences.items()}
        self.manifests: dict[str, ConceptManifest] = {}
        for name, rests in versions.items():
            concept = parse_version_ref(name).concept
            ids = tuple(self.licences[licence].id for licence in rests)
            self.manifests[name] = make_manifest(name.encode(), concept=concept, licences=ids)
        self.entries: list[LogEntry] = []
        self.contents: list[bytes] = []
        self.receipts: list[UseReceipt] = []
        self._nodes: dict[Node, bytes] = {}

    def use(
        self,
        *names: str,
        images: int | None = 2,
        count: int | None = None,
        at: datetime = NOW,
        use: Use = USE,
        fee: Money | None = None,
        signer: str = "app",
        **changes: Any,
    ) -> UseReceipt:
        """A permitted generation with these versions, recorded unless `images` is none; `changes` are of the permit."""
        generation = RecordId.derive("gen", str(len(self.entries)))
        manifests = tuple(self.manifests[name].digest for name in names)
        intent = encode_canonical(self.intent(manifests, images if count is None else count, use))
        named = {f"manifest/{name}": digest for name, digest in zip(names, manifests, strict=True)}
        permit = self.append(
            AuditEventType.GENERATION_PERMITTED,
            generation,
            at,
            **{"evidence": named | {"intent": Digest.of(intent)}, "facts": {"versions": " ".join(names)}} | changes,
        )
        if images is None:
            receipt = UseReceipt(permit=permit, intent=intent)
        else:
            predicate = GenerationPredicate(
                generation=generation, application=APP, manifests=manifests, finished_at=at, fee=fee
            )
            subjects = {f"{place}.png": _image(generation, place) for place in range(images)}
            statement = sign_envelope(encode_statement(predicate, subjects=subjects), fixed_signer(signer))
            evidence = {"statement": statement.digest, "result": Digest.of(generation.encode())}
            facts = {"images": str(images)}
            result = self.append(AuditEventType.GENERATION_RECORDED, generation, at, evidence=evidence, facts=facts)
            receipt = UseReceipt(permit=permit, intent=intent, result=result, statement=statement)
        self.receipts.append(receipt)
        return receipt

    def intent(self, manifests: tuple[Digest, ...], count: int | None, use: Use) -> GenerationIntent:
        return GenerationIntent(
            manifests=manifests,
            scene=Digest.of(b"a scene"),
            use=use,
            count=count or 1,
            seed=7,
            base_model=Digest.of(b"base model"),
            policy_bundle=Digest.of(b"policies"),
            idempotency_key="k" * 16,
        )

    def append(self, event: AuditEventType, subject: str, at: datetime, **members: Any) -> LedgerEntry:
        entry = LogEntry(**{"event": event, "at": at, "actor": APP, "subject": subject} | members)
        content = encode_log_entry(entry)
        index = len(self.contents)
        self.entries.append(entry)
        self.contents.append(content)
        self._nodes |= completed_by(index, leaf_hash(content), self._read)
        return LedgerEntry(index=index, content=content)

    def note(self) -> str:
        """The signed checkpoint over everything."""
        size = len(self.contents)
        checkpoint = LogCheckpoint(origin=ORIGIN, tree_size=size, root_hash=root_hash(size, self._read))
        return sign_checkpoint(checkpoint, fixed_signer("log")).decode()

    def page(self, receipts: Sequence[UseReceipt] | None = None, **changes: Any) -> LedgerPage:
        """One page of these receipts, or of all; `changes` are members of it."""
        shown = self.receipts if receipts is None else receipts
        indices = {entry.index for receipt in shown for entry in (receipt.permit, receipt.result) if entry}
        return LedgerPage(
            **{
                "tenant": TENANT,
                "after": -1,
                "receipts": tuple(shown),
                "manifests": tuple(map(encode_manifest, self.manifests.values())),
                "licences": tuple(self.licences.values()),
                "proof": multiproof(indices, len(self.contents), self._read),
                "checkpoint": self.note(),
            }
            | changes
        )

    def pages(self, limit: int) -> list[LedgerPage]:
        """All receipts, `limit` a page."""
        note, cut, after, made = self.note(), self.receipts, -1, []
        for start in range(0, max(len(cut), 1), limit):
            shown, more = cut[start : start + limit], start + limit < len(cut)
            last = shown[-1].permit.index if more else None
            made.append(self.page(shown, after=after, next_after=last, checkpoint=note))
            after = last if last is not None else after
        return made

    def ledger(self, *, limit: int = 200) -> bytes:
        """The file."""
        return ledger_file(self.pages(limit))

    def _read(self, nodes: Iterable[Node]) -> Mapping[Node, bytes]:
        return {node: self._nodes[node] for node in nodes}


def ledger_file(pages: Iterable[LedgerPage]) -> bytes:
    """Pages as a file has them."""
    return b"".join(encode_canonical(page) + b"\n" for page in pages)


def _evidence(grant: LicenceGrant) -> LicenceEvidence:
    digest = Digest.of(encode_canonical(grant))
    return LicenceEvidence(id=RecordId.derive("lic", TENANT, digest), digest=digest, grant=grant)


def _image(generation: str, place: int) -> Digest:
    return Digest("sha256:" + hashlib.sha256(f"{generation} {place}".encode()).hexdigest())
