"""Why jobs failed, the e-mails that failed, and finding dead events of providers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "job_failures",
        sa.Column("job_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_failures")),
    )
    op.create_index("ix_job_failures_at", "job_failures", ["at"])
    op.create_table(
        "dead_emails",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("values", JSONB(), nullable=False),
        sa.Column("code_id", sa.Uuid(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_dead_emails_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_emails")),
    )
    op.create_index("ix_dead_emails_user_id", "dead_emails", ["user_id"])
    op.create_index("ix_dead_emails_failed_at", "dead_emails", ["failed_at"])
    op.create_index("ix_billing_events_id_dead", "billing_events", ["id"], postgresql_where=sa.text("state = 'dead'"))


def downgrade() -> None:
    op.drop_index("ix_billing_events_id_dead", "billing_events")
    op.drop_table("dead_emails")
    op.drop_table("job_failures")
