"""How often one network address may try to register, sign in or refresh.

Built on the strategy that flask-limiter uses inside, without its extension: the extension's hooks run on every request
of the application, 50 µs each, also where nothing is limited.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from time import time

import redis
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from auth.account_throttle import KNOWN_DEVICE, STRANGER, Patience
from database.redis_lease import RedisLease, RedisLeases
from security.client_address import client_address
from security.problems import Problem, TooManyRequests

IPV6_NETWORK_BITS = 64  # one customer's smallest network (RFC 6177)


@dataclass(frozen=True)
class AuthLimits:
    """Attempts that one network address has, over a sliding window, and tries of a password that one account has."""

    sign_in: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(20))
    register: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(5))
    refresh: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(300))
    wrong_api_keys: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(20))
    wrong_invite_codes: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(20))
    second_factor: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(60))
    strangers: Patience = STRANGER
    known_devices: Patience = KNOWN_DEVICE


class AddressLimits:
    """Counts in Redis; while there is none, in this process alone: then the limit holds per process, never not at all."""

    def __init__(self, leases: RedisLeases) -> None:
        self._leases = leases
        self._building = threading.Lock()
        self._shared: tuple[str, SlidingWindowCounterRateLimiter] | None = None
        self._own: SlidingWindowCounterRateLimiter | None = None

    def count(self, limit: RateLimitItem, name: str, address: str) -> None:
        """Count one attempt. Raises TooManyRequests."""
        self._ask(lambda strategy, network: strategy.hit(limit, name, network), limit, name, address)

    def check(self, limit: RateLimitItem, name: str, address: str) -> None:
        """For limits on failures, before the attempt is judged: counts nothing. Raises TooManyRequests."""
        self._ask(lambda strategy, network: strategy.test(limit, name, network), limit, name, address)

    def _ask(
        self,
        question: Callable[[SlidingWindowCounterRateLimiter, str], bool],
        limit: RateLimitItem,
        name: str,
        address: str,
    ) -> None:
        network = network_of(address)
        lease = self._leases.current()
        if lease is not None:
            try:
                self._answer(question, self._in_redis(lease), limit, name, network)
            except redis.RedisError:
                self._leases.failed(lease)
            else:
                return
        self._answer(question, self._in_memory(), limit, name, network)

    def _answer(
        self,
        question: Callable[[SlidingWindowCounterRateLimiter, str], bool],
        strategy: SlidingWindowCounterRateLimiter,
        limit: RateLimitItem,
        name: str,
        network: str,
    ) -> None:
        if not question(strategy, network):
            raise TooManyRequests(strategy.get_window_stats(limit, name, network).reset_time - time() + 1)

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
    """Guard of a route that needs no sign-in but allows each address only so many attempts."""

    because: str
    limits: AddressLimits
    limit: RateLimitItem
    name: str
    scheme: str | None = None
    problems: tuple[type[Problem], ...] = (TooManyRequests,)

    def admit(self) -> None:
        self.limits.count(self.limit, self.name, client_address())


def network_of(address: str) -> str:
    """The network that counts as one caller: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_NETWORK_BITS), strict=False).network_address)
    return address
