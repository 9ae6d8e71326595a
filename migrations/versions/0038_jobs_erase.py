"""What a training job held of a person who was erased is gone: an event of its own. Owner: trainer.jobs."""

from __future__ import annotations

from alembic import op

from migrations.insert_only import allow_changes, forbid_changes

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

_BEFORE = ("admit", "claim", "succeed", "fail", "cancel", "release", "lose")


def upgrade() -> None:
    _restrict((*_BEFORE, "erase"))


def downgrade() -> None:
    allow_changes("training_events")
    op.execute("DELETE FROM training_events WHERE event = 'erase'")
    forbid_changes("training_events")
    _restrict(_BEFORE)


def _restrict(events: tuple[str, ...]) -> None:
    op.drop_constraint("ck_training_events_event", "training_events")
    op.create_check_constraint(op.f("ck_training_events_event"), "training_events", f"event IN {events}")
