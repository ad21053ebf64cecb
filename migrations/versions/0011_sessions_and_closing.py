"""What users see of their sessions, a name of their own, closing an account, exports"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("device_name", sa.Text()))
    op.add_column("sessions", sa.Column("ip_last", sa.Text()))
    op.add_column("users", sa.Column("display_name", sa.Text()))
    op.add_column("users", sa.Column("delete_after", sa.DateTime(timezone=True)))
    op.create_index(
        "ix_users_delete_after", "users", ["delete_after"], postgresql_where=sa.text("delete_after IS NOT NULL")
    )
    op.create_table(
        "data_exports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_data_exports"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_data_exports_user_id_users", ondelete="CASCADE"),
        sa.CheckConstraint("(content IS NULL) = (ready_at IS NULL)", name=op.f("ck_data_exports_content_has_time")),
    )
    op.create_index("ix_data_exports_user_id_requested_at", "data_exports", ["user_id", "requested_at"])
    op.create_index("ix_data_exports_expires_at", "data_exports", ["expires_at"])


def downgrade() -> None:
    op.drop_table("data_exports")
    op.drop_index("ix_users_delete_after", table_name="users")
    op.drop_column("users", "delete_after")
    op.drop_column("users", "display_name")
    op.drop_column("sessions", "ip_last")
    op.drop_column("sessions", "device_name")
