"""A new account, unless its address or its username is taken."""

from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from auth.email_address import EmailAddress
from auth.models import User
from auth.problems import UsernameTaken


def insert_user(
    session: Session, email: EmailAddress, now: datetime, *, username: str | None = None, **columns: Any
) -> User | None:
    """None when the address is taken, also by a registration that runs at the same moment. Raises UsernameTaken when only that
    is, and leaves the transaction usable.
    """
    row = {"email": email.address, "email_key": email.key, "username": username, "created_at": now, "updated_at": now}
    made = insert(User).values(**row, **columns).on_conflict_do_nothing().returning(User)
    user = session.scalars(made).one_or_none()
    if (
        user is None
        and username is not None
        and not session.scalar(select(exists().where(User.email_key == email.key)))
    ):
        raise UsernameTaken
    return user
