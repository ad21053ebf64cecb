"""Recognising a device that signed in before, by a token that it keeps."""

import secrets
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from auth.sessions.models import KnownDevice
from auth.tokens.opaque import token_hash

PREFIX = "dt_"
LONGEST_TOKEN = 64
DEVICES_PER_USER = 20


def find_device(session: Session, user_id: UUID | None, token: str | None) -> UUID | None:
    """The device of that token, when it is one of that user's. One query, whether or not the user exists."""
    return session.scalars(
        select(KnownDevice.id).where(
            KnownDevice.token_hash == token_hash(token or ""), KnownDevice.user_id == (user_id or uuid4())
        )
    ).one_or_none()


def remember_device(session: Session, user_id: UUID, known: UUID | None, now: datetime) -> str | None:
    """Note that the device was used. A new one gets a token, shown once; those used longest ago make room."""
    if known is not None:
        session.execute(update(KnownDevice).where(KnownDevice.id == known).values(last_used_at=now))
        return None
    token = PREFIX + secrets.token_urlsafe(32)
    session.add(KnownDevice(user_id=user_id, token_hash=token_hash(token), created_at=now, last_used_at=now))
    session.flush()
    surplus = (
        select(KnownDevice.id)
        .where(KnownDevice.user_id == user_id)
        .order_by(KnownDevice.last_used_at.desc(), KnownDevice.id.desc())
        .offset(DEVICES_PER_USER)
    )
    session.execute(delete(KnownDevice).where(KnownDevice.id.in_(surplus.scalar_subquery())))
    return token


def forget_devices(session: Session, user_id: UUID, *, since: datetime) -> None:
    """Those that signed in first since then are not known any more: whoever signed in there was not the owner."""
    session.execute(delete(KnownDevice).where(KnownDevice.user_id == user_id, KnownDevice.created_at >= since))
