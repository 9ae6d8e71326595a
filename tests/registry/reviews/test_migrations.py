"""A database with drafts, reviews and comments goes down to the time before them, and up again."""

from __future__ import annotations

import psycopg
from support.database import DatabaseServer
from support.registry import make_test_registry
from support.versions import Steps, accepted

from registry.db import downgrade, upgrade

STATUSES = "SELECT number, status FROM version_states ORDER BY number"


class TestPopulated:
    def test_goes_down_and_up(self, postgres_server: DatabaseServer) -> None:
        with postgres_server.fresh_database() as url:
            with make_test_registry(url) as registry:
                steps = Steps(registry)
                steps.approved()
                accepted(steps.comment(steps.drafted(embedding=b"2")))
                asked = steps.drafted(embedding=b"3")
                accepted(steps.ask(asked, reviewers=("demo/reviewer",)))
            downgrade(url, "0016")
            with psycopg.connect(url) as connection:
                before = connection.execute(STATUSES).fetchall()
                connection.execute(
                    "UPDATE version_states SET status = 'rejected' WHERE number = 3"
                )  # as code of then does
            upgrade(url)
            with psycopg.connect(url) as connection:
                after = connection.execute(STATUSES).fetchall()
                asked_by = connection.execute("SELECT number, requested_by FROM review_requests ORDER BY 1").fetchall()
                reviews = connection.execute("SELECT requested_by FROM reviews").fetchall()
        assert before == [(1, "approved"), (2, "submitted"), (3, "submitted")]
        assert after == [(1, "approved"), (2, "submitted"), (3, "rejected")]
        assert asked_by == [(number, "demo/trainer") for number in (1, 2, 3)]
        assert reviews == [("demo/trainer",)]
