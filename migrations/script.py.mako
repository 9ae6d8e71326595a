"""${message}. Owner: (the slice whose tables these are).

House rules: the file is NNNN_<owner>_<what>.py and its revision is NNNN; it touches one owner's tables; the previous
code works on the new schema; downgrade undoes upgrade; evidence tables get `forbid_changes`; nothing is imported from
the services, so that a migration means tomorrow what it means today.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "raise NotImplementedError"}


def downgrade() -> None:
    ${downgrades if downgrades else "raise NotImplementedError"}
