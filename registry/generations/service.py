"""The intent to generate, and the decision of record about it.

The checks on an intent, in order:
1. The same intent under the same idempotency key was permitted before: the same grant is given again. Attempts under
   one key come one after the other, so that a retry that overtakes its first attempt counts nothing twice. The versions
   that it names and their consents are held from here on.
2. The application decided by the policies in force here, and the versions it names exist, one for each concept, all
   learned on the base model it names. Whoever is to draw in its place is a rendering service of its tenant.
3. The references that the application says it found them by still mean them, and they may be used: otherwise it
   resolves anew, and nothing is recorded.
4. The images granted under their licences are counted, and policy decides on what is true at that moment. Both answers are recorded with everything they rest on, and logged; a refusal is
   committed like a permit, which comes with its signed grant, and with the embeddings where the executor asks for them (`release`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from registry.auth import Caller, has_role
from registry.generations import quota
from registry.generations.grants import make_grant
from registry.generations.meaning import require_meant
from registry.generations.records import Attempt, attempt_of, opened_by_break_glass
from registry.generations.release import Release, note_releases, release_again, releases_of
from registry.generations.tables import GenerationRow
from registry.log import service as log
from registry.runtime import Runtime
from registry.versions import service as versions
from registry.versions.version import Terms, Version
from sdk.errors import Conflict, InputError
from sdk.spec.api import GenerationIntent
from sdk.spec.canonical import encode_canonical
from sdk.spec.digest import Digest
from sdk.spec.envelope import Envelope, encode_envelope
from sdk.spec.ids import RecordId
from sdk.spec.ledger import licences_fact
from sdk.spec.log_entry import AuditEventType, LogEntry
from sdk.spec.opening import OpeningQuery
from sdk.spec.policy import Decision, PolicyContext, PolicyDomain, Role

KEY_LOCK: Final = 0x1092  # of pg_advisory_xact_lock, with a hash of the key
_OPEN: Final = text(f"SELECT permitted_before(:of_keys, :application, :key) AS permitted, {versions.HELD} AS held")
_KEEP: Final = log.appending(
    """attempt AS (
        INSERT INTO generations (id, tenant, application, idempotency_key, effect, intent, context, decision,
                                 decided_at, expires_at, log_index, compose_grant)
        SELECT :id, :tenant, :application, :key, :effect, :intent, :context, :decision,
               :decided_at, :expires_at, log_index, :grant
          FROM appended WHERE place = 1
    )""",
    """named AS (
        INSERT INTO generation_versions (generation_id, position, concept_id, number, renewal)
        SELECT :id, place - 1, concept, number, renewal
          FROM unnest(CAST(:concepts AS varchar[]), CAST(:numbers AS integer[]), CAST(:renewals AS integer[]))
               WITH ORDINALITY AS version (concept, number, renewal, place)
    )""",
)


def request(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    intent: GenerationIntent,
    query: OpeningQuery,
) -> Attempt:
    """Decide on an intent and record the decision; see the module docstring.

    Raises:
        Conflict: the idempotency key was used for another intent, or other policies are in force, or one of the
            references in `query` means another version by now, or one that may not be used, or under other terms.
        NotFound, InputError: the versions named cannot be used together.
    """
    known, held_consents = _open(session, caller, intent)  # 1
    if known:
        again = release_again(session, runtime, caller, known) if query.release else ()
        return replace(known, released=again)
    if intent.policy_bundle != runtime.policy.bundle_digest:  # 2
        raise Conflict(
            f"policies {runtime.policy.bundle_digest} are in force, but the intent was decided by "
            f"{intent.policy_bundle}; fetch the policies again and compose again"
        )
    _require_executor(session, runtime, caller, intent)
    held = versions.load_held(session, caller.tenant, intent.manifests, held_consents)
    _require_usable_together(held, intent)
    now = runtime.clock()
    terms = [versions.terms_of(session, version, now) for version in held]
    require_meant(session, query, held, terms)  # 3
    granted = quota.granted_so_far(session, terms)  # 4
    context = PolicyContext(
        domain=PolicyDomain.COMPOSITION,
        action="compose",
        principal=caller.as_policy_principal,
        concepts=tuple(version.facts(of, granted) for version, of in zip(held, terms, strict=True)),
        use=intent.use,
        count=intent.count,
        at=now,
    )
    decision = runtime.policy.evaluate(context)
    releases = releases_of(session, runtime, held) if query.release and decision.permitted else ()
    attempt = _record(session, runtime, caller, intent, held, terms, context, decision, releases)
    if decision.permitted:
        quota.count(session, attempt.id, granted, intent.count)
    return attempt


def _open(session: Session, caller: Caller, intent: GenerationIntent) -> tuple[Attempt | None, Sequence[str]]:
    """What was permitted under the intent's key before, if anything, and the consents that are held."""
    key = {"of_keys": KEY_LOCK, "application": caller.principal, "key": intent.idempotency_key}
    found = session.execute(_OPEN, {**key, "manifests": list(intent.manifests)}).one()
    if found.permitted is None:
        return None, found.held
    row = session.get_one(GenerationRow, found.permitted)
    if row.intent != encode_canonical(intent):
        raise Conflict(f"the idempotency key of {row.id} was sent with another intent; make a new key for each intent")
    return attempt_of(row), found.held


def _require_usable_together(named: Sequence[Version], intent: GenerationIntent) -> None:
    if len({version.concept for version in named}) != len(named):
        raise InputError("the intent names a concept twice; name one version of each concept")
    for version in named:
        if version.manifest.base_model != intent.base_model:
            raise InputError(
                f"{version.name} was learned on base model {version.manifest.base_model}, "
                f"but the intent is for {intent.base_model}; compose on the model it was learned on"
            )


def _require_executor(session: Session, runtime: Runtime, caller: Caller, intent: GenerationIntent) -> None:
    executor = intent.executor
    if executor in (None, caller.principal):
        return
    if executor.tenant != caller.tenant or not has_role(session, runtime, executor, Role.RENDERER):
        raise InputError(f"{executor} is no rendering service of {caller.tenant}; name one, or draw yourself")


def _record(
    session: Session,
    runtime: Runtime,
    caller: Caller,
    intent: GenerationIntent,
    named: tuple[Version, ...],
    terms: Sequence[Terms],
    context: PolicyContext,
    decision: Decision,
    releases: Sequence[Release],
) -> Attempt:
    generation = RecordId.derive("gen", secrets.token_hex(32))
    expiry = context.at + timedelta(seconds=runtime.settings.grant_seconds)
    grant = None
    if decision.permitted:
        grant = make_grant(
            runtime,
            generation,
            caller.principal,
            intent,
            decision,
            named,
            terms,
            issued_at=context.at,
            expires_at=expiry,
        )
    entry = LogEntry(
        event=AuditEventType.GENERATION_PERMITTED if decision.permitted else AuditEventType.GENERATION_DENIED,
        at=runtime.clock(),
        actor=caller.principal,
        subject=generation,
        evidence=_evidence(intent, decision, named, grant),
        facts={
            "versions": " ".join(version.name for version in named),
            "rules": " ".join(dict.fromkeys(reason.rule for reason in decision.reasons)),
        }
        | _renewed_licences(named, context.at)
        | ({"break_glass": " ".join(opened)} if (opened := opened_by_break_glass(context)) else {}),
    )
    released = [each.entry(caller, generation, entry.at) for each in releases]
    kept = {
        "id": generation,
        "tenant": caller.tenant,
        "application": caller.principal,
        "key": intent.idempotency_key,
        "effect": decision.effect.value,
        "intent": encode_canonical(intent),
        "context": encode_canonical(context),
        "decision": encode_canonical(decision),
        "decided_at": context.at,
        "expires_at": expiry if decision.permitted else None,
        "grant": encode_envelope(grant) if grant else None,
        "concepts": [version.concept for version in named],
        "numbers": [version.number for version in named],
        "renewals": [renewed.round if (renewed := version.renewal_at(context.at)) else 0 for version in named],
    }
    index, *release_indices = log.append_entries(session, [entry, *released], _KEEP, kept)
    note_releases(session, generation, releases, release_indices, entry.at)
    return Attempt(
        id=generation,
        decision=decision,
        context=context,
        log_index=index,
        expires_at=expiry if decision.permitted else None,
        grant=grant,
        released=tuple(each.artefact for each in releases),
    )


def _renewed_licences(named: tuple[Version, ...], at: datetime) -> dict[str, str]:
    """Of a renewed version, the licences that it rests on; of others its manifest says so."""
    renewed = [(version, version.renewal_at(at)) for version in named]
    return {licences_fact(version.name): " ".join(renewal.licences) for version, renewal in renewed if renewal}


def _evidence(
    intent: GenerationIntent, decision: Decision, named: tuple[Version, ...], grant: Envelope | None
) -> dict[str, Digest]:
    manifests = {f"manifest/{version.name}": version.digest for version in named}
    signed = {"grant": grant.digest} if grant else {}
    return (
        manifests
        | signed
        | {
            "intent": Digest.of(encode_canonical(intent)),
            "decision": Digest.of(encode_canonical(decision)),
            "context": decision.context,
            "bundle": decision.bundle,
        }
    )
