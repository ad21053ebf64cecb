"""Who is calling: all that the packages above `auth` may know of a user."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from auth.tiers import Tier


class Role(StrEnum):
    """What a user may do beside using the product, in rising order: a higher role may do all that a lower one may."""

    USER = "user"
    SUPPORT = "support"
    ADMIN = "admin"

    def includes(self, needed: "Role") -> bool:
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)

    def outranks(self, other: "Role") -> bool:
        """Staff act on accounts below their own role alone: nobody gains a right by it, and no colleague is touched."""
        return not other.includes(self)


@dataclass(frozen=True)
class CachedFields:
    """Where this caller's state lies in Redis and what it said, so that another script can check it in the same trip."""

    key: str
    fields: tuple[str, ...]
    values: tuple[str, ...]
    requests: "Callable[[], RequestCount] | None" = None
    """For requests that no reading of the state has counted: that script counts each."""


@dataclass(frozen=True)
class RequestCount:
    """A counter in Redis, which each request raises by one, and the most that it may reach."""

    key: str
    allowed: int


@dataclass(frozen=True)
class Principal:
    """The caller of one request, proved by an access token. `tier` is the one that counts at this moment."""

    user_id: UUID
    session_id: UUID
    tier: Tier
    cached: CachedFields | None
    """None when the state was read from PostgreSQL and no cache stands behind it."""
    role: Role = Role.USER
    impersonated_by: UUID | None = None
    """The member of the staff who looks through this account. Such a caller reads, and has no role."""
    fresh: bool = field(default=False, compare=False)
    """The state was read for this request, which was counted with it. What a guard remembers of an earlier one is not."""


@dataclass(frozen=True)
class KeyPrincipal:
    """A program that calls for a user, proved by an API key with the scope that the route asks for. It has no role."""

    user_id: UUID
    key_id: UUID
    tier: Tier
    cached: CachedFields | None
    fresh: bool = field(default=False, compare=False)


Caller = Principal | KeyPrincipal
"""Who calls a route that takes API keys too."""
