"""Usage and royalties over many generations: the right sums, in a bounded number of statements.

A few hundred here; `make bench-accounting` has 100,000 (`GENERATIONS`) and says how long each question took.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, text
from support.registry import RegistryUnderTest
from support.versions import FOX, Steps, accepted, caller

from registry.generations import royalties
from registry.generations.usage import usage
from sdk.spec.ids import ConceptId
from sdk.spec.royalty import RoyaltyPeriod, RoyaltyTerms
from sdk.spec.royalty_report import RoyaltyQuery
from sdk.spec.usage import UsageDimension, UsageQuery

GENERATIONS = int(os.environ.get("GENERATIONS", "300"))
SHRINE = ConceptId("demo/shrine")
OWED = RoyaltyTerms(currency="EUR", per_image="0.0325", period=RoyaltyPeriod.MONTH)

# Every generation is a copy of the one that was made rightly, spread over 300 days before it; every third is of the
# shrine too. What is generated from contents is generated again.
_COPIES = """
INSERT INTO generations (id, tenant, application, idempotency_key, effect, intent, context, decision, decided_at,
    expires_at, log_index)
SELECT 'gen_' || translate(lpad(n::text, 26, '0'), '0123456789', 'abcdefghij'), tenant, application,
    'key-' || lpad(n::text, 16, '0'), effect, intent, context, decision, decided_at - n * interval '300 days' / :count,
    expires_at, 1000000 + 2 * n
FROM generations, generate_series(1, :count) AS n WHERE id = :id;
"""
_RESULTS = """
INSERT INTO generation_results (generation_id, content, digest, recorded_at, log_index)
SELECT copies.id, done.content, done.digest, copies.decided_at, copies.log_index + 1
FROM generations AS copies, generation_results AS done WHERE done.generation_id = :id AND copies.log_index > 1000000;
"""
_VERSIONS = """
INSERT INTO generation_versions (generation_id, position, concept_id, number)
SELECT id, 0, :fox, 1 FROM generations WHERE log_index > 1000000
UNION ALL SELECT id, 1, :shrine, 1 FROM generations WHERE log_index > 1000000 AND log_index % 3 = 0;
"""


def filled(registry: RegistryUnderTest) -> int:
    """The registry with `GENERATIONS` recorded ones of two images; returns how many are of the shrine too."""
    steps = Steps(registry)
    licence = steps.licence(steps.concept(), royalty=OWED, terms=steps.terms())["id"]
    fox = steps.approved(licences=(licence,))
    steps.approved(SHRINE, embedding=b"s")
    grant = accepted(steps.compose(fox))
    accepted(steps.post("app", f"/v1/generations/{grant['id']}/result", steps.result(grant["id"], fox)))
    with registry.engine.begin() as connection:
        for statement, members in (
            (_COPIES, {"count": GENERATIONS}),
            (_RESULTS, {}),
            (_VERSIONS, {"fox": FOX, "shrine": SHRINE}),
        ):
            known = {"id": grant["id"]} if ":id" in statement else {}
            connection.execute(text(statement), known | members)
        both = connection.scalar(
            text("SELECT count(*) FROM generation_versions WHERE concept_id = :shrine"), {"shrine": SHRINE}
        )
    with registry.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    registry.clock.advance(days=1)
    return int(both or 0)


def timed(registry: RegistryUnderTest, what: str, ask: Callable[[Any], Any]) -> Any:
    """The answer to a question, asked of the services directly; its time and statements are said."""
    statements: list[str] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(registry.engine, "before_cursor_execute", note)
    began = time.perf_counter()
    try:
        with registry.runtime.transaction(caller(registry, "auditor").tenant) as session:
            answer = ask(session)
    finally:
        event.remove(registry.engine, "before_cursor_execute", note)
    print(f"{what}: {(time.perf_counter() - began) * 1000:.0f} ms, {len(statements)} statements")
    assert len(statements) < 40, "the number of statements must not grow with what is counted"
    return answer


class TestSize:
    def test_sums_are_right_and_the_statements_few(self, registry: RegistryUnderTest) -> None:
        both = filled(registry)
        auditor, runtime = caller(registry, "auditor"), registry.runtime

        def counted(*by: UsageDimension, **members: Any) -> Callable[[Any], Any]:
            return lambda session: usage(session, runtime, auditor, UsageQuery(by=by, **members))

        print(f"\n{GENERATIONS} generations")
        month = timed(registry, "usage by month", counted(UsageDimension.MONTH))
        version = timed(registry, "usage by version and month", counted(UsageDimension.VERSION, UsageDimension.MONTH))
        one = timed(
            registry,
            "usage of one concept in one month",
            counted(UsageDimension.DAY, concept=SHRINE, since="2026-03-01T00:00:00Z", until="2026-04-01T00:00:00Z"),
        )
        due = timed(registry, "royalties", lambda session: royalties.report(session, runtime, auditor, RoyaltyQuery()))
        assert (month.total.permitted, month.total.images_recorded) == (GENERATIONS + 1, 2 * GENERATIONS + 2)
        by_concept = {
            key: sum(r.count.permitted for r in version.rows if r.key[0] == key)
            for key in ("demo/fox@1", "demo/shrine@1")
        }
        assert by_concept == {"demo/fox@1": GENERATIONS + 1, "demo/shrine@1": both}
        assert 0 < one.total.permitted < both
        (account,) = due.accounts
        assert (account.uses, account.images) == (GENERATIONS + 1, 2 * GENERATIONS + 2)
