"""The tiers that a user can have, in rising order."""

from datetime import datetime
from enum import StrEnum


class Tier(StrEnum):
    FREE = "free"
    PLUS = "plus"
    PRO = "pro"
    TEAM = "team"
    ENTERPRISE = "enterprise"

    @property
    def rank(self) -> int:
        """0 for the lowest tier; a higher tier has everything that a lower one has."""
        return list(Tier).index(self)

    def includes(self, needed: "Tier") -> bool:
        return self.rank >= needed.rank


def effective_tier(tier: Tier, expires_at: datetime | None, now: datetime) -> Tier:
    """The tier that counts at `now`. One that has run out is free, even when no job has written that down yet."""
    return tier if expires_at is None or now < expires_at else Tier.FREE
