"""What leaves with an account: authorizations at Apple, addresses in the audit log, arguments of jobs that failed"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "apple_refresh_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("identity_id", sa.Uuid()),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("sealed_token", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_apple_refresh_tokens"),
        sa.ForeignKeyConstraint(
            ["identity_id"],
            ["identities.id"],
            name="fk_apple_refresh_tokens_identity_id_identities",
            ondelete="SET NULL",
        ),
        sa.UniqueConstraint("identity_id", "client_id", name="uq_apple_refresh_tokens_identity_id_client_id"),
    )
    op.create_index(
        "ix_apple_refresh_tokens_created_at_let_go",
        "apple_refresh_tokens",
        ["created_at"],
        postgresql_where=sa.text("identity_id IS NULL"),
    )
    op.create_index(
        "ix_security_events_actor_id",
        "security_events",
        ["actor_id"],
        postgresql_where=sa.text("actor_id IS NOT NULL"),
    )
    op.execute("""
        CREATE FUNCTION forget_origin_alone() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            forgotten security_events := OLD;
        BEGIN
            forgotten.ip := NULL;
            forgotten.user_agent := NULL;
            IF NEW IS DISTINCT FROM forgotten THEN
                forgotten.detail := OLD.detail - 'reason';
                IF NEW IS DISTINCT FROM forgotten THEN
                    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
                END IF;
            END IF;
            RETURN NEW;
        END $$
    """)
    op.execute("DROP TRIGGER security_events_append_only ON security_events")
    op.execute("""
        CREATE TRIGGER security_events_append_only BEFORE UPDATE ON security_events
        FOR EACH ROW EXECUTE FUNCTION forget_origin_alone()
    """)
    op.execute("""
        UPDATE procrastinate_jobs SET args = '{}'
        WHERE status = 'failed' AND task_name IN ('send_email', 'send_requested_email')
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER security_events_append_only ON security_events")
    op.execute("""
        CREATE TRIGGER security_events_append_only BEFORE UPDATE ON security_events
        FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
    op.execute("DROP FUNCTION forget_origin_alone()")
    op.drop_index("ix_security_events_actor_id", table_name="security_events")
    op.drop_table("apple_refresh_tokens")
