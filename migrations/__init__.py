"""The one Alembic history of the database that registry and trainer share; `registry.db.upgrade` runs it.

env             how migrations are run
insert_only     tables that hold evidence: the database refuses to change them
versions        NNNN_<owner>_<what>.py, one owner each
"""
