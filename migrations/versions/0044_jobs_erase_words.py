"""Why a job failed is said in its row alone, where it can be erased: it may quote what people wrote. Owner: trainer.jobs."""

from __future__ import annotations

from alembic import op

from migrations.insert_only import allow_changes, forbid_changes

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None

_ERASED = """
    UPDATE training_jobs job SET error = 'what it said is erased, with the person whom the job was about'
     WHERE error IS NOT NULL
       AND EXISTS (SELECT FROM training_events event WHERE event.job = job.id AND event.event = 'erase')
"""


def upgrade() -> None:
    allow_changes("training_events")
    op.execute("UPDATE training_events SET detail = NULL WHERE event = 'fail'")
    forbid_changes("training_events")
    op.execute(_ERASED)


def downgrade() -> None:
    """What is erased does not come back; the code of before reads these rows as they are."""
