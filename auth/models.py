"""The tables that everything in accounts stands on: users and what can act for them: sessions, API keys, linked identities."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auth.principal import Role
from auth.tiers import Tier
from database.base import Base, uuid7

TIERS = ", ".join(f"'{tier}'" for tier in Tier)
ROLES = ", ".join(f"'{role}'" for role in Role)


class User(Base):
    """One account.

    `email` is the address as it is written to; `email_key` is what makes it unique. `state_version` rises with every
    change of what a request's permission hangs on (see auth/account_state.py). `tier` is written by payments alone.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(f"tier IN ({TIERS})", name="tier_known"),
        CheckConstraint(f"role IN ({ROLES})", name="role_known"),
        CheckConstraint("username ~ '^[a-z0-9][a-z0-9._-]{2,31}$'", name="username_form"),
        Index("ix_users_delete_after", "delete_after", postgresql_where=text("delete_after IS NOT NULL")),
        Index("ix_users_tier_expires_at_paid", "tier_expires_at", postgresql_where=text("tier <> 'free'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    email: Mapped[str] = mapped_column(Text)
    email_key: Mapped[str] = mapped_column(Text, unique=True)
    username: Mapped[str | None] = mapped_column(Text, unique=True)
    """Always in lower case. Nobody signs in with it."""
    password_hash: Mapped[str | None] = mapped_column(Text)
    tier: Mapped[str] = mapped_column(Text, server_default="free")
    tier_expires_at: Mapped[datetime | None]
    tier_source: Mapped[str | None] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text, server_default="user")
    display_name: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_verified: Mapped[bool] = mapped_column(server_default=text("false"))
    state_version: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]
    delete_after: Mapped[datetime | None]
    """The owner closed the account, and from then on it may be purged. It is disabled meanwhile."""


class AuthSession(Base):
    """One signed-in device. Its refresh token is computed from this row and a key, and stored nowhere.

    `generation` counts rotations. `rotation_key_hash` is the SHA-256 of the Idempotency-Key of the last rotation.
    `ip` is where it was opened, `ip_last` where it was refreshed last.
    """

    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_user_id_live", "user_id", postgresql_where=text("revoked_at IS NULL")),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    generation: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    rotated_at: Mapped[datetime | None]
    rotation_key_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    auth_time: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    idle_expires_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    remember: Mapped[bool]
    revoked_at: Mapped[datetime | None]
    revoke_reason: Mapped[str | None] = mapped_column(Text)
    device_name: Mapped[str | None] = mapped_column(Text)
    user_agent: Mapped[str | None] = mapped_column(Text)
    ip: Mapped[str | None] = mapped_column(Text)
    ip_last: Mapped[str | None] = mapped_column(Text)


class ApiKey(Base):
    """A credential for programs, which acts for its user within its scopes.

    `token_hash` is the SHA-256 of the whole token and `start` its first characters, for people to tell keys apart.
    `allowed_networks` empty: from anywhere. `expires_at` NULL: no end. `replaced_by_id` names the successor of a key that was
    rotated. `seen_networks` are those it was used from, the newest last.
    """

    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_user_id", "user_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    start: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    allowed_networks: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    replaced_by_id: Mapped[uuid.UUID | None]
    last_used_at: Mapped[datetime | None]
    last_used_ip: Mapped[str | None] = mapped_column(Text)
    seen_networks: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))


class Identity(Base):
    """One account at Apple or Google that signs in to one of ours.

    The provider's subject is the key, never the e-mail address: an address changes hands (OWASP ASVS 5, 6.8.1). `id` is what
    its owner names it by.
    """

    __tablename__ = "identities"
    __table_args__ = (
        CheckConstraint("provider IN ('apple', 'google')", name="provider_known"),
        Index("ix_identities_user_id", "user_id"),
    )

    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime]
    id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
