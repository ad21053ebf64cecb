"""A free trial is given once to each user, whoever sells it."""

from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from payments.models import Subscription


def trial_used(session: Session, user_id: UUID) -> bool:
    """Whether any subscription of the user, at any provider, has or had one."""
    query = select(exists().where(Subscription.user_id == user_id, Subscription.trial))
    return bool(session.execute(query).scalar_one())
