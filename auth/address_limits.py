"""How often one network address may try to register, sign in, refresh or ask for letters."""

from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.strategies import SlidingWindowCounterRateLimiter

from auth.account_throttle import KNOWN_DEVICE, STRANGER, Patience
from auth.attempt_counts import AttemptCounts
from auth.letter_limits import LETTERS_TO_ONE_ADDRESS
from database.redis_lease import RedisLeases
from security.client_address import client_address
from security.problems import Problem, TooManyRequests

IPV6_NETWORK_BITS = 64  # one customer's smallest network (RFC 6177)


@dataclass(frozen=True)
class AuthLimits:
    """Attempts that one network address has, over a sliding window; tries of a password that one account has; letters of
    one kind that strangers can have sent to one e-mail address.
    """

    sign_in: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(20))
    register: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(5))
    refresh: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(300))
    letters: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(10))
    confirm: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(30))
    letters_to_one_address: tuple[RateLimitItem, ...] = LETTERS_TO_ONE_ADDRESS
    strangers: Patience = STRANGER
    known_devices: Patience = KNOWN_DEVICE


class AddressLimits:
    """Counts the attempts of network addresses over a sliding window."""

    def __init__(self, leases: RedisLeases) -> None:
        self._counts = AttemptCounts(leases, SlidingWindowCounterRateLimiter, "address")

    def count(self, limit: RateLimitItem, name: str, address: str) -> None:
        """Count one attempt. Raises TooManyRequests."""
        wait = self._counts.hit(limit, name, network_of(address))
        if wait is not None:
            raise TooManyRequests(wait)


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
