"""A payment is for a purchase, of which an item is one kind

Processes of the release before go on writing and reading `item_id` while this one runs: a trigger fills in what each of the
two leaves out.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

OPEN = sa.text("status IN ('pending', 'action_required', 'processing')")
BOTH_NAMES = """
    CREATE FUNCTION payments_name_purchase() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.purchase_kind IS NULL THEN
            NEW.purchase_kind := 'item';
            NEW.purchase_id := NEW.item_id;
        ELSIF NEW.purchase_kind = 'item' THEN
            NEW.item_id := NEW.purchase_id;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER payments_name_purchase BEFORE INSERT ON payments
        FOR EACH ROW EXECUTE FUNCTION payments_name_purchase();
"""


def upgrade() -> None:
    op.add_column("payments", sa.Column("purchase_kind", sa.Text()))
    op.add_column("payments", sa.Column("purchase_id", sa.Uuid()))
    op.execute("UPDATE payments SET purchase_kind = 'item', purchase_id = item_id")
    op.alter_column("payments", "purchase_kind", nullable=False)
    op.alter_column("payments", "purchase_id", nullable=False)
    op.alter_column("payments", "item_id", nullable=True)
    op.execute(BOTH_NAMES)
    op.create_index(
        "uq_payments_user_id_purchase_open",
        "payments",
        ["user_id", "purchase_kind", "purchase_id"],
        unique=True,
        postgresql_where=OPEN,
    )
    op.drop_index("uq_payments_user_id_item_id_open", "payments")


def downgrade() -> None:
    # The older form has no place for a payment of another kind: what was paid then stands at Stripe alone.
    op.execute("DELETE FROM payments WHERE item_id IS NULL")
    op.create_index(
        "uq_payments_user_id_item_id_open", "payments", ["user_id", "item_id"], unique=True, postgresql_where=OPEN
    )
    op.drop_index("uq_payments_user_id_purchase_open", "payments")
    op.execute("DROP TRIGGER payments_name_purchase ON payments")
    op.execute("DROP FUNCTION payments_name_purchase")
    op.alter_column("payments", "item_id", nullable=False)
    op.drop_column("payments", "purchase_id")
    op.drop_column("payments", "purchase_kind")
