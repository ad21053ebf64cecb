"""Who is calling: all that the packages above `auth` may know of a user."""

from dataclasses import dataclass
from uuid import UUID

from auth.tiers import Tier


@dataclass(frozen=True)
class AccountState:
    """What a request's permission hangs on. Cached in Redis, and compared there again when a metered call is reserved.

    `version` rises with every change of the user or of one of the user's sessions.
    """

    version: int
    active: bool
    tier: Tier
    """The effective tier at the moment of reading: an expired one has already fallen back to free."""


@dataclass(frozen=True)
class CachedFields:
    """Where this caller's state lies in Redis and what it said, so that another script can check it in the same trip."""

    key: str
    fields: tuple[str, ...]
    values: tuple[str, ...]


@dataclass(frozen=True)
class Principal:
    """The caller of one request, proved by an access token."""

    user_id: UUID
    session_id: UUID
    tier: Tier
    cached: CachedFields | None
    """None when the state was read from PostgreSQL and no cache stands behind it."""
