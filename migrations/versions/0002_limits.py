"""Usage counters, reservations, burst clocks, and the epochs that say whether Redis or PostgreSQL admits calls

The functions stand here and not in Python because each is one round trip and one transaction. They run under two
advisory locks. The epoch's lock is held shared by everything that relies on the epoch and exclusively by the two
functions that change it. The user's lock makes one user's admissions take turns without writing to a row, so that a
refusal writes nothing.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# An arbitrary constant; every function below must use the same.
EPOCH_LOCK = 0x4D4F_5345_504F

REDIS_HEARTBEAT = f"""
CREATE FUNCTION redis_heartbeat(
    p_member uuid, p_acknowledged bigint, p_alive interval, p_reaches_redis boolean
) RETURNS TABLE (number bigint, backend text, run_id text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({EPOCH_LOCK});
    -- Losing a renewal in a crash only shortens the row's life. The first row must not be lost: it announces the member.
    IF EXISTS (SELECT 1 FROM redis_epoch_members AS m WHERE m.member = p_member) THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    INSERT INTO redis_epoch_members AS m (member, epoch, alive_until, reaches_redis)
    SELECT p_member, coalesce(p_acknowledged, e.number), clock_timestamp() + p_alive, p_reaches_redis
    FROM redis_epoch AS e WHERE e.id = 1
    ON CONFLICT (member) DO UPDATE SET alive_until = excluded.alive_until, reaches_redis = excluded.reaches_redis;
    RETURN QUERY SELECT e.number, e.backend, e.run_id FROM redis_epoch AS e WHERE e.id = 1;
END $$
"""

LEAVE_REDIS = f"""
CREATE FUNCTION leave_redis(p_number bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({EPOCH_LOCK});
    UPDATE redis_epoch SET backend = 'postgres', number = number + 1, run_id = NULL, changed_at = clock_timestamp()
    WHERE id = 1 AND number = p_number AND backend = 'redis';
    RETURN FOUND;
END $$
"""

ENTER_REDIS = f"""
CREATE FUNCTION enter_redis(p_number bigint, p_run_id text, p_drain interval) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({EPOCH_LOCK});
    DELETE FROM redis_epoch_members WHERE alive_until < clock_timestamp() - greatest(interval '1 hour', p_drain);
    -- A member that has not acknowledged may hold calls that nobody else knows of: a new epoch would not count them.
    UPDATE redis_epoch SET backend = 'redis', number = number + 1, run_id = p_run_id, changed_at = clock_timestamp()
    WHERE id = 1 AND number = p_number AND backend = 'postgres' AND NOT EXISTS (
        SELECT 1 FROM redis_epoch_members AS m
        WHERE (m.epoch < p_number AND m.alive_until + p_drain > clock_timestamp())
           OR (m.alive_until > clock_timestamp() AND NOT m.reaches_redis)
    );
    RETURN FOUND;
END $$
"""

RESERVE_USAGE = f"""
CREATE FUNCTION reserve_usage(
    p_request uuid, p_user uuid, p_feature text, p_lease interval,
    p_per_day integer, p_burst_interval bigint, p_burst_capacity bigint, p_concurrency integer, p_drain interval
) RETURNS TABLE (
    outcome text, violated integer, day date, used integer, day_in_flight integer, in_flight integer,
    burst_tat bigint, now_us bigint, detail bigint
) LANGUAGE plpgsql AS $$
DECLARE
    current_epoch redis_epoch%ROWTYPE;
    unknown_until timestamptz;
    moment timestamptz;
    reserved_day date;
BEGIN
    violated := 0;
    PERFORM pg_advisory_xact_lock_shared({EPOCH_LOCK});
    SELECT * INTO current_epoch FROM redis_epoch AS e WHERE e.id = 1;
    IF current_epoch.backend <> 'postgres' THEN
        outcome := 'redis'; detail := current_epoch.number; RETURN NEXT; RETURN;
    END IF;
    moment := clock_timestamp();
    IF EXISTS (SELECT 1 FROM redis_epoch_members AS m WHERE m.epoch < current_epoch.number AND m.alive_until >= moment) THEN
        outcome := 'wait'; RETURN NEXT; RETURN;
    END IF;
    SELECT max(m.alive_until) + p_drain INTO unknown_until FROM redis_epoch_members AS m
    WHERE m.epoch < current_epoch.number AND m.alive_until + p_drain > moment;

    PERFORM pg_advisory_xact_lock(hashtextextended(p_user::text || p_feature, 0));
    -- Not now(): that stood still while this transaction waited for the lock.
    moment := clock_timestamp();
    now_us := (extract(epoch FROM moment) * 1000000)::bigint;
    day := (moment AT TIME ZONE 'UTC')::date;
    -- One statement, so that a call settled at this moment is seen either in flight or used, never both or neither.
    SELECT
        coalesce((SELECT c.used FROM usage_counters AS c
                  WHERE c.user_id = p_user AND c.feature = p_feature AND c.day = reserve_usage.day), 0),
        count(r.request_id) FILTER (WHERE r.day = reserve_usage.day), count(r.request_id),
        max(r.day) FILTER (WHERE r.request_id = p_request),
        greatest(coalesce((SELECT g.burst_tat FROM usage_gates AS g
                           WHERE g.user_id = p_user AND g.feature = p_feature), 0), now_us)
    INTO used, day_in_flight, in_flight, reserved_day, burst_tat
    FROM usage_reservations AS r
    WHERE r.user_id = p_user AND r.feature = p_feature AND r.lease_until > moment;

    IF reserved_day IS NOT NULL THEN
        outcome := 'reserved'; day := reserved_day; RETURN NEXT; RETURN;
    END IF;
    IF p_per_day IS NOT NULL AND used + day_in_flight + 1 > p_per_day THEN violated := violated + 1; END IF;
    IF burst_tat + p_burst_interval - p_burst_capacity > now_us THEN violated := violated + 2; END IF;
    IF in_flight + 1 > p_concurrency THEN violated := violated + 4; END IF;
    IF violated > 0 THEN
        outcome := 'refused'; RETURN NEXT; RETURN;
    END IF;
    -- A member that died without a word may have had this user's every call slot in use.
    IF p_per_day IS NOT NULL AND unknown_until > moment AND used + day_in_flight + p_concurrency + 1 > p_per_day THEN
        outcome := 'unknown'; detail := (extract(epoch FROM unknown_until - moment) * 1000000)::bigint;
        RETURN NEXT; RETURN;
    END IF;

    INSERT INTO usage_reservations AS r (request_id, user_id, feature, day, lease_until, created_at)
    VALUES (p_request, p_user, p_feature, reserve_usage.day, moment + p_lease, moment)
    ON CONFLICT (request_id) DO UPDATE SET day = excluded.day, lease_until = excluded.lease_until;
    burst_tat := burst_tat + p_burst_interval;
    INSERT INTO usage_gates AS g (user_id, feature, burst_tat) VALUES (p_user, p_feature, reserve_usage.burst_tat)
    ON CONFLICT (user_id, feature) DO UPDATE SET burst_tat = excluded.burst_tat;
    outcome := 'reserved';
    day_in_flight := day_in_flight + 1;
    in_flight := in_flight + 1;
    RETURN NEXT;
END $$
"""


def create_epochs() -> None:
    op.create_table(
        "redis_epoch",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redis_epoch")),
        sa.CheckConstraint("id = 1", name=op.f("ck_redis_epoch_one_row")),
        sa.CheckConstraint("backend IN ('redis', 'postgres')", name=op.f("ck_redis_epoch_backend")),
    )
    op.execute("INSERT INTO redis_epoch (id, number, backend, changed_at) VALUES (1, 1, 'postgres', now())")
    op.create_table(
        "redis_epoch_members",
        sa.Column("member", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("alive_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reaches_redis", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("member", name=op.f("pk_redis_epoch_members")),
    )


def upgrade() -> None:
    create_epochs()
    op.create_table(
        "usage_counters",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "feature", "day", name=op.f("pk_usage_counters")),
    )
    op.create_table(
        "usage_reservations",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_usage_reservations")),
    )
    op.create_index("ix_usage_reservations_user_id", "usage_reservations", ["user_id", "feature"])
    op.create_table(
        "usage_gates",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("burst_tat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "feature", name=op.f("pk_usage_gates")),
    )
    for function in (REDIS_HEARTBEAT, LEAVE_REDIS, ENTER_REDIS, RESERVE_USAGE):
        op.execute(function)


def downgrade() -> None:
    for function in ("reserve_usage", "enter_redis", "leave_redis", "redis_heartbeat"):
        op.execute(f"DROP FUNCTION {function}")
    for table in ("usage_gates", "usage_reservations", "usage_counters", "redis_epoch_members", "redis_epoch"):
        op.drop_table(table)
