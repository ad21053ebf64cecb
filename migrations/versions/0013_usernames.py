"""Usernames"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

SAFE_BECAUSE = "the version before writes no usernames, so both constraints hold for every row of it"


def upgrade() -> None:
    op.add_column("users", sa.Column("username", sa.Text()))
    op.create_unique_constraint(op.f("uq_users_username"), "users", ["username"])
    op.create_check_constraint(op.f("ck_users_username_form"), "users", "username ~ '^[a-z0-9][a-z0-9._-]{2,31}$'")


def downgrade() -> None:
    op.drop_column("users", "username")
