"""Items of batches that failed and were passed over, for the operators"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "passed_over_items",
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("batch", "item", name="pk_passed_over_items"),
    )
    op.create_index("ix_passed_over_items_last_at", "passed_over_items", ["last_at"])


def downgrade() -> None:
    op.drop_table("passed_over_items")
