"""The tables of the terminal: sessions, what is needed to reach a server, and what a user's devices share."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7

LONGEST_COMMAND: Final = 8 * 1024
LONGEST_FOLDER: Final = 4 * 1024
"""PATH_MAX of Linux."""
LONGEST_VALUE: Final = 64 * 1024
"""Bytes of a value of a sync item, as it is sent."""
LONGEST_STORED_VALUE: Final = 2 * LONGEST_VALUE
"""As PostgreSQL writes it, with blanks. It also stops a number such as 1e99999, which PostgreSQL writes out."""


class SessionState(StrEnum):
    CREATED = "created"
    CONNECTING = "connecting"
    AWAITING_HOST_KEY = "awaiting_host_key"
    AWAITING_SECRET = "awaiting_secret"  # noqa: S105
    ACTIVE = "active"
    DETACHED = "detached"
    CLOSED = "closed"


class CloseReason(StrEnum):
    CLIENT = "client"
    EXIT = "exit"
    IDLE = "idle"
    EXPIRED = "expired"
    DETACHED_TOO_LONG = "detached_too_long"
    HOST_LOST = "host_lost"
    SERVER_RESTART = "server_restart"
    REVOKED = "revoked"
    ADMIN = "admin"
    ERROR = "error"


class SshAuth(StrEnum):
    """How to sign in to a server. `keyboard`: whatever it asks, such as a password and a code."""

    PASSWORD = "password"  # noqa: S105
    KEY = "key"
    KEYBOARD = "keyboard"


class HostKeySource(StrEnum):
    """Where the user accepted a host key: by a call of the API, or over the socket of a session."""

    API = "api"
    SOCKET = "socket"


def _listed(values: type[StrEnum]) -> str:
    return ", ".join(f"'{value}'" for value in values)


class TerminalSession(Base):
    """A session from its request to its end. States change by conditional updates, and `closed` is the last one.

    `last_seq`: bytes of output so far. `opened_at`: when the server let the user in. `detached_at`: since when no socket has it.
    """

    __tablename__ = "terminal_sessions"
    __table_args__ = (
        CheckConstraint(f"state IN ({_listed(SessionState)})", name="state_known"),
        CheckConstraint(f"close_reason IN ({_listed(CloseReason)})", name="close_reason_known"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_time"),
        CheckConstraint("(state = 'closed') = (close_reason IS NOT NULL)", name="closed_has_reason"),
        CheckConstraint("(state = 'detached') = (detached_at IS NOT NULL)", name="detached_has_time"),
        CheckConstraint('"rows" BETWEEN 1 AND 500 AND cols BETWEEN 1 AND 500', name="size_possible"),
        CheckConstraint("last_seq >= 0 AND bytes_in >= 0 AND bytes_out >= 0", name="counts_not_negative"),
        Index("ix_terminal_sessions_user_id_id", "user_id", "id"),
        Index("ix_terminal_sessions_profile_id", "profile_id"),
        Index("ix_terminal_sessions_open", "user_id", postgresql_where=text("state <> 'closed'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    profile_id: Mapped[UUID | None] = mapped_column(ForeignKey("ssh_profiles.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    rows: Mapped[int] = mapped_column(SmallInteger)
    cols: Mapped[int] = mapped_column(SmallInteger)
    last_seq: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    bytes_in: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    bytes_out: Mapped[int] = mapped_column(BigInteger, server_default="0", default=0)
    created_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
    detached_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    close_reason: Mapped[str | None] = mapped_column(Text)
    exit_status: Mapped[int | None] = mapped_column(Integer)


class SshKey(Base):
    """A private key, sealed for its owner and its id (auth/data_keys.py). `key_id` names the data key that sealed it.

    One that has a passphrase is sealed as it was uploaded, so nobody can use it without the passphrase, which is stored nowhere.
    """

    __tablename__ = "ssh_keys"
    __table_args__ = (
        # For the foreign key of profiles: the key is of the same user.
        UniqueConstraint("id", "user_id"),
        Index("ix_ssh_keys_user_id_id", "user_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    public_key: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text)
    has_passphrase: Mapped[bool]
    sealed: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    key_id: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class SshProfile(Base):
    """A server, and who the user is there. `host` is in canonical form (ssh/host_name.py)."""

    __tablename__ = "ssh_profiles"
    __table_args__ = (
        CheckConstraint(f"auth IN ({_listed(SshAuth)})", name="auth_known"),
        CheckConstraint("(auth = 'key') = (ssh_key_id IS NOT NULL)", name="key_if_by_key"),
        CheckConstraint("port BETWEEN 1 AND 65535", name="port_possible"),
        CheckConstraint("keepalive_seconds > 0", name="keepalive_positive"),
        # Not RESTRICT: when the user goes, both go in one statement.
        ForeignKeyConstraint(
            ["ssh_key_id", "user_id"], ["ssh_keys.id", "ssh_keys.user_id"], name="fk_ssh_profiles_ssh_key_id_ssh_keys"
        ),
        UniqueConstraint("user_id", "name"),
        Index("ix_ssh_profiles_user_id_id", "user_id", "id"),
        Index("ix_ssh_profiles_ssh_key_id", "ssh_key_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    port: Mapped[int] = mapped_column(Integer)
    username: Mapped[str] = mapped_column(Text)
    auth: Mapped[str] = mapped_column(Text)
    ssh_key_id: Mapped[UUID | None]
    terminal_type: Mapped[str] = mapped_column(Text)
    keepalive_seconds: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class SshKnownHost(Base):
    """A host key that the user accepted. While a host has one, no other key of it is accepted, of whatever algorithm.

    `key` is as SSH sends it (RFC 4253, 6.6).
    """

    __tablename__ = "ssh_known_hosts"
    __table_args__ = (
        CheckConstraint(f"source IN ({_listed(HostKeySource)})", name="source_known"),
        UniqueConstraint("user_id", "host", "port", "algorithm"),
        Index("ix_ssh_known_hosts_user_id_id", "user_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    host: Mapped[str] = mapped_column(Text)
    port: Mapped[int] = mapped_column(Integer)
    algorithm: Mapped[str] = mapped_column(Text)
    key: Mapped[bytes] = mapped_column(LargeBinary)
    fingerprint: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    accepted_at: Mapped[datetime]


class SshSeenHostKey(Base):
    """The key that a host showed last and that is not a known one. The user may accept it for ten minutes."""

    __tablename__ = "ssh_seen_host_keys"
    __table_args__ = (
        UniqueConstraint("user_id", "host", "port"),
        Index("ix_ssh_seen_host_keys_seen_at", "seen_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    host: Mapped[str] = mapped_column(Text)
    port: Mapped[int] = mapped_column(Integer)
    algorithm: Mapped[str] = mapped_column(Text)
    key: Mapped[bytes] = mapped_column(LargeBinary)
    fingerprint: Mapped[str] = mapped_column(Text)
    seen_at: Mapped[datetime]


class TerminalCommand(Base):
    """A command of the user's history. Devices make its id, so it is only unique for its user, and the same one twice is one.

    `session_id` and `profile_id` are what the device says. They are no foreign keys: a device that was offline may tell of what is
    deleted, and must not learn from a refusal which ids exist.
    """

    __tablename__ = "terminal_commands"
    __table_args__ = (
        CheckConstraint(f"octet_length(command) BETWEEN 1 AND {LONGEST_COMMAND}", name="command_length"),
        CheckConstraint(f"octet_length(cwd) <= {LONGEST_FOLDER}", name="cwd_length"),
        CheckConstraint("duration_ms >= 0", name="duration_not_negative"),
        Index("ix_terminal_commands_user_id_at_id", "user_id", "at", "id"),
        Index("ix_terminal_commands_at", "at"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID | None]
    profile_id: Mapped[UUID | None]
    command: Mapped[str] = mapped_column(Text)
    cwd: Mapped[str | None] = mapped_column(Text)
    exit_status: Mapped[int | None] = mapped_column(Integer)
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime]


class SyncItem(Base):
    """What a user's devices share. One that was deleted stays without its value, so that other devices learn of it."""

    __tablename__ = "sync_items"
    __table_args__ = (
        CheckConstraint("deleted = (value IS NULL)", name="deleted_has_no_value"),
        CheckConstraint(f"octet_length(value::text) <= {LONGEST_STORED_VALUE}", name="value_length"),
        UniqueConstraint("user_id", "revision"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    revision: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[bool]
    updated_at: Mapped[datetime]


class SyncHead(Base):
    """A user's latest revision. It is raised under its lock, so no reader sees a revision before an earlier one is committed."""

    __tablename__ = "sync_heads"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
