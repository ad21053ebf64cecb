"""Billing periods, credits, and which statement a charge stands in"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ONCE_ON_A_STATEMENT = """
CREATE FUNCTION once_on_a_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.statement_id IS NULL AND NEW.statement_id IS NOT NULL THEN
        OLD.statement_id := NEW.statement_id;
    END IF;
    IF NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""
"""A charge or a credit is put on one statement, and nothing else of it changes."""

ONCE_ON_A_STATEMENT_OR_FORGOTTEN = """
CREATE FUNCTION once_on_a_statement_or_forgotten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.statement_id IS NULL AND NEW.statement_id IS NOT NULL THEN
        OLD.statement_id := NEW.statement_id;
    END IF;
    IF NEW.reason IS NULL THEN
        OLD.reason := NULL;
    END IF;
    IF NEW IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""
"""Of a credit the reason goes with the account, for it is a person's words about a person."""


def upgrade() -> None:
    op.create_table(
        "billing_periods",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("charges_micros", sa.BigInteger(), nullable=False),
        sa.Column("credits_cents", sa.BigInteger(), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("paid_at", sa.DateTime(timezone=True)),
        sa.Column("payment_id", sa.Uuid()),
        sa.CheckConstraint(
            "state IN ('open', 'due', 'paid', 'overdue', 'waived')", name=op.f("ck_billing_periods_state_known")
        ),
        sa.CheckConstraint("period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'", name=op.f("ck_billing_periods_period_is_a_month")),
        sa.CheckConstraint(
            "requests >= 0 AND charges_micros >= 0 AND credits_cents >= 0 AND amount_cents >= 0",
            name=op.f("ck_billing_periods_nothing_negative"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('due', 'overdue') OR (amount_cents > 0 AND due_at IS NOT NULL)",
            name=op.f("ck_billing_periods_due_at_a_time"),
        ),
        sa.CheckConstraint("currency ~ '^[a-z]{3}$'", name=op.f("ck_billing_periods_currency_is_iso_4217")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_periods")),
        sa.UniqueConstraint("user_id", "period", name=op.f("uq_billing_periods_user_id_period")),
    )
    op.create_index(
        "ix_billing_periods_state_due_at_unpaid",
        "billing_periods",
        ["state", "due_at"],
        postgresql_where=sa.text("state IN ('due', 'overdue')"),
    )
    op.create_table(
        "billing_credits",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("carried_from", sa.Uuid()),
        sa.Column("statement_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("cents > 0", name=op.f("ck_billing_credits_cents_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_credits")),
    )
    op.create_index("ix_billing_credits_user_id", "billing_credits", ["user_id"])
    op.create_index(
        "uq_billing_credits_user_id_cents_reason_waiting",
        "billing_credits",
        ["user_id", "cents", "reason"],
        unique=True,
        postgresql_where=sa.text("statement_id IS NULL AND carried_from IS NULL"),
    )
    op.add_column("charges", sa.Column("statement_id", sa.Uuid()))
    op.create_index(
        "ix_charges_user_id_window_date_waiting",
        "charges",
        ["user_id", "window_date"],
        postgresql_where=sa.text("statement_id IS NULL"),
    )
    op.create_index(
        "ix_charges_statement_id_request_id",
        "charges",
        ["statement_id", "request_id"],
        postgresql_where=sa.text("statement_id IS NOT NULL"),
    )
    op.execute(ONCE_ON_A_STATEMENT)
    op.execute(ONCE_ON_A_STATEMENT_OR_FORGOTTEN)
    for table, function in (
        ("charges", "once_on_a_statement"),
        ("billing_credits", "once_on_a_statement_or_forgotten"),
    ):
        op.execute(f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}")
        op.execute(f"""
            CREATE TRIGGER {table}_append_only BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()
        """)
        op.execute(f"""
            CREATE TRIGGER {table}_never_deleted BEFORE DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """)


def downgrade() -> None:
    op.drop_table("billing_credits")
    op.drop_table("billing_periods")
    op.execute("DROP TRIGGER charges_never_deleted ON charges")
    op.execute("DROP TRIGGER charges_append_only ON charges")
    op.execute("DROP FUNCTION once_on_a_statement_or_forgotten()")
    op.execute("DROP FUNCTION once_on_a_statement()")
    op.execute("""
        CREATE TRIGGER charges_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON charges
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)
    op.drop_index("ix_charges_statement_id_request_id", "charges")
    op.drop_index("ix_charges_user_id_window_date_waiting", "charges")
    op.drop_column("charges", "statement_id")
