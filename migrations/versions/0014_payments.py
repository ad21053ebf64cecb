"""Payments: subscriptions of every provider, the inbox, the ledger, intents, one-off payments"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

PROVIDERS = (
    "CASE provider"
    " WHEN 'stripe' THEN stripe_subscription_id IS NOT NULL AND apple_transaction_id IS NULL"
    " WHEN 'apple' THEN apple_transaction_id IS NOT NULL AND stripe_subscription_id IS NULL AND environment IS NOT NULL"
    " WHEN 'manual' THEN stripe_subscription_id IS NULL AND apple_transaction_id IS NULL"
    " ELSE false END"
)

FILL_IN = """
UPDATE subscriptions SET
    provider = CASE WHEN stripe_subscription_id IS NULL THEN 'apple' ELSE 'stripe' END,
    environment = CASE WHEN stripe_subscription_id IS NULL THEN 'Production' ELSE 'live' END,
    bound_at = created_at
"""

ONLY_ADDED = """
CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entitlement_ledger is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER entitlement_ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entitlement_ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change();
"""


def moment(name: str, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def words(name: str, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=nullable)


def owner(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="SET NULL")


def upgrade() -> None:
    extend_subscriptions()
    op.create_index(
        "ix_users_tier_expires_at_paid", "users", ["tier_expires_at"], postgresql_where=sa.text("tier <> 'free'")
    )
    op.execute("CREATE SEQUENCE billing_fetch_versions")
    op.create_table(
        "billing_customers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        words("stripe_customer_id"),
        sa.Column("apple_account_token", sa.Uuid(), nullable=False),
        moment("created_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_billing_customers"),
        owner("billing_customers"),
        sa.UniqueConstraint("user_id", name="uq_billing_customers_user_id"),
        sa.UniqueConstraint("stripe_customer_id", name="uq_billing_customers_stripe_customer_id"),
        sa.UniqueConstraint("apple_account_token", name="uq_billing_customers_apple_account_token"),
    )
    op.create_table(
        "billing_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        words("provider", nullable=False),
        words("external_id", nullable=False),
        words("kind", nullable=False),
        words("environment"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        moment("received_at", nullable=False),
        sa.Column("state", sa.Text(), server_default="received", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        moment("next_attempt_at", nullable=False),
        words("last_error"),
        moment("settled_at"),
        sa.PrimaryKeyConstraint("id", name="pk_billing_events"),
        sa.UniqueConstraint("provider", "external_id", name="uq_billing_events_provider_external_id"),
        sa.CheckConstraint(
            "state IN ('received', 'done', 'ignored', 'dead')", name=op.f("ck_billing_events_state_known")
        ),
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
        words("from_tier", nullable=False),
        words("to_tier", nullable=False),
        moment("expires_at"),
        words("source"),
        words("cause", nullable=False),
        moment("at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_entitlement_ledger"),
    )
    op.create_index("ix_entitlement_ledger_user_id_id", "entitlement_ledger", ["user_id", "id"])
    op.execute(ONLY_ADDED)
    op.create_table(
        "checkout_intents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        words("provider", nullable=False),
        words("kind", nullable=False),
        words("tier"),
        words("billing_cycle"),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        words("external_id"),
        words("url"),
        moment("expires_at"),
        moment("created_at", nullable=False),
        moment("updated_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_checkout_intents"),
        owner("checkout_intents"),
        sa.CheckConstraint(
            "state IN ('open', 'done', 'failed', 'expired')", name=op.f("ck_checkout_intents_state_known")
        ),
    )
    op.create_index("ix_checkout_intents_user_id", "checkout_intents", ["user_id"])
    op.create_index(
        "ix_checkout_intents_created_at_open",
        "checkout_intents",
        ["created_at"],
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "payments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        words("provider", nullable=False),
        words("external_id"),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        words("currency", nullable=False),
        sa.Column("refunded_amount", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        words("status", nullable=False),
        moment("created_at", nullable=False),
        moment("updated_at", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        owner("payments"),
        sa.UniqueConstraint("provider", "external_id", name="uq_payments_provider_external_id"),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payments_amount_positive")),
        sa.CheckConstraint("refunded_amount BETWEEN 0 AND amount", name=op.f("ck_payments_refund_within_amount")),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_payments_currency_is_iso_4217")),
    )
    op.create_index("ix_payments_user_id", "payments", ["user_id"])
    op.create_table(
        "reconcile_cursors",
        words("name", nullable=False),
        words("position", nullable=False),
        moment("updated_at", nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_reconcile_cursors"),
    )
    op.create_table(
        "billing_counts",
        words("name", nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        moment("last_at", nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_billing_counts"),
    )


def extend_subscriptions() -> None:
    """Rows are there only after a downgrade. They keep their owners; the rest is fetched anew by reconciling."""
    for name in ("provider", "environment", "product_id", "pending_tier", "provider_status"):
        op.add_column("subscriptions", words(name))
    op.add_column("subscriptions", sa.Column("trial", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    for name in ("bound_at", "period_end", "grace_end", "payment_failed_at", "cancel_at", "revoked_at"):
        op.add_column("subscriptions", moment(name))
    for name in ("source_epoch", "source_version", "renewal_version"):
        op.add_column("subscriptions", sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.execute(FILL_IN)
    op.alter_column("subscriptions", "provider", nullable=False)
    op.alter_column("subscriptions", "user_id", nullable=True)
    op.drop_constraint("fk_subscriptions_user_id_users", "subscriptions")
    op.create_foreign_key(
        "fk_subscriptions_user_id_users", "subscriptions", "users", ["user_id"], ["id"], ondelete="SET NULL"
    )
    op.drop_constraint("uq_subscriptions_apple_transaction_id", "subscriptions")
    op.create_unique_constraint(
        "uq_subscriptions_environment_apple_transaction_id", "subscriptions", ["environment", "apple_transaction_id"]
    )
    op.create_check_constraint(op.f("ck_subscriptions_one_provider"), "subscriptions", PROVIDERS)
    op.create_check_constraint(
        op.f("ck_subscriptions_owner_was_bound"), "subscriptions", "user_id IS NULL OR bound_at IS NOT NULL"
    )
    op.create_index(
        "uq_subscriptions_manual_user_id",
        "subscriptions",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("provider = 'manual'"),
    )


def downgrade() -> None:
    for table in (
        "billing_counts",
        "reconcile_cursors",
        "payments",
        "checkout_intents",
        "entitlement_ledger",
        "billing_events",
        "billing_customers",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_ledger_change()")
    op.execute("DROP SEQUENCE billing_fetch_versions")
    op.drop_index("ix_users_tier_expires_at_paid", "users")
    # The older form has no room for what has no owner, was granted by hand, or is the same id of another environment.
    op.execute("DELETE FROM subscriptions WHERE user_id IS NULL OR provider = 'manual' OR environment = 'Sandbox'")
    op.drop_index("uq_subscriptions_manual_user_id", "subscriptions")
    op.drop_constraint("ck_subscriptions_owner_was_bound", "subscriptions")
    op.drop_constraint("ck_subscriptions_one_provider", "subscriptions")
    op.drop_constraint("uq_subscriptions_environment_apple_transaction_id", "subscriptions")
    op.create_unique_constraint("uq_subscriptions_apple_transaction_id", "subscriptions", ["apple_transaction_id"])
    op.drop_constraint("fk_subscriptions_user_id_users", "subscriptions")
    op.create_foreign_key(
        "fk_subscriptions_user_id_users", "subscriptions", "users", ["user_id"], ["id"], ondelete="CASCADE"
    )
    op.alter_column("subscriptions", "user_id", nullable=False)
    for name in (
        "provider environment product_id pending_tier provider_status trial bound_at period_end grace_end"
        " payment_failed_at cancel_at revoked_at source_epoch source_version renewal_version"
    ).split():
        op.drop_column("subscriptions", name)
