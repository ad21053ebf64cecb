"""Terminal sessions, SSH profiles, keys and known hosts, command history and sync"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"


def _user_id(table: str) -> tuple[sa.Column, sa.ForeignKeyConstraint]:
    return (
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f(f"fk_{table}_user_id_users"), ondelete="CASCADE"),
    )


def _time(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "ssh_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_user_id("ssh_keys"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("has_passphrase", sa.Boolean(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        _time("created_at"),
        _time("last_used_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_keys")),
        sa.UniqueConstraint("id", "user_id", name=op.f("uq_ssh_keys_id_user_id")),
    )
    op.create_index("ix_ssh_keys_user_id_id", "ssh_keys", ["user_id", "id"])
    op.create_table(
        "ssh_profiles",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_user_id("ssh_profiles"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("auth", sa.Text(), nullable=False),
        sa.Column("ssh_key_id", sa.Uuid()),
        sa.Column("terminal_type", sa.Text(), nullable=False),
        sa.Column("keepalive_seconds", sa.SmallInteger(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        _time("last_used_at", nullable=True),
        sa.CheckConstraint("auth IN ('password', 'key', 'keyboard')", name=op.f("ck_ssh_profiles_auth_known")),
        sa.CheckConstraint("(auth = 'key') = (ssh_key_id IS NOT NULL)", name=op.f("ck_ssh_profiles_key_if_by_key")),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_ssh_profiles_port_possible")),
        sa.CheckConstraint("keepalive_seconds > 0", name=op.f("ck_ssh_profiles_keepalive_positive")),
        sa.ForeignKeyConstraint(
            ["ssh_key_id", "user_id"],
            ["ssh_keys.id", "ssh_keys.user_id"],
            name=op.f("fk_ssh_profiles_ssh_key_id_ssh_keys"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_profiles")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_ssh_profiles_user_id_name")),
    )
    op.create_index("ix_ssh_profiles_user_id_id", "ssh_profiles", ["user_id", "id"])
    op.create_index("ix_ssh_profiles_ssh_key_id", "ssh_profiles", ["ssh_key_id"])
    op.create_table(
        "ssh_known_hosts",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_user_id("ssh_known_hosts"),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        _time("accepted_at"),
        sa.CheckConstraint("source IN ('api', 'socket')", name=op.f("ck_ssh_known_hosts_source_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_known_hosts")),
        sa.UniqueConstraint(
            "user_id", "host", "port", "algorithm", name=op.f("uq_ssh_known_hosts_user_id_host_port_algorithm")
        ),
    )
    op.create_index("ix_ssh_known_hosts_user_id_id", "ssh_known_hosts", ["user_id", "id"])
    op.create_table(
        "ssh_seen_host_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_user_id("ssh_seen_host_keys"),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        _time("seen_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_seen_host_keys")),
        sa.UniqueConstraint("user_id", "host", "port", name=op.f("uq_ssh_seen_host_keys_user_id_host_port")),
    )
    op.create_index("ix_ssh_seen_host_keys_seen_at", "ssh_seen_host_keys", ["seen_at"])
    op.create_table(
        "terminal_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_user_id("terminal_sessions"),
        sa.Column("profile_id", sa.Uuid()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("rows", sa.SmallInteger(), nullable=False),
        sa.Column("cols", sa.SmallInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes_in", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), server_default="0", nullable=False),
        _time("created_at"),
        _time("opened_at", nullable=True),
        _time("detached_at", nullable=True),
        _time("closed_at", nullable=True),
        sa.Column("close_reason", sa.Text()),
        sa.Column("exit_status", sa.Integer()),
        sa.CheckConstraint(
            "state IN ('created', 'connecting', 'awaiting_host_key', 'awaiting_secret', 'active', 'detached', 'closed')",
            name=op.f("ck_terminal_sessions_state_known"),
        ),
        sa.CheckConstraint(
            "close_reason IN ('client', 'exit', 'idle', 'expired', 'detached_too_long', 'host_lost', 'server_restart',"
            " 'revoked', 'admin', 'error')",
            name=op.f("ck_terminal_sessions_close_reason_known"),
        ),
        sa.CheckConstraint(
            "(state = 'closed') = (closed_at IS NOT NULL)", name=op.f("ck_terminal_sessions_closed_has_time")
        ),
        sa.CheckConstraint(
            "(state = 'closed') = (close_reason IS NOT NULL)", name=op.f("ck_terminal_sessions_closed_has_reason")
        ),
        sa.CheckConstraint(
            "(state = 'detached') = (detached_at IS NOT NULL)", name=op.f("ck_terminal_sessions_detached_has_time")
        ),
        sa.CheckConstraint(
            '"rows" BETWEEN 1 AND 500 AND cols BETWEEN 1 AND 500', name=op.f("ck_terminal_sessions_size_possible")
        ),
        sa.CheckConstraint(
            "last_seq >= 0 AND bytes_in >= 0 AND bytes_out >= 0",
            name=op.f("ck_terminal_sessions_counts_not_negative"),
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["ssh_profiles.id"],
            name=op.f("fk_terminal_sessions_profile_id_ssh_profiles"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terminal_sessions")),
    )
    op.create_index("ix_terminal_sessions_user_id_id", "terminal_sessions", ["user_id", "id"])
    op.create_index("ix_terminal_sessions_profile_id", "terminal_sessions", ["profile_id"])
    op.create_index(
        "ix_terminal_sessions_open", "terminal_sessions", ["user_id"], postgresql_where=sa.text("state <> 'closed'")
    )
    op.create_table(
        "terminal_commands",
        *_user_id("terminal_commands"),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid()),
        sa.Column("profile_id", sa.Uuid()),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("cwd", sa.Text()),
        sa.Column("exit_status", sa.Integer()),
        sa.Column("duration_ms", sa.BigInteger()),
        _time("at"),
        sa.CheckConstraint(
            "octet_length(command) BETWEEN 1 AND 8192", name=op.f("ck_terminal_commands_command_length")
        ),
        sa.CheckConstraint("octet_length(cwd) <= 4096", name=op.f("ck_terminal_commands_cwd_length")),
        sa.CheckConstraint("duration_ms >= 0", name=op.f("ck_terminal_commands_duration_not_negative")),
        sa.PrimaryKeyConstraint("user_id", "id", name=op.f("pk_terminal_commands")),
    )
    op.create_index("ix_terminal_commands_user_id_at_id", "terminal_commands", ["user_id", "at", "id"])
    op.create_index("ix_terminal_commands_at", "terminal_commands", ["at"])
    op.create_table(
        "sync_items",
        *_user_id("sync_items"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", JSONB(none_as_null=True)),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        _time("updated_at"),
        sa.CheckConstraint("deleted = (value IS NULL)", name=op.f("ck_sync_items_deleted_has_no_value")),
        sa.CheckConstraint("octet_length(value::text) <= 131072", name=op.f("ck_sync_items_value_length")),
        sa.PrimaryKeyConstraint("user_id", "kind", "key", name=op.f("pk_sync_items")),
        sa.UniqueConstraint("user_id", "revision", name=op.f("uq_sync_items_user_id_revision")),
    )
    op.create_table(
        "sync_heads",
        *_user_id("sync_heads"),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_sync_heads")),
    )


def downgrade() -> None:
    for table in (
        "sync_heads",
        "sync_items",
        "terminal_commands",
        "terminal_sessions",
        "ssh_seen_host_keys",
        "ssh_known_hosts",
        "ssh_profiles",
        "ssh_keys",
    ):
        op.drop_table(table)
