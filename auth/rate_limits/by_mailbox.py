"""How many letters of one kind anybody can have sent to one e-mail address, so that nobody is buried in them.

Asking beyond the limit looks like asking within it. An address without an account is counted like any other.
"""

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.strategies import MovingWindowRateLimiter

from auth.email_address import EmailAddress
from auth.rate_limits.counters import AttemptCounts, hidden
from database.redis.server import RedisServer

LETTERS_TO_ONE_ADDRESS: tuple[RateLimitItem, ...] = (
    RateLimitItemPerMinute(1),
    RateLimitItemPerHour(5),
    RateLimitItemPerDay(10),
)


class LetterLimits:
    """Redis holds no address, only its keyed hash. The window moves, so that a minute is a minute for one letter too."""

    def __init__(self, server: RedisServer, key: bytes, limits: tuple[RateLimitItem, ...]) -> None:
        self._counts = AttemptCounts(server, MovingWindowRateLimiter, "letters")
        self._key = key
        self._limits = limits

    def take(self, kind: str, email: EmailAddress) -> bool:
        """Count one letter. False when it must not be sent; then no limit beyond the first that says so counts it."""
        subject = hidden(self._key, email)
        return all(self._counts.hit(limit, kind, subject) is None for limit in self._limits)
