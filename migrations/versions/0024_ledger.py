"""One ledger of units and windows that refuses to pass a limit, the request log, charges; the epochs of Redis go.

Processes of the version before cannot count beside it: stop them first. There is no release before it.
"""

import sqlalchemy as sa
from alembic import op
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import JSONB

revision = "0024"
down_revision = "0023"

PREDICTION_REQUESTS = """
CREATE VIEW prediction_requests AS
SELECT id, user_id, request_data_hash, success, response_time_ms, error_code, created_at, feature, tier, status,
       upstream_ms, window_date
FROM request_logs WHERE feature = 'predict'
WITH CHECK OPTION
"""


def upgrade() -> None:
    for function in ("reserve_call", "reserve_usage", "enter_redis", "leave_redis", "redis_heartbeat"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("redis_epoch_members")
    op.drop_table("redis_epoch")
    _rewrite_counters()
    op.execute(
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used)'
        " SELECT user_id, feature, 'failure', hour, failed FROM usage_failures"
    )
    op.drop_table("usage_failures")
    _rewrite_reservations()
    _rename_log("prediction_requests", "request_logs")
    for column in (
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("api_key_id", sa.Uuid(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("units", JSONB(), nullable=True),
        sa.Column("price_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), server_default="0", nullable=False),
    ):
        op.add_column("request_logs", column)
    op.execute("UPDATE request_logs SET outcome = CASE WHEN success THEN 'delivered' ELSE 'failed' END")
    op.create_check_constraint(
        "outcome_known", "request_logs", "outcome IN ('delivered', 'cut_short', 'failed', 'refused')"
    )
    op.execute(PREDICTION_REQUESTS)
    op.create_table(
        "charges",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("units", JSONB(), nullable=True),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_charges"),
        sa.CheckConstraint("price_micros > 0 AND cost_micros >= 0", name=op.f("ck_charges_money_not_negative")),
    )
    op.create_index("ix_charges_user_id_created_at", "charges", ["user_id", "created_at"])
    op.execute("""
        CREATE TRIGGER charges_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON charges
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def downgrade() -> None:
    op.drop_table("charges")
    op.execute("DROP VIEW prediction_requests")
    op.drop_constraint(op.f("ck_request_logs_outcome_known"), "request_logs", type_="check")
    op.execute("DELETE FROM request_logs WHERE feature <> 'predict'")
    for column in ("outcome", "api_key_id", "provider", "model", "units", "price_micros", "cost_micros"):
        op.drop_column("request_logs", column)
    _rename_log("request_logs", "prediction_requests")
    _restore_reservations()
    scripts = ScriptDirectory.from_config(op.get_context().config)
    limits, failures = (scripts.get_revision(number).module for number in ("0002", "0022"))
    failures.create_failures()
    op.execute(
        "INSERT INTO usage_failures (user_id, feature, hour, failed)"
        " SELECT user_id, feature, \"window\", used FROM usage_counters WHERE unit = 'failure'"
    )
    _restore_counters()
    limits.create_epochs()
    for function in (limits.REDIS_HEARTBEAT, limits.LEAVE_REDIS, limits.ENTER_REDIS, limits.RESERVE_USAGE):
        op.execute(function)


def _rewrite_counters() -> None:
    op.drop_index("ix_usage_counters_day", "usage_counters")
    op.add_column("usage_counters", sa.Column("unit", sa.Text(), server_default="call", nullable=False))
    op.add_column("usage_counters", sa.Column("window", sa.Text(), nullable=True))
    op.add_column("usage_counters", sa.Column("allowed", sa.BigInteger(), nullable=True))
    op.execute('UPDATE usage_counters SET "window" = day::text')
    op.alter_column("usage_counters", "unit", server_default=None)
    op.alter_column("usage_counters", "window", nullable=False)
    op.alter_column("usage_counters", "used", type_=sa.BigInteger())
    op.drop_constraint("pk_usage_counters", "usage_counters")
    op.drop_column("usage_counters", "day")
    op.create_primary_key("pk_usage_counters", "usage_counters", ["user_id", "feature", "unit", "window"])
    op.create_index("ix_usage_counters_window", "usage_counters", ["window"])
    op.create_check_constraint("within_allowed", "usage_counters", "used <= allowed")


def _restore_counters() -> None:
    op.drop_constraint(op.f("ck_usage_counters_within_allowed"), "usage_counters", type_="check")
    op.drop_index("ix_usage_counters_window", "usage_counters")
    op.execute("DELETE FROM usage_counters WHERE unit <> 'call' OR length(\"window\") <> 10")
    op.add_column("usage_counters", sa.Column("day", sa.Date(), nullable=True))
    op.execute('UPDATE usage_counters SET day = "window"::date')
    op.alter_column("usage_counters", "day", nullable=False)
    op.drop_constraint("pk_usage_counters", "usage_counters")
    for column in ("unit", "window", "allowed"):
        op.drop_column("usage_counters", column)
    op.alter_column("usage_counters", "used", type_=sa.Integer())
    op.create_primary_key("pk_usage_counters", "usage_counters", ["user_id", "feature", "day"])
    op.create_index("ix_usage_counters_day", "usage_counters", ["day"])


def _rewrite_reservations() -> None:
    op.drop_index("ix_usage_reservations_user_id", "usage_reservations")
    op.add_column("usage_reservations", sa.Column("unit", sa.Text(), server_default="call", nullable=False))
    op.add_column("usage_reservations", sa.Column("window", sa.Text(), nullable=True))
    op.add_column("usage_reservations", sa.Column("amount", sa.BigInteger(), server_default="1", nullable=False))
    op.execute('UPDATE usage_reservations SET "window" = day::text')
    op.alter_column("usage_reservations", "unit", server_default=None)
    op.alter_column("usage_reservations", "amount", server_default=None)
    op.alter_column("usage_reservations", "window", nullable=False)
    op.drop_column("usage_reservations", "day")
    op.drop_constraint("pk_usage_reservations", "usage_reservations")
    op.create_primary_key("pk_usage_reservations", "usage_reservations", ["request_id", "feature", "unit", "window"])
    op.create_index("ix_usage_reservations_user_id", "usage_reservations", ["user_id"])


def _restore_reservations() -> None:
    op.drop_index("ix_usage_reservations_user_id", "usage_reservations")
    op.execute("DELETE FROM usage_reservations")  # their calls have ended when nothing of this version runs
    op.add_column("usage_reservations", sa.Column("day", sa.Date(), nullable=True))
    op.execute('UPDATE usage_reservations SET day = "window"::date')
    op.alter_column("usage_reservations", "day", nullable=False)
    op.drop_constraint("pk_usage_reservations", "usage_reservations")
    for column in ("unit", "window", "amount"):
        op.drop_column("usage_reservations", column)
    op.create_primary_key("pk_usage_reservations", "usage_reservations", ["request_id"])
    op.create_index("ix_usage_reservations_user_id", "usage_reservations", ["user_id", "feature"])


def _rename_log(before: str, after: str) -> None:
    op.rename_table(before, after)
    for name in ("hash_is_sha256", "response_time_not_negative", "failure_says_why"):
        op.execute(f"ALTER TABLE {after} RENAME CONSTRAINT ck_{before}_{name} TO ck_{after}_{name}")
    op.execute(f"ALTER TABLE {after} RENAME CONSTRAINT pk_{before} TO pk_{after}")
    op.execute(f"ALTER TABLE {after} RENAME CONSTRAINT fk_{before}_user_id_users TO fk_{after}_user_id_users")
    for columns in ("user_id_created_at", "created_at"):
        op.execute(f"ALTER INDEX ix_{before}_{columns} RENAME TO ix_{after}_{columns}")
