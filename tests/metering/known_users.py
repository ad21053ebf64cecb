"""Callers of these tests are made up on the spot; the log of calls wants users who exist."""

from contextlib import closing

import psycopg2

REGISTER_WHO_CALLS = """
SELECT pg_advisory_xact_lock(1);
CREATE OR REPLACE FUNCTION register_who_calls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO users (id, email, email_key, created_at, updated_at)
    VALUES (NEW.user_id, NEW.user_id, NEW.user_id, now(), now()) ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER register_who_calls BEFORE INSERT ON request_logs
    FOR EACH ROW EXECUTE FUNCTION register_who_calls();
"""


def register_who_calls(url: str) -> None:
    """From now on whoever makes a call in this database has an account."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(REGISTER_WHO_CALLS)
