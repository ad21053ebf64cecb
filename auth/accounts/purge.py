"""A job: delete the accounts whose grace period is over, with everything that is held about their users.

What stays is the audit log, without addresses, devices and names (forget_origins.py), and what the law wants kept of payments.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, delete, select

from auth.assembly import Auth
from auth.audit.record import record
from auth.models import User
from database import reading, transaction
from database.batch import not_passed_over, work_through

PORTION = 100
SETTLED_AFTER = timedelta(minutes=15)
"""Without a grace period, calls of the user may still be in flight. After this they have left all the rows they will leave."""


def purge_accounts(auth: Auth) -> int:
    """Returns how many were deleted."""
    before = auth.clock() - SETTLED_AFTER
    due = select(User.id).where(
        User.delete_after <= before, User.is_active.is_(False), not_passed_over("purge_accounts", User.id)
    )
    with reading() as session:
        found = session.scalars(due.order_by(User.delete_after).limit(PORTION)).all()
    return work_through("purge_accounts", found, lambda user_id: _purge(auth, user_id, before))


def _purge(auth: Auth, user_id: UUID, before: datetime) -> bool:
    """First what belongs to the user, in portions, so that no statement takes long; then the user."""
    for part in reversed(auth.personal_data):
        erased = 1
        while erased:
            with transaction() as session:
                if session.scalars(_still_due(user_id, before)).one_or_none() is None:
                    return False  # restored a moment ago
                erased = part.erase(session, user_id)
    with transaction() as session:
        if session.scalars(_still_due(user_id, before)).one_or_none() is None:
            return False
        session.execute(delete(User).where(User.id == user_id))
        record(session, "account_deleted", auth.clock(), user_id=user_id)
    return True


def _still_due(user_id: UUID, before: datetime) -> Select[UUID]:
    """The user's row, locked, so that nobody restores the account halfway."""
    return (
        select(User.id)
        .where(User.id == user_id, User.is_active.is_(False), User.delete_after <= before)
        .with_for_update()
    )
