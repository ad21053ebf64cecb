"""How often one network address may try to register, sign in or refresh; and one e-mail address or session.

Built on the strategy that flask-limiter uses inside, without its extension: the extension's hooks run on every request
of the application, 50 µs each, also where nothing is limited.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from time import time

import redis
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from auth.account_throttle import KNOWN_DEVICE, STRANGER, Patience
from database.redis_lease import RedisLease, RedisLeases
from security.client_address import client_address
from security.problems import Problem, TooManyRequests

IPV6_NETWORK_BITS = 64  # one customer's smallest network (RFC 6177)


@dataclass(frozen=True)
class AuthLimits:
    """Attempts that one network address has, over a sliding window, and tries of a password that one account has.

    Those of one e-mail address and of one session say so in their names.
    """

    sign_in: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(20))
    sign_in_hourly: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(200))
    register: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(5))
    register_daily: RateLimitItem = field(default_factory=lambda: RateLimitItemPerDay(20))
    register_of_one_email: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(3))
    refresh: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(300))
    refresh_of_one_session: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(30))
    wrong_api_keys: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(20))
    wrong_invite_codes: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(20))
    second_factor: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(60))
    strangers: Patience = STRANGER
    known_devices: Patience = KNOWN_DEVICE


Question = Callable[[SlidingWindowCounterRateLimiter, RateLimitItem, str, str], bool]


class AddressLimits:
    """Counts in Redis; while there is none, in this process alone: then the limit holds per process, never not at all."""

    def __init__(self, leases: RedisLeases) -> None:
        self._leases = leases
        self._building = threading.Lock()
        self._shared: tuple[str, SlidingWindowCounterRateLimiter] | None = None
        self._own: SlidingWindowCounterRateLimiter | None = None

    def count(self, limit: RateLimitItem, name: str, address: str) -> None:
        """Count one attempt of a network address. Raises TooManyRequests."""
        self.count_subject(limit, name, network_of(address))

    def check(self, limit: RateLimitItem, name: str, address: str) -> None:
        """For limits on failures, before the attempt is judged: counts nothing. Raises TooManyRequests."""
        self.check_subject(limit, name, network_of(address))

    def count_subject(self, limit: RateLimitItem, name: str, subject: str) -> None:
        """Count one attempt of whatever `subject` names; it stands in Redis as it is. Raises TooManyRequests."""
        self._ask(SlidingWindowCounterRateLimiter.hit, limit, name, subject)

    def check_subject(self, limit: RateLimitItem, name: str, subject: str) -> None:
        """Raises TooManyRequests when one more attempt would be too many. Counts nothing."""
        self._ask(SlidingWindowCounterRateLimiter.test, limit, name, subject)

    def _ask(self, question: Question, limit: RateLimitItem, name: str, subject: str) -> None:
        lease = self._leases.current()
        if lease is not None:
            try:
                self._judge(self._in_redis(lease), question, limit, name, subject)
            except redis.RedisError:
                self._leases.failed(lease)
            else:
                return
        self._judge(self._in_memory(), question, limit, name, subject)

    def _judge(
        self,
        strategy: SlidingWindowCounterRateLimiter,
        question: Question,
        limit: RateLimitItem,
        name: str,
        subject: str,
    ) -> None:
        if not question(strategy, limit, name, subject):
            raise TooManyRequests(strategy.get_window_stats(limit, name, subject).reset_time - time() + 1)

    def _in_redis(self, lease: RedisLease) -> SlidingWindowCounterRateLimiter:
        with self._building:
            if self._shared is None or self._shared[0] != lease.prefix:
                storage = RedisStorage(
                    "redis://", connection_pool=lease.client.connection_pool, key_prefix=f"{lease.prefix}address"
                )
                self._shared = lease.prefix, SlidingWindowCounterRateLimiter(storage)
            return self._shared[1]

    def _in_memory(self) -> SlidingWindowCounterRateLimiter:
        with self._building:
            if self._own is None:
                self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
            return self._own


@dataclass(frozen=True)
class AnyoneWithin:
    """Guard of a route that needs no sign-in but allows each address only so many attempts: within `limit`, and in the
    longer run within `also`.
    """

    because: str
    limits: AddressLimits
    limit: RateLimitItem
    name: str
    also: RateLimitItem | None = None
    scheme: str | None = None
    problems: tuple[type[Problem], ...] = (TooManyRequests,)

    def admit(self) -> None:
        address = client_address()
        self.limits.count(self.limit, self.name, address)
        if self.also is not None:
            self.limits.count(self.also, self.name, address)


def network_of(address: str) -> str:
    """The network that counts as one caller: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_NETWORK_BITS), strict=False).network_address)
    return address
