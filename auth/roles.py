"""What a user may do beside using the product."""

from enum import StrEnum


class Role(StrEnum):
    """In rising order: a higher role may do all that a lower one may."""

    USER = "user"
    SUPPORT = "support"
    ADMIN = "admin"

    def includes(self, needed: "Role") -> bool:
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)
