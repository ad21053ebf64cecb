"""Giving a tier by hand, for the command of operators. How that is kept is the business of whoever owns tiers."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from auth.tiers import Tier

SetTier = Callable[[Session, UUID, Tier, datetime | None, datetime], None]
"""Called with the transaction's session, the user, the tier, its end and now. The caller holds the user's row, raises the
state's version, and records the event.
"""
