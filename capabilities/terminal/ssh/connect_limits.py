"""How often connections are opened: by one user, and to one server, whoever asks. Otherwise others could be attacked from here."""

from uuid import UUID

from limits import RateLimitItemPerMinute
from limits.strategies import MovingWindowRateLimiter

from auth.rate_limits.counters import AttemptCounts
from capabilities.terminal.ssh.destinations import Destination
from database.redis.server import RedisServer
from security.edge.problems import TooManyRequests

OF_A_USER = RateLimitItemPerMinute(10)
TO_A_SERVER = RateLimitItemPerMinute(30)


class ConnectLimits:
    """Asks Redis, so never on a loop."""

    def __init__(self, redis: RedisServer) -> None:
        self._counts = AttemptCounts(redis, MovingWindowRateLimiter, "ssh")

    def count_user(self, user_id: UUID) -> None:
        """Raises TooManyRequests."""
        self._count(OF_A_USER, "user", str(user_id), "You can connect up to 10 times a minute")

    def count_destination(self, destination: Destination) -> None:
        """By its addresses, whatever names lead there. Raises TooManyRequests."""
        for address in destination.addresses:
            subject = f"{address}/{destination.server.port}"
            self._count(TO_A_SERVER, "server", subject, "Too many connections to this server in one minute")

    def _count(self, limit: RateLimitItemPerMinute, kind: str, subject: str, detail: str) -> None:
        wait = self._counts.hit(limit, kind, subject)
        if wait is not None:
            raise TooManyRequests(wait, detail)
