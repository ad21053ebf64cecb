"""Calls that reached the private server and brought nothing are counted by the hour, and the reservation looks at them.

The log of calls gets its foreign key to users.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

# Takes the user's lock first, so that two calls cannot both find the last failure that is allowed. `reserve_usage` takes it
# again, which costs nothing, and stays as it is for the version that runs beside this one.
RESERVE_CALL = """
CREATE FUNCTION reserve_call(
    p_request uuid, p_user uuid, p_feature text, p_lease interval,
    p_per_day integer, p_burst_interval bigint, p_burst_capacity bigint, p_concurrency integer, p_drain interval,
    p_failures integer
) RETURNS TABLE (
    outcome text, violated integer, day date, used integer, day_in_flight integer, in_flight integer,
    burst_tat bigint, now_us bigint, detail bigint
) LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_user::text || p_feature, 0));
    moment := clock_timestamp();
    IF p_failures <= coalesce((
        SELECT f.failed FROM usage_failures AS f
        WHERE f.user_id = p_user AND f.feature = p_feature
            AND f.hour = to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')
    ), 0) THEN
        outcome := 'refused'; violated := 8; day := (moment AT TIME ZONE 'UTC')::date;
        used := 0; day_in_flight := 0; in_flight := 0; burst_tat := 0;
        now_us := (extract(epoch FROM moment) * 1000000)::bigint;
        RETURN NEXT; RETURN;
    END IF;
    RETURN QUERY SELECT * FROM reserve_usage(
        p_request, p_user, p_feature, p_lease, p_per_day, p_burst_interval, p_burst_capacity, p_concurrency, p_drain
    );
END $$
"""


FOREIGN_KEY = "fk_prediction_requests_user_id_users"


def upgrade() -> None:
    # First what may have to be repeated: the rest has not happened when this is interrupted.
    op.execute(f"ALTER TABLE prediction_requests DROP CONSTRAINT IF EXISTS {FOREIGN_KEY}")
    op.execute(
        f"ALTER TABLE prediction_requests ADD CONSTRAINT {FOREIGN_KEY}"
        " FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE NOT VALID"
    )
    with (
        op.get_context().autocommit_block()
    ):  # looking at the old rows must not hold up those that are written meanwhile
        op.execute(
            "DELETE FROM prediction_requests AS call WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = call.user_id)"
        )
        op.execute(f"ALTER TABLE prediction_requests VALIDATE CONSTRAINT {FOREIGN_KEY}")
    create_failures()


def create_failures() -> None:
    op.create_table(
        "usage_failures",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("hour", sa.Text(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "feature", "hour", name=op.f("pk_usage_failures")),
    )
    op.execute(RESERVE_CALL)


def downgrade() -> None:
    op.execute("DROP FUNCTION reserve_call")
    op.drop_table("usage_failures")
    op.drop_constraint(FOREIGN_KEY, "prediction_requests", type_="foreignkey")
