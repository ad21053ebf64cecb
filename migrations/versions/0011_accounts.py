"""API keys that have no end"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.alter_column("api_keys", "expires_at", existing_type=sa.DateTime(timezone=True), nullable=True)


def downgrade() -> None:
    """A year is the longest life that the version before knows."""
    op.execute("UPDATE api_keys SET expires_at = now() + interval '365 days' WHERE expires_at IS NULL")
    op.alter_column("api_keys", "expires_at", existing_type=sa.DateTime(timezone=True), nullable=False)
