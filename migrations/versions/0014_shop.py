"""The shop: products, stock, orders, refunds"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

revision = "0014"
down_revision = "0013"

SEARCH = "to_tsvector('simple'::regconfig, ((name || ' '::text) || description))"


def moment(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "shop_products",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("category", sa.Text()),
        sa.Column("image_url", sa.Text()),
        sa.Column("sku", sa.Text()),
        sa.Column("ships", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("stock_quantity", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        moment("created_at"),
        moment("updated_at"),
        sa.Column("search", TSVECTOR(), sa.Computed(SEARCH, persisted=True), nullable=False),
        sa.CheckConstraint("price_minor >= 0", name=op.f("ck_shop_products_price_not_negative")),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_shop_products_currency_is_iso_4217")),
        sa.CheckConstraint("stock_quantity >= 0", name=op.f("ck_shop_products_stock_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop_products")),
        sa.UniqueConstraint("sku", name=op.f("uq_shop_products_sku")),
    )
    op.create_index("ix_shop_products_search", "shop_products", ["search"], postgresql_using="gin")
    op.create_index("ix_shop_products_category_id", "shop_products", ["category", "id"])
    op.create_index("ix_shop_products_price_minor_id", "shop_products", ["price_minor", "id"])
    op.create_index("ix_shop_products_name_id", "shop_products", ["name", "id"])
    op.create_table(
        "shop_orders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Uuid()),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("shipping_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("ship_to", JSONB()),
        sa.Column("note", sa.Text()),
        sa.Column("tracking", sa.Text()),
        moment("reserved_until"),
        moment("placed_at"),
        moment("confirmed_at", nullable=True),
        moment("shipped_at", nullable=True),
        moment("delivered_at", nullable=True),
        moment("cancelled_at", nullable=True),
        sa.Column("cancel_reason", sa.Text()),
        moment("updated_at"),
        sa.CheckConstraint(
            "status IN ('pending', 'confirmed', 'shipped', 'delivered', 'cancelled')",
            name=op.f("ck_shop_orders_status_known"),
        ),
        sa.CheckConstraint("total_minor >= 0", name=op.f("ck_shop_orders_total_not_negative")),
        sa.CheckConstraint(
            "shipping_minor BETWEEN 0 AND total_minor", name=op.f("ck_shop_orders_shipping_within_total")
        ),
        sa.CheckConstraint(
            "refunded_minor BETWEEN 0 AND total_minor", name=op.f("ck_shop_orders_refunded_within_total")
        ),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_shop_orders_currency_is_iso_4217")),
        sa.CheckConstraint(
            "number ~ '^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$'", name=op.f("ck_shop_orders_number_form")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_shop_orders_user_id_users"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_shop_orders_payment_id_payments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop_orders")),
        sa.UniqueConstraint("number", name=op.f("uq_shop_orders_number")),
    )
    op.create_index("ix_shop_orders_user_id_id", "shop_orders", ["user_id", "id"])
    op.create_index(
        "ix_shop_orders_user_id_pending", "shop_orders", ["user_id"], postgresql_where=sa.text("status = 'pending'")
    )
    op.create_index("ix_shop_orders_status_id", "shop_orders", ["status", "id"])
    op.create_index("ix_shop_orders_payment_id", "shop_orders", ["payment_id"])
    op.create_index(
        "ix_shop_orders_reserved_until_pending",
        "shop_orders",
        ["reserved_until"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "shop_order_items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("refunded_quantity", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("unit_price_minor >= 0", name=op.f("ck_shop_order_items_price_not_negative")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_shop_order_items_quantity_positive")),
        sa.CheckConstraint(
            "refunded_quantity BETWEEN 0 AND quantity", name=op.f("ck_shop_order_items_refunded_within_quantity")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["shop_orders.id"], name=op.f("fk_shop_order_items_order_id_shop_orders")
        ),
        sa.ForeignKeyConstraint(
            ["product_id"], ["shop_products.id"], name=op.f("fk_shop_order_items_product_id_shop_products")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop_order_items")),
        sa.UniqueConstraint("order_id", "product_id", name=op.f("uq_shop_order_items_order_id_product_id")),
    )
    op.create_index("ix_shop_order_items_product_id", "shop_order_items", ["product_id"])
    op.create_table(
        "shop_refunds",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("stripe_refund_id", sa.Text()),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("items", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        moment("created_at"),
        moment("done_at", nullable=True),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_shop_refunds_amount_positive")),
        sa.CheckConstraint("state IN ('requested', 'done', 'failed')", name=op.f("ck_shop_refunds_state_known")),
        sa.ForeignKeyConstraint(["order_id"], ["shop_orders.id"], name=op.f("fk_shop_refunds_order_id_shop_orders")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop_refunds")),
        sa.UniqueConstraint("stripe_refund_id", name=op.f("uq_shop_refunds_stripe_refund_id")),
    )
    op.create_index("ix_shop_refunds_order_id", "shop_refunds", ["order_id"])
    op.create_index(
        "ix_shop_refunds_created_at_requested",
        "shop_refunds",
        ["created_at"],
        postgresql_where=sa.text("state = 'requested'"),
    )
    op.create_table(
        "stock_movements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("delta", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("order_item_id", sa.Uuid()),
        sa.Column("refund_id", sa.Uuid()),
        sa.Column("actor_id", sa.Uuid()),
        moment("at"),
        sa.CheckConstraint("delta <> 0", name=op.f("ck_stock_movements_delta_not_zero")),
        sa.CheckConstraint(
            "kind IN ('initial', 'adjust', 'count', 'reserve', 'release', 'return')",
            name=op.f("ck_stock_movements_kind_known"),
        ),
        sa.CheckConstraint(
            "(kind IN ('reserve', 'release', 'return')) = (order_item_id IS NOT NULL)",
            name=op.f("ck_stock_movements_line_named"),
        ),
        sa.CheckConstraint("(kind = 'return') = (refund_id IS NOT NULL)", name=op.f("ck_stock_movements_refund_named")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["shop_products.id"], name=op.f("fk_stock_movements_product_id_shop_products")
        ),
        sa.ForeignKeyConstraint(
            ["order_item_id"], ["shop_order_items.id"], name=op.f("fk_stock_movements_order_item_id_shop_order_items")
        ),
        sa.ForeignKeyConstraint(
            ["refund_id"], ["shop_refunds.id"], name=op.f("fk_stock_movements_refund_id_shop_refunds")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_movements")),
        sa.UniqueConstraint("refund_id", "order_item_id", name=op.f("uq_stock_movements_refund_id_order_item_id")),
    )
    op.create_index("ix_stock_movements_product_id_id", "stock_movements", ["product_id", "id"])
    op.create_index(
        "uq_stock_movements_order_item_id_kind",
        "stock_movements",
        ["order_item_id", "kind"],
        unique=True,
        postgresql_where=sa.text("kind IN ('reserve', 'release')"),
    )
    op.execute("""
        CREATE TRIGGER stock_movements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_movements
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)
    op.create_table(
        "shop_order_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column("from_status", sa.Text()),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("reason", sa.Text()),
        moment("at"),
        sa.CheckConstraint(
            "actor IN ('buyer', 'staff', 'payment', 'system')", name=op.f("ck_shop_order_events_actor_known")
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["shop_orders.id"], name=op.f("fk_shop_order_events_order_id_shop_orders")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shop_order_events")),
    )
    op.create_index("ix_shop_order_events_order_id_id", "shop_order_events", ["order_id", "id"])


def downgrade() -> None:
    for table in (
        "shop_order_events",
        "stock_movements",
        "shop_refunds",
        "shop_order_items",
        "shop_orders",
        "shop_products",
    ):
        op.drop_table(table)
