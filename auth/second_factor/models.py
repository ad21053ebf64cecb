"""The tables of second factors: authenticator apps, recovery codes, passkeys, and the sign-ins that wait for one of them."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from database.base import Base, uuid7


class TotpSecret(Base):
    """The secret that a user's authenticator app shares with us, sealed (see auth/data_keys.py). It counts once confirmed.

    `last_step` is the number of the time step of the code used last: only later ones are accepted, so none works twice.
    """

    __tablename__ = "totp_secrets"

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    sealed_secret: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int | None] = mapped_column(BigInteger)


class RecoveryCode(Base):
    """One of the codes that replace a lost second factor: a keyed digest of it and of its own salt."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index("ix_recovery_codes_user_id", "user_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Passkey(Base):
    """One WebAuthn credential. The names are those of its specification (W3C Web Authentication, 4)."""

    __tablename__ = "passkeys"
    __table_args__ = (Index("ix_passkeys_user_id", "user_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    credential_id: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    transports: Mapped[list[str]] = mapped_column(ARRAY(Text))
    backup_eligible: Mapped[bool]
    backed_up: Mapped[bool]
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class PasskeyChallenge(Base):
    """What a passkey has to sign. The row goes when an answer comes, so that none is accepted twice.

    `flow_id` is the session or the waiting sign-in that it was made for; a sign-in with nothing but a passkey has neither
    user nor flow.
    """

    __tablename__ = "passkey_challenges"
    __table_args__ = (Index("ix_passkey_challenges_flow_id", "flow_id"),)

    challenge: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    flow_id: Mapped[uuid.UUID | None]
    expires_at: Mapped[datetime]


class SignInChallenge(Base):
    """A sign-in whose first factor was right and whose second one is awaited. Its token is stored as a SHA-256.

    `state_version` is that of the user then: whatever ends sessions or changes the password in between voids the sign-in.
    `choices` is what was asked for with the first factor (see challenge.py).
    """

    __tablename__ = "sign_in_challenges"
    __table_args__ = (Index("ix_sign_in_challenges_user_id", "user_id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    method: Mapped[str] = mapped_column(Text)
    device_id: Mapped[uuid.UUID | None]
    choices: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state_version: Mapped[int] = mapped_column(BigInteger)
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class WrongSecondFactor(Base):
    """One wrong code. An hour allows only so many, with a count for each device that signed in before."""

    __tablename__ = "wrong_second_factors"
    __table_args__ = (Index("ix_wrong_second_factors_user_id_tried_at", "user_id", "tried_at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    device_id: Mapped[uuid.UUID | None]
    tried_at: Mapped[datetime]
