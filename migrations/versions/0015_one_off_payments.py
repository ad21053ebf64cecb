"""One-off payments: items with their price and stock, what is set aside for a payment; requests that can be repeated"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

OPEN = sa.text("status IN ('pending', 'action_required', 'processing')")
INTENT_OPEN = sa.text("state = 'open'")


def moment(name: str, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.add_column("checkout_intents", sa.Column("parameters", sa.Text()))
    op.create_index(
        "uq_checkout_intents_user_id_kind_open",
        "checkout_intents",
        ["user_id", "kind"],
        unique=True,
        postgresql_where=INTENT_OPEN,
    )
    op.create_table(
        "items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("stock", sa.BigInteger()),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        moment("created_at", nullable=False),
        moment("updated_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
        sa.UniqueConstraint("code", name="uq_items_code"),
        sa.CheckConstraint("amount > 0", name=op.f("ck_items_amount_positive")),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_items_stock_not_negative")),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_items_currency_is_iso_4217")),
    )
    # No release wrote into payments yet, so nothing has to be filled in.
    op.add_column("payments", sa.Column("item_id", sa.Uuid(), nullable=False))
    op.add_column("payments", sa.Column("quantity", sa.Integer(), nullable=False))
    op.add_column("payments", moment("reserved_until", nullable=False))
    op.add_column("payments", moment("fulfilled_at"))
    op.add_column("payments", sa.Column("source_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.create_foreign_key("fk_payments_item_id_items", "payments", "items", ["item_id"], ["id"])
    op.create_check_constraint(op.f("ck_payments_quantity_positive"), "payments", "quantity > 0")
    op.create_index("ix_payments_reserved_until_open", "payments", ["reserved_until"], postgresql_where=OPEN)
    op.create_index(
        "uq_payments_user_id_item_id_open", "payments", ["user_id", "item_id"], unique=True, postgresql_where=OPEN
    )


def downgrade() -> None:
    # The older form says nothing of what was ordered, and this one could not be built upon such rows again.
    op.execute("DELETE FROM payments")
    op.drop_index("uq_payments_user_id_item_id_open", "payments")
    op.drop_index("ix_payments_reserved_until_open", "payments")
    op.drop_constraint("ck_payments_quantity_positive", "payments")
    op.drop_constraint("fk_payments_item_id_items", "payments")
    for name in ("item_id", "quantity", "reserved_until", "fulfilled_at", "source_version"):
        op.drop_column("payments", name)
    op.drop_table("items")
    op.drop_index("uq_checkout_intents_user_id_kind_open", "checkout_intents")
    op.drop_column("checkout_intents", "parameters")
