"""Refused attempts with a concept: what policy denied to whoever wanted to train it, to compose with it, or to decide on a version.

Rules:
1. Whoever may read everybody's generations reads all of the tenant's. A subject reads those with concepts that consents
   about them cover, given or withdrawn; nobody else reads any.
2. A subject is shown nothing of other concepts in the same attempt but their number (`sdk.spec.denials`).
3. No scene is here: only its digest ever reaches the registry.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.auth import Caller
from registry.consent import subjects
from registry.generations import records
from registry.generations.query import require_all_readable
from registry.generations.tables import GenerationRow, GenerationVersionRow
from registry.log import query as log
from registry.runtime import Runtime
from sdk.errors import PolicyDenied
from sdk.policy.explain import Rule, parse_rules
from sdk.spec.denials import DenialAbout, DenialPage, DenialQuery, DeniedAct, DeniedAttempt, DeniedRule
from sdk.spec.ids import ConceptId, parse_version_ref
from sdk.spec.log_entry import LogEntry, parse_log_entry
from sdk.spec.paging import encode_cursor, parse_cursor
from sdk.spec.policy import Effect, PolicyDomain, Reason, Role

_OLDEST_LAST = 2**62  # above every index in the log


def page(session: Session, runtime: Runtime, caller: Caller, query: DenialQuery) -> DenialPage:
    """A page of the refused attempts that the caller may read, newest first.

    Raises:
        PolicyDenied: the caller may read none (rule 1).
    """
    known = readable_concepts(session, runtime, caller)
    asked = known if query.concept is None else _only(known, query.concept)
    begin = parse_cursor(query.cursor, int)
    before = int(begin[0]) if begin else _OLDEST_LAST
    composed = {row.log_index: row for row in _compositions(session, caller, query, asked, before)}
    decided = log.refused_decisions(
        session, caller.tenant, asked, since=query.since, until=query.until, before=before, limit=query.limit + 1
    )
    indices = sorted({*composed, *decided}, reverse=True)
    shown = indices[: query.limit]
    contents = log.contents_of(session, shown)
    rules = _rules(runtime)
    attempts = []
    for index in shown:
        entry = parse_log_entry(contents[index])
        row = composed.get(index)
        attempts.append(_composition(index, entry, row, known, rules) if row else _decision(index, entry, rules))
    return DenialPage(
        denials=tuple(attempts), next_cursor=encode_cursor(shown[-1]) if len(indices) > query.limit else None
    )


def readable_concepts(session: Session, runtime: Runtime, caller: Caller) -> frozenset[ConceptId] | None:
    """The concepts whose refused attempts the caller may read; none: all of the tenant's. Raises `PolicyDenied`."""
    if Role.SUBJECT in caller.roles and not _reads_all(runtime, caller):
        return subjects.concepts_of(session, caller)
    require_all_readable(runtime, caller)
    return None


def _rules(runtime: Runtime) -> Mapping[str, Rule]:
    """What the rules in force say of themselves, by name."""
    domains = (PolicyDomain.TRAINING, PolicyDomain.COMPOSITION, PolicyDomain.APPROVAL)
    parsed = [parse_rules(domain, runtime.policy_bundle.texts(domain.value, ".cedar"))[0] for domain in domains]
    return {rule.id: rule for rules in parsed for rule in rules}


def _reads_all(runtime: Runtime, caller: Caller) -> bool:
    try:
        require_all_readable(runtime, caller)
    except PolicyDenied:
        return False
    return True


def _only(known: frozenset[ConceptId] | None, concept: ConceptId) -> frozenset[ConceptId]:
    return frozenset({concept}) if known is None else known & {concept}


def _compositions(
    session: Session, caller: Caller, query: DenialQuery, concepts: Collection[ConceptId] | None, before: int
) -> Sequence[GenerationRow]:
    statement = select(GenerationRow).where(
        GenerationRow.tenant == caller.tenant,
        GenerationRow.effect == Effect.DENY.value,
        GenerationRow.log_index < before,
    )
    if concepts is not None:
        named = select(GenerationVersionRow.generation_id).where(GenerationVersionRow.concept_id.in_(concepts))
        statement = statement.where(GenerationRow.id.in_(named))
    if query.since:
        statement = statement.where(GenerationRow.decided_at >= query.since)
    if query.until:
        statement = statement.where(GenerationRow.decided_at < query.until)
    return session.scalars(statement.order_by(GenerationRow.log_index.desc()).limit(query.limit + 1)).all()


def _composition(
    index: int,
    entry: LogEntry,
    row: GenerationRow,
    known: frozenset[ConceptId] | None,
    rules: Mapping[str, Rule],
) -> DeniedAttempt:
    names = entry.facts.get("versions", "").split()
    own = tuple(name for name in names if known is None or parse_version_ref(name).concept in known)
    intent = records.intent_of(row)
    visible = {str(parse_version_ref(name).concept) for name in own}
    told = [_told(reason, row.application, visible, rules) for reason in records.decision_of(row).reasons]
    return DeniedAttempt(
        log_index=index,
        at=entry.at,
        act=DeniedAct.COMPOSE,
        by=row.application,
        concepts=own,
        others=len(names) - len(own),
        use=intent.use,
        images=intent.count,
        rules=tuple(dict.fromkeys(told)),
    )


def _told(reason: Reason, application: str, visible: Collection[str], rules: Mapping[str, Rule]) -> DeniedRule:
    if reason.about in visible:
        return _in_words(reason.rule, DenialAbout.CONCEPT, rules)
    if reason.about == application:
        return _in_words(reason.rule, DenialAbout.CALLER, rules)
    return DeniedRule(about=DenialAbout.OTHER)


def _decision(index: int, entry: LogEntry, rules: Mapping[str, Rule]) -> DeniedAttempt:
    """Somebody wanted to train a concept, or to approve, reject or revoke a version."""
    told = [
        _in_words(name, about, rules)
        for fact, about in (("rules", DenialAbout.CONCEPT), ("caller_rules", DenialAbout.CALLER))
        for name in entry.facts.get(fact, "").split()
    ]
    if entry.facts.get("others_refused", "0") != "0":
        told.append(DeniedRule(about=DenialAbout.OTHER))
    return DeniedAttempt(
        log_index=index,
        at=entry.at,
        act=DeniedAct(entry.facts["action"]),
        by=entry.actor,
        concepts=(entry.subject,),
        others=int(entry.facts.get("others", "0")),
        rules=tuple(dict.fromkeys(told)),
    )


def _in_words(name: str, about: DenialAbout, rules: Mapping[str, Rule]) -> DeniedRule:
    rule = rules.get(name)
    if rule is None:
        return DeniedRule(about=about, rule=name)
    return DeniedRule(about=about, rule=name, plain=rule.plain, plain_ja=rule.plain_ja)
