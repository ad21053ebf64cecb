"""The tables and functions of procrastinate, which keeps the background jobs.

The package ships one SQL file for each change of its schema and never edits an old one, so the files up to
`LAST_FILE` are the same in every later release. When an upgrade of the package brings newer files, write a new
migration that applies exactly those (tests/database/test_jobs_schema.py fails until there is one).

Its files are meant for one transaction each; ours run in one. Up to version 16, PostgreSQL lets no transaction use a value
that it has added to an enum by itself. So the enums are made whole at once, and what would extend them is left out.
"""

import re
from importlib.resources import files

from alembic import op

revision = "0001"
down_revision = None

LAST_FILE = "03.04.00_50_post_add_retry_failed_job_procedure.sql"  # procrastinate 3.10

WHOLE_ENUMS = """
CREATE TYPE procrastinate_job_status AS ENUM (
    'todo', 'doing', 'succeeded', 'failed', 'cancelled', 'aborting', 'aborted'
);
CREATE TYPE procrastinate_job_event_type AS ENUM (
    'deferred', 'started', 'deferred_for_retry', 'failed', 'succeeded', 'cancelled',
    'abort_requested', 'aborted', 'scheduled', 'retried'
);
"""
STEPS_OF_ENUMS = re.compile(
    r"CREATE TYPE \w+ AS ENUM \(.*?^\);|ALTER TYPE \w+ ADD VALUE [^;]+;", re.DOTALL | re.MULTILINE
)

DROP_EVERYTHING = """
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('DROP TABLE %s CASCADE', oid::regclass) FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'procrastinate\\_%'
    LOOP EXECUTE statement; END LOOP;
    FOR statement IN
        SELECT format('DROP FUNCTION %s CASCADE', oid::regprocedure) FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'procrastinate\\_%'
    LOOP EXECUTE statement; END LOOP;
    FOR statement IN
        SELECT format('DROP TYPE %s CASCADE', oid::regtype) FROM pg_type
        WHERE typnamespace = current_schema()::regnamespace AND typname LIKE 'procrastinate\\_%'
    LOOP EXECUTE statement; END LOOP;
END $$
"""


def upgrade() -> None:
    folder = files("procrastinate") / "sql" / "migrations"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    if LAST_FILE not in names:
        raise RuntimeError(f"procrastinate does not hold {LAST_FILE}: install the version of requirements.txt")
    # The driver's own cursor: the files hold ':' and '%', which SQLAlchemy would read as parameters.
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(WHOLE_ENUMS)
        for name in names[: names.index(LAST_FILE) + 1]:
            cursor.execute(STEPS_OF_ENUMS.sub("", (folder / name).read_text()))


def downgrade() -> None:
    with op.get_bind().connection.cursor() as cursor:
        cursor.execute(DROP_EVERYTHING)
