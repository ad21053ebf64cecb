"""Budgets; calls that were abandoned or ended unknown, what a call says of itself, and the day that a charge belongs to"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"

OUTCOMES = "ck_request_logs_outcome_known"
BEFORE = "outcome IN ('delivered', 'cut_short', 'failed', 'refused')"
AFTER = "outcome IN ('delivered', 'cut_short', 'failed', 'refused', 'unknown', 'abandoned')"
UNKNOWN_OF_ABANDONED = ("request_data_hash", "tier", "status")


def upgrade() -> None:
    op.create_table(
        "usage_budgets",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("monthly_cents", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("told_month", sa.Text()),
        sa.Column("told_percent", sa.Integer()),
        sa.CheckConstraint("monthly_cents >= 0", name=op.f("ck_usage_budgets_monthly_cents_not_negative")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_usage_budgets_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_usage_budgets")),
    )
    op.add_column("request_logs", sa.Column("details", JSONB()))
    for name in UNKNOWN_OF_ABANDONED:
        op.alter_column("request_logs", name, nullable=True)
    _outcomes(AFTER)
    op.add_column(
        "charges",
        sa.Column("window_date", sa.Date(), server_default=sa.text("(now() AT TIME ZONE 'UTC')::date"), nullable=False),
    )
    # The first charges are made by features that come with this version; a database of a trial may have some.
    op.execute("ALTER TABLE charges DISABLE TRIGGER charges_append_only")
    op.execute("UPDATE charges SET window_date = (created_at AT TIME ZONE 'UTC')::date")
    op.execute("ALTER TABLE charges ENABLE TRIGGER charges_append_only")


def downgrade() -> None:
    op.drop_column("charges", "window_date")
    op.execute("DELETE FROM request_logs WHERE outcome = 'abandoned'")
    op.execute("UPDATE request_logs SET outcome = 'failed' WHERE outcome = 'unknown'")
    _outcomes(BEFORE)
    for name in UNKNOWN_OF_ABANDONED:
        op.alter_column("request_logs", name, nullable=False)
    op.drop_column("request_logs", "details")
    op.drop_table("usage_budgets")


def _outcomes(known: str) -> None:
    op.drop_constraint(op.f(OUTCOMES), "request_logs")
    op.create_check_constraint(op.f(OUTCOMES), "request_logs", known)
