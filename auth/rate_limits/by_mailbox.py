"""How many e-mails of one kind anybody can have sent to one mailbox, so that nobody is flooded with them.

Asking beyond the limit looks like asking within it. An address without an account is counted like any other.
"""

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.strategies import MovingWindowRateLimiter

from auth.email_address import EmailAddress
from auth.rate_limits.counters import AttemptCounts, keyed_hash
from database.redis.server import RedisServer

EMAILS_TO_ONE_MAILBOX: tuple[RateLimitItem, ...] = (
    RateLimitItemPerMinute(1),
    RateLimitItemPerHour(5),
    RateLimitItemPerDay(10),
)


class MailboxLimits:
    """Redis holds no address, only its keyed hash. The window moves, so that a minute is a minute for one e-mail too."""

    def __init__(self, server: RedisServer, key: bytes, limits: tuple[RateLimitItem, ...]) -> None:
        self._counts = AttemptCounts(server, MovingWindowRateLimiter, "emails")
        self._key = key
        self._limits = limits

    def admits(self, kind: str, email: EmailAddress) -> bool:
        """Count one e-mail. False when it must not be sent; then no limit beyond the first that says so counts it."""
        subject = keyed_hash(self._key, email)
        return all(self._counts.hit(limit, kind, subject) is None for limit in self._limits)
