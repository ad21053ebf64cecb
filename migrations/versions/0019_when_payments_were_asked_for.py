"""When the provider was last asked about a payment that is open, because its buyer wanted to know"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
TABLES = ("checkout_intents", "payments")


def upgrade() -> None:
    for table in TABLES:
        op.add_column(table, sa.Column("asked_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "asked_at")
