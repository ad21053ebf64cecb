"""The tiers that a user can have, in rising order."""

from enum import StrEnum


class Tier(StrEnum):
    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"

    @property
    def rank(self) -> int:
        """0 for the lowest tier; a higher tier has everything that a lower one has."""
        return list(Tier).index(self)

    def includes(self, needed: "Tier") -> bool:
        return self.rank >= needed.rank
