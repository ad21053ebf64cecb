"""A new account, unless its address is taken."""

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.email_address import EmailAddress
from auth.models import User


def insert_user(session: Session, email: EmailAddress, now: datetime, **columns: Any) -> User | None:
    """None when the address is taken, also by a registration that runs at the same moment."""
    row = {"email": email.address, "email_key": email.key, "created_at": now, "updated_at": now}
    return session.scalars(
        insert(User).values(**row, **columns).on_conflict_do_nothing(index_elements=[User.email_key]).returning(User)
    ).one_or_none()
