"""Impersonations; the order in which security events are read"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "impersonations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("actor_session_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_impersonations"),
        sa.ForeignKeyConstraint(
            ["actor_id"], ["users.id"], name="fk_impersonations_actor_id_users", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["actor_session_id"],
            ["sessions.id"],
            name="fk_impersonations_actor_session_id_sessions",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_impersonations_user_id_users", ondelete="CASCADE"),
    )
    op.create_index(
        "uq_impersonations_actor_id_running",
        "impersonations",
        ["actor_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_impersonations_user_id", "impersonations", ["user_id"])
    op.create_index("ix_impersonations_actor_session_id", "impersonations", ["actor_session_id"])
    # Events are read by time, newest first, and the id decides between those of one instant.
    op.drop_index("ix_security_events_user_id_id", "security_events")
    op.drop_index("ix_security_events_occurred_at", "security_events")
    op.create_index("ix_security_events_user_id_occurred_at_id", "security_events", ["user_id", "occurred_at", "id"])
    op.create_index("ix_security_events_event_occurred_at_id", "security_events", ["event", "occurred_at", "id"])
    op.create_index("ix_security_events_occurred_at_id", "security_events", ["occurred_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_security_events_occurred_at_id", "security_events")
    op.drop_index("ix_security_events_event_occurred_at_id", "security_events")
    op.drop_index("ix_security_events_user_id_occurred_at_id", "security_events")
    op.create_index("ix_security_events_occurred_at", "security_events", ["occurred_at"])
    op.create_index("ix_security_events_user_id_id", "security_events", ["user_id", "id"])
    op.drop_table("impersonations")
