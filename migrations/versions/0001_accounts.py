"""Accounts: users, sessions, subscriptions"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIERS = "tier IN ('free', 'pro', 'enterprise')"


def moment(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("tier", sa.Text(), server_default="free", nullable=False),
        moment("tier_expires_at", nullable=True),
        sa.Column("tier_source", sa.Text()),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("is_verified", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("state_version", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        moment("created_at"),
        moment("updated_at"),
        moment("last_login_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email_key", name="uq_users_email_key"),
        sa.CheckConstraint(TIERS, name=op.f("ck_users_tier_known")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
        moment("rotated_at", nullable=True),
        sa.Column("rotation_key_hash", sa.LargeBinary()),
        moment("created_at"),
        moment("auth_time"),
        moment("last_seen_at"),
        moment("idle_expires_at"),
        moment("expires_at"),
        sa.Column("remember", sa.Boolean(), nullable=False),
        moment("revoked_at", nullable=True),
        sa.Column("revoke_reason", sa.Text()),
        sa.Column("user_agent", sa.Text()),
        sa.Column("ip", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sessions_user_id_users", ondelete="CASCADE"),
    )
    op.create_index("ix_sessions_user_id_live", "sessions", ["user_id"], postgresql_where=sa.text("revoked_at IS NULL"))
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("stripe_subscription_id", sa.Text()),
        sa.Column("apple_transaction_id", sa.Text()),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        moment("created_at"),
        moment("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_subscriptions_user_id_users", ondelete="CASCADE"),
        sa.UniqueConstraint("stripe_subscription_id", name="uq_subscriptions_stripe_subscription_id"),
        sa.UniqueConstraint("apple_transaction_id", name="uq_subscriptions_apple_transaction_id"),
        sa.CheckConstraint(TIERS, name=op.f("ck_subscriptions_tier_known")),
    )
    op.create_index("ix_subscriptions_user_id", "subscriptions", ["user_id"])


def downgrade() -> None:
    op.drop_table("subscriptions")
    op.drop_table("sessions")
    op.drop_table("users")
