"""What is sold, what the providers told us, and what came of it"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE SEQUENCE billing_fetch_versions")
    op.create_table(
        "billing_counts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_billing_counts")),
    )
    op.create_table(
        "billing_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text()),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), server_default="received", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "state IN ('received', 'done', 'ignored', 'dead')", name=op.f("ck_billing_events_state_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_events")),
        sa.UniqueConstraint("provider", "external_id", name=op.f("uq_billing_events_provider_external_id")),
    )
    op.create_index(
        "ix_billing_events_next_attempt_at_received",
        "billing_events",
        ["next_attempt_at"],
        postgresql_where=sa.text("state = 'received'"),
    )
    op.create_table(
        "entitlement_ledger",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("from_tier", sa.Text(), nullable=False),
        sa.Column("to_tier", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("source", sa.Text()),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entitlement_ledger")),
    )
    op.create_index("ix_entitlement_ledger_user_id_id", "entitlement_ledger", ["user_id", "id"])
    op.create_table(
        "items",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("stock", sa.BigInteger()),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_items_currency_is_iso_4217")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_items_amount_positive")),
        sa.CheckConstraint("stock >= 0", name=op.f("ck_items_stock_not_negative")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
        sa.UniqueConstraint("code", name=op.f("uq_items_code")),
    )
    op.create_table(
        "reconcile_cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_reconcile_cursors")),
    )
    op.create_table(
        "billing_customers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("stripe_customer_id", sa.Text()),
        sa.Column("apple_account_token", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_billing_customers_user_id_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_customers")),
        sa.UniqueConstraint("apple_account_token", name=op.f("uq_billing_customers_apple_account_token")),
        sa.UniqueConstraint("stripe_customer_id", name=op.f("uq_billing_customers_stripe_customer_id")),
        sa.UniqueConstraint("user_id", name=op.f("uq_billing_customers_user_id")),
    )
    op.create_table(
        "checkout_intents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text()),
        sa.Column("billing_cycle", sa.Text()),
        sa.Column("parameters", sa.Text()),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("external_id", sa.Text()),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("asked_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'done', 'failed', 'expired')", name=op.f("ck_checkout_intents_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_checkout_intents_user_id_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkout_intents")),
    )
    op.create_index(
        "ix_checkout_intents_created_at_open",
        "checkout_intents",
        ["created_at"],
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_checkout_intents_user_id", "checkout_intents", ["user_id"])
    op.create_index(
        "uq_checkout_intents_user_id_kind_open",
        "checkout_intents",
        ["user_id", "kind"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text()),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("purchase_kind", sa.Text(), nullable=False),
        sa.Column("purchase_id", sa.Uuid(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("reserved_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("fulfilled_at", sa.DateTime(timezone=True)),
        sa.Column("source_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("refunded_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_payments_currency_is_iso_4217")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payments_amount_positive")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_payments_quantity_positive")),
        sa.CheckConstraint("refunded_amount BETWEEN 0 AND amount", name=op.f("ck_payments_refund_within_amount")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_payments_user_id_users"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payments")),
        sa.UniqueConstraint("provider", "external_id", name=op.f("uq_payments_provider_external_id")),
    )
    op.create_index(
        "ix_payments_reserved_until_open",
        "payments",
        ["reserved_until"],
        postgresql_where=sa.text("status IN ('pending', 'action_required', 'processing')"),
    )
    op.create_index("ix_payments_user_id", "payments", ["user_id"])
    op.create_index(
        "uq_payments_user_id_purchase_open",
        "payments",
        ["user_id", "purchase_kind", "purchase_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('pending', 'action_required', 'processing')"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("bound_at", sa.DateTime(timezone=True)),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text()),
        sa.Column("stripe_subscription_id", sa.Text()),
        sa.Column("apple_transaction_id", sa.Text()),
        sa.Column("product_id", sa.Text()),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("pending_tier", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("provider_status", sa.Text()),
        sa.Column("trial", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True)),
        sa.Column("grace_end", sa.DateTime(timezone=True)),
        sa.Column("payment_failed_at", sa.DateTime(timezone=True)),
        sa.Column("cancel_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("source_epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("source_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("renewal_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "CASE provider WHEN 'stripe' THEN stripe_subscription_id IS NOT NULL AND apple_transaction_id IS NULL WHEN 'apple' THEN apple_transaction_id IS NOT NULL AND stripe_subscription_id IS NULL AND environment IS NOT NULL WHEN 'manual' THEN stripe_subscription_id IS NULL AND apple_transaction_id IS NULL ELSE false END",
            name=op.f("ck_subscriptions_one_provider"),
        ),
        sa.CheckConstraint(
            "tier IN ('free', 'plus', 'pro', 'team', 'enterprise')", name=op.f("ck_subscriptions_tier_known")
        ),
        sa.CheckConstraint("user_id IS NULL OR bound_at IS NOT NULL", name=op.f("ck_subscriptions_owner_was_bound")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_subscriptions_user_id_users"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint(
            "environment", "apple_transaction_id", name=op.f("uq_subscriptions_environment_apple_transaction_id")
        ),
        sa.UniqueConstraint("stripe_subscription_id", name=op.f("uq_subscriptions_stripe_subscription_id")),
    )
    op.create_index("ix_subscriptions_user_id", "subscriptions", ["user_id"])
    op.create_index(
        "uq_subscriptions_manual_user_id",
        "subscriptions",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("provider = 'manual'"),
    )
    op.execute("""
        CREATE TRIGGER entitlement_ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entitlement_ledger
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def downgrade() -> None:
    for table in (
        "subscriptions",
        "payments",
        "checkout_intents",
        "billing_customers",
        "reconcile_cursors",
        "items",
        "entitlement_ledger",
        "billing_events",
        "billing_counts",
    ):
        op.drop_table(table)
    op.execute("DROP SEQUENCE billing_fetch_versions")
