"""One-time codes: several for undoing a change of address, found by address, cleared away when they ran out"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

UNIQUE = "uq_one_time_codes_user_id_purpose_open"


def upgrade() -> None:
    op.add_column("one_time_codes", sa.Column("session_id", sa.Uuid()))
    op.drop_index(UNIQUE, "one_time_codes")
    op.create_index(
        UNIQUE,
        "one_time_codes",
        ["user_id", "purpose"],
        unique=True,
        postgresql_where=sa.text("used_at IS NULL AND purpose <> 'undo_email_change'"),
    )
    op.create_index(
        "ix_one_time_codes_address",
        "one_time_codes",
        [sa.text("lower(email)")],
        postgresql_where=sa.text("used_at IS NULL"),
    )
    op.create_index("ix_one_time_codes_user_id", "one_time_codes", ["user_id"])
    op.create_index("ix_one_time_codes_link_expires_at", "one_time_codes", ["link_expires_at"])


def downgrade() -> None:
    op.drop_index("ix_one_time_codes_link_expires_at", "one_time_codes")
    op.drop_index("ix_one_time_codes_user_id", "one_time_codes")
    op.drop_index("ix_one_time_codes_address", "one_time_codes")
    op.drop_index(UNIQUE, "one_time_codes")
    op.execute("DELETE FROM one_time_codes WHERE purpose = 'undo_email_change'")
    op.create_index(
        UNIQUE,
        "one_time_codes",
        ["user_id", "purpose"],
        unique=True,
        postgresql_where=sa.text("used_at IS NULL"),
    )
    op.drop_column("one_time_codes", "session_id")
