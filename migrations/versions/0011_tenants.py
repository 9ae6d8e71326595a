"""Row-level security for every table whose rows belong to a tenant. Owner: registry.runtime.

Not isolated, because nobody's rows are hidden there or no tenant is known yet: the log (its tiles are public) and the
credentials (they say which tenant calls).
"""

from __future__ import annotations

from migrations.tenancy import OF_CONCEPT, TENANT_COLUMN, create_app_role, drop_app_rights, isolate, of_parent, share

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ISOLATED = {
    "blob_holders": TENANT_COLUMN,
    "concepts": TENANT_COLUMN,
    "consents": TENANT_COLUMN,
    "consent_withdrawals": of_parent("consents", "consent_id"),
    "licences": TENANT_COLUMN,
    "concept_versions": TENANT_COLUMN,
    "version_consents": OF_CONCEPT,
    "version_states": OF_CONCEPT,
    "version_statuses": OF_CONCEPT,
    "version_aliases": OF_CONCEPT,
    "reviews": OF_CONCEPT,
    "revocations": OF_CONCEPT,
    "generations": TENANT_COLUMN,
    "generation_versions": of_parent("generations", "generation_id"),
    "generation_results": of_parent("generations", "generation_id"),
    "licence_uses": of_parent("generations", "generation_id"),
    "artefact_releases": of_parent("generations", "generation_id"),
}


def upgrade() -> None:
    create_app_role("credentials", "log_entries", "log_nodes", *ISOLATED)
    for table, condition in ISOLATED.items():
        isolate(table, condition)


def downgrade() -> None:
    for table in ISOLATED:
        share(table)
    drop_app_rights()
