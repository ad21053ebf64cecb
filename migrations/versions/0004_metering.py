"""What is used, within which limits, the log of calls, and their charges"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"


PREDICTION_REQUESTS = """
CREATE VIEW prediction_requests AS
SELECT id, user_id, request_data_hash, success, response_time_ms, error_code, created_at, feature, tier, status,
       upstream_ms, window_date
FROM request_logs WHERE feature = 'predict'
WITH CHECK OPTION
"""
"""The promised table of predictions: rows of the log of all calls, also for writing."""


def upgrade() -> None:
    op.create_table(
        "charges",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("units", JSONB()),
        sa.Column("price_micros", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("price_micros > 0 AND cost_micros >= 0", name=op.f("ck_charges_money_not_negative")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_charges")),
    )
    op.create_index("ix_charges_user_id_created_at", "charges", ["user_id", "created_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("answer", sa.Text()),
        sa.CheckConstraint(
            "(answer IS NULL) = (answered_at IS NULL)", name=op.f("ck_idempotency_keys_answer_has_time")
        ),
        sa.PrimaryKeyConstraint("user_id", "route", "key_sha256", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "usage_counters",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("allowed", sa.BigInteger()),
        sa.CheckConstraint("used <= allowed", name=op.f("ck_usage_counters_within_allowed")),
        sa.PrimaryKeyConstraint("user_id", "feature", "unit", "window", name=op.f("pk_usage_counters")),
    )
    op.create_index("ix_usage_counters_window", "usage_counters", ["window"])
    op.create_table(
        "usage_gates",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("burst_tat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "feature", name=op.f("pk_usage_gates")),
    )
    op.create_table(
        "usage_reservations",
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "feature", "unit", "window", name=op.f("pk_usage_reservations")),
    )
    op.create_index("ix_usage_reservations_user_id", "usage_reservations", ["user_id"])
    op.create_table(
        "request_logs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("api_key_id", sa.Uuid()),
        sa.Column("request_data_hash", sa.Text(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.Text()),
        sa.Column("response_time_ms", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("upstream_ms", sa.Integer(), nullable=False),
        sa.Column("window_date", sa.Date(), nullable=False),
        sa.Column("provider", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("units", JSONB()),
        sa.Column("price_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "outcome IN ('delivered', 'cut_short', 'failed', 'refused')", name=op.f("ck_request_logs_outcome_known")
        ),
        sa.CheckConstraint("length(request_data_hash) = 64", name=op.f("ck_request_logs_hash_is_sha256")),
        sa.CheckConstraint("response_time_ms >= 0", name=op.f("ck_request_logs_response_time_not_negative")),
        sa.CheckConstraint("success = (error_code IS NULL)", name=op.f("ck_request_logs_failure_says_why")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_request_logs_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_request_logs")),
    )
    op.create_index("ix_request_logs_created_at", "request_logs", ["created_at"])
    op.create_index("ix_request_logs_user_id_created_at", "request_logs", ["user_id", "created_at"])
    op.execute("""
        CREATE TRIGGER charges_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON charges
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)
    op.execute(PREDICTION_REQUESTS)


def downgrade() -> None:
    op.execute("DROP VIEW prediction_requests")
    for table in (
        "request_logs",
        "usage_reservations",
        "usage_gates",
        "usage_counters",
        "idempotency_keys",
        "charges",
    ):
        op.drop_table(table)
