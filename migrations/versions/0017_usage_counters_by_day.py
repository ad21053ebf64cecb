"""An index by which old usage counters are found, so that they can be purged"""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_index("ix_usage_counters_day", "usage_counters", ["day"])


def downgrade() -> None:
    op.drop_index("ix_usage_counters_day", "usage_counters")
