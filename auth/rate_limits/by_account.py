"""How often a password may be tried on one account, so that nobody can guess it and nobody can lock its owner out.

Devices that signed in before have a count of their own, which a stranger cannot touch. An account that does not exist is
counted like any other, so a refusal says nothing about it.
"""

from uuid import UUID

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.strategies import MovingWindowRateLimiter

from auth.email_address import EmailAddress
from auth.metrics import LOCKOUTS
from auth.rate_limits.counters import AttemptCounts, keyed_hash
from database.redis.server import RedisServer
from security.edge.problems import TooManyRequests

Limits = tuple[RateLimitItem, ...]
"""The shortest first: what it refuses is not counted for the longer ones."""

STRANGERS: Limits = (RateLimitItemPerMinute(5, 5), RateLimitItemPerHour(20))
KNOWN_DEVICE: Limits = (RateLimitItemPerMinute(10, 5), RateLimitItemPerHour(20))


class AccountThrottle:
    """A try is counted before it is judged, so that a hundred at once cannot all pass; a success takes the counts away."""

    def __init__(
        self, server: RedisServer, key: bytes, *, strangers: Limits = STRANGERS, known_devices: Limits = KNOWN_DEVICE
    ) -> None:
        """`key` hides the addresses: what is counted is their HMAC."""
        self._counts = AttemptCounts(server, MovingWindowRateLimiter, "tries")
        self._key = key
        self._strangers = strangers
        self._known_devices = known_devices

    def count_try(self, email: EmailAddress, device_id: UUID | None) -> None:
        """Raises TooManyRequests."""
        subject = self._subject(email, device_id)
        for limit in self._limits(device_id):
            wait = self._counts.hit(limit, subject)
            if wait is not None:
                LOCKOUTS.labels("password").inc()
                raise TooManyRequests(wait, "Too many wrong passwords for this account. Reset your password or wait")

    def tries(self, email: EmailAddress, device_id: UUID | None) -> int:
        """How many there were since the last success, within the longest of the limits."""
        return self._counts.used(self._limits(device_id)[-1], self._subject(email, device_id))

    def forget(self, email: EmailAddress, device_id: UUID | None) -> None:
        """The password was right."""
        for limit in self._limits(device_id):
            self._counts.clear(limit, self._subject(email, device_id))

    def keyed_hash(self, email: EmailAddress) -> str:
        """What stands for the address in Redis."""
        return keyed_hash(self._key, email)

    def _limits(self, device_id: UUID | None) -> Limits:
        return self._strangers if device_id is None else self._known_devices

    def _subject(self, email: EmailAddress, device_id: UUID | None) -> str:
        hashed = self.keyed_hash(email)
        return hashed if device_id is None else f"{hashed}:{device_id.hex}"
