"""Linked identities get an id, by which their owner names them"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("identities", sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False))
    op.create_unique_constraint("uq_identities_id", "identities", ["id"])


def downgrade() -> None:
    op.drop_column("identities", "id")
