"""The tables of accounts: users and their sessions. What they subscribed to stands in payments/models.py."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7

TIERS = "'free', 'pro', 'enterprise'"


class User(Base):
    """One account.

    `email` is the address as it is written to; `email_key` is what makes it unique. `state_version` rises with every
    change of what a request's permission hangs on (see auth/account_state.py). `tier` is written by payments alone.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint(f"tier IN ({TIERS})", name="tier_known"),
        Index("ix_users_tier_expires_at_paid", "tier_expires_at", postgresql_where=text("tier <> 'free'")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    email: Mapped[str] = mapped_column(Text)
    email_key: Mapped[str] = mapped_column(Text, unique=True)
    password_hash: Mapped[str | None] = mapped_column(Text)
    tier: Mapped[str] = mapped_column(Text, server_default="free")
    tier_expires_at: Mapped[datetime | None]
    tier_source: Mapped[str | None] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_verified: Mapped[bool] = mapped_column(server_default=text("false"))
    state_version: Mapped[int] = mapped_column(BigInteger, server_default=text("1"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]


class AuthSession(Base):
    """One signed-in device. Its refresh token is computed from this row and a key, and stored nowhere.

    `generation` counts rotations. `rotation_key_hash` is the SHA-256 of the Idempotency-Key of the last rotation.
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
    user_agent: Mapped[str | None] = mapped_column(Text)
    ip: Mapped[str | None] = mapped_column(Text)
