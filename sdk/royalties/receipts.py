"""From a page of a ledger to the uses that its receipts prove. Pure; nothing that a page says is believed.

A page:
1. Its checkpoint is signed by the trusted log, and its multiproof leads from all its log entries to that root.
2. A licence's id is made from its tenant and its exact content, so that a manifest that names it fixes its terms.

A receipt on it:
3. Its permit is an entry `generation:permitted` by an application of the tenant, about exactly this intent.
4. Its result is the entry `generation:recorded` of the same generation by the same application, and names the digest of
   the application's statement, which is signed by it and about as many images as the entry says, not more than permitted.
5. Every version it names has its manifest on the page, with the digest in the permit, and so have the licences it rests on:
   those of the manifest, or of a renewal, which the permit names. In a ledger of one licence: every version of a concept that the licence covers.
6. Its time is in the ledger's period.
Steps 1 and 2 fail a page, the others one receipt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sdk.errors import FormatError, ProofInvalid, SignatureInvalid, VerificationError
from sdk.signing.trust import TrustRole, TrustRoot, verify_checkpoint, verify_role
from sdk.spec.api import GenerationIntent
from sdk.spec.canonical import encode_canonical, parse_wire
from sdk.spec.digest import Digest, verify_digest
from sdk.spec.ids import ConceptId, PrincipalId, RecordId, parse_version_ref
from sdk.spec.ledger import LedgerEntry, LedgerPage, UseReceipt, licences_fact
from sdk.spec.log_checkpoint import LogCheckpoint
from sdk.spec.log_entry import AuditEventType, LogEntry, parse_log_entry
from sdk.spec.manifest import ConceptManifest, parse_manifest
from sdk.spec.merkle import leaf_hash, verify_multiproof
from sdk.spec.money import Money
from sdk.spec.policy import Use
from sdk.spec.statements import GenerationPredicate, parse_predicate, parse_statement
from sdk.spec.terms import LicenceGrant


@dataclass(frozen=True, kw_only=True)
class LicensedUse:
    """One generation that a receipt proves, with the licences that its versions rest on."""

    generation: RecordId
    application: PrincipalId
    at: datetime  # of the result; of the permit while there is none
    use: Use
    granted: int  # images
    images: int | None  # recorded; none while there is no result
    fee: Money | None  # that the application stated
    versions: Mapping[RecordId, tuple[str, ...]]  # by licence: the versions that rest on it, tenant/name@number


@dataclass(frozen=True, kw_only=True)
class VerifiedPage:
    """What a page proves before its receipts are looked at (steps 1 and 2)."""

    page: LedgerPage
    checkpoint: LogCheckpoint
    manifests: Mapping[Digest, ConceptManifest]
    licences: Mapping[RecordId, LicenceGrant]


def verify_page(page: LedgerPage, trust: TrustRoot) -> VerifiedPage:
    """Verify a page as a whole.

    Raises:
        VerificationError: a step fails; each has its own class or message.
        FormatError: a manifest or the checkpoint is malformed.
    """
    checkpoint = verify_checkpoint(page.checkpoint.encode(), trust)  # 1
    entries = [entry for receipt in page.receipts for entry in (receipt.permit, receipt.result) if entry]
    leaves = {entry.index: leaf_hash(entry.content) for entry in entries}
    verify_multiproof(leaves=leaves, tree_size=checkpoint.tree_size, proof=page.proof, root=checkpoint.root_hash)
    if any(leaves[entry.index] != leaf_hash(entry.content) for entry in entries):
        raise ProofInvalid("the page has two contents of one log entry")
    for licence in page.licences:  # 2
        verify_digest(encode_canonical(licence.grant), licence.digest, f"licence {licence.id}")
        if licence.id != RecordId.derive("lic", page.tenant, licence.digest):
            raise VerificationError(f"licence {licence.id} is not the one of {page.tenant} with these terms")
    licences = {licence.id: licence.grant for licence in page.licences}
    if page.licence and page.licence not in licences:
        raise VerificationError(f"licence {page.licence}, whose ledger this is, is missing")
    return VerifiedPage(
        page=page,
        checkpoint=checkpoint,
        manifests={Digest.of(content): parse_manifest(content) for content in page.manifests},
        licences=licences,
    )


def verify_receipt(receipt: UseReceipt, verified: VerifiedPage, trust: TrustRoot) -> LicensedUse:
    """The use that a receipt of a verified page proves (steps 3 to 6).

    Raises:
        VerificationError, FormatError: it proves none; the message says what is missing or wrong.
    """
    permit = _entry(receipt.permit, AuditEventType.GENERATION_PERMITTED)  # 3
    if permit.actor.tenant != verified.page.tenant:
        raise VerificationError(f"it is of {permit.actor.tenant}, not of {verified.page.tenant}")
    if permit.evidence.get("intent") != Digest.of(receipt.intent):
        raise VerificationError("its intent is not the one that was permitted")
    intent = parse_wire(GenerationIntent, receipt.intent, "intent")
    result, images, fee = _result(receipt, permit, intent, trust)  # 4
    at = result.at if result else permit.at
    page = verified.page
    if (page.since and at < page.since) or (page.until and at >= page.until):  # 6
        raise VerificationError(f"its time, {at.isoformat()}, is outside the ledger's period")
    return LicensedUse(
        generation=RecordId(permit.subject),
        application=permit.actor,
        at=at,
        use=intent.use,
        granted=intent.count,
        images=images,
        fee=fee,
        versions=_licensed(permit, verified),  # 5
    )


def _entry(held: LedgerEntry, event: AuditEventType) -> LogEntry:
    entry = parse_log_entry(held.content)
    if entry.event is not event:
        raise VerificationError(f"entry {held.index} of the log is {entry.event.value}, not {event.value}")
    return entry


def _result(
    receipt: UseReceipt, permit: LogEntry, intent: GenerationIntent, trust: TrustRoot
) -> tuple[LogEntry | None, int | None, Money | None]:
    """The result, its images and its fee, once the application's own statement says the same."""
    if receipt.result is None:
        return None, None, None
    result = _entry(receipt.result, AuditEventType.GENERATION_RECORDED)
    if (result.subject, result.actor) != (permit.subject, permit.actor):
        raise VerificationError(f"entry {receipt.result.index} of the log is the result of another generation")
    if receipt.statement is None or result.evidence.get("statement") != receipt.statement.digest:
        raise VerificationError("the application's statement that its result names is missing")
    if permit.actor not in verify_role(receipt.statement, trust, TrustRole.GENERATION, entry=receipt.result.index):
        raise SignatureInvalid(f"its statement is not signed by {permit.actor}")
    statement = parse_statement(receipt.statement.payload, receipt.statement.payload_type)
    predicate = parse_predicate(statement, GenerationPredicate)
    if (predicate.generation, predicate.manifests) != (permit.subject, intent.manifests):
        raise VerificationError("its statement is about another generation")
    images = len(statement.subject)
    if result.facts.get("images") != str(images) or images > intent.count:
        raise VerificationError(
            f"its statement is about {images} images; its result says {result.facts.get('images')}, "
            f"and {intent.count} were permitted"
        )
    return result, images, predicate.fee


def _licensed(permit: LogEntry, verified: VerifiedPage) -> Mapping[RecordId, tuple[str, ...]]:
    only = verified.page.licence
    rests: dict[RecordId, list[str]] = {}
    for name in permit.facts.get("versions", "").split():
        concept = parse_version_ref(name).concept
        if only and concept not in verified.licences[only].covers:
            continue
        for licence in _licences(name, concept, permit, verified):
            if only in (None, licence):
                rests.setdefault(licence, []).append(name)
    if missing := rests.keys() - verified.licences.keys():
        raise VerificationError(f"licence {min(missing)}, which its versions rest on, is missing")
    return {licence: tuple(names) for licence, names in rests.items()}


def _licences(name: str, concept: ConceptId, permit: LogEntry, verified: VerifiedPage) -> Iterable[RecordId]:
    """Those of the renewal whose terms held, if one's did; else those of the manifest."""
    manifest = _manifest(name, concept, permit, verified)
    renewed = permit.facts.get(licences_fact(name))
    return manifest.licences if renewed is None else [RecordId(licence) for licence in renewed.split()]


def _manifest(name: str, concept: ConceptId, permit: LogEntry, verified: VerifiedPage) -> ConceptManifest:
    digest = permit.evidence.get(f"manifest/{name}")
    if digest is None or digest not in verified.manifests:
        raise VerificationError(f"the manifest of {name} is missing")
    manifest = verified.manifests[digest]
    if manifest.concept != concept:
        raise FormatError(f"the manifest of {name} is of {manifest.concept}")
    return manifest
