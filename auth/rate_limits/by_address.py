"""How often one network address may try to register, sign in, refresh, ask for e-mails or read what is open to anyone; and one
e-mail address or session.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.strategies import SlidingWindowCounterRateLimiter

from auth.metrics import ADDRESS_REFUSALS
from auth.rate_limits.by_account import KNOWN_DEVICE, STRANGERS, Limits
from auth.rate_limits.by_mailbox import EMAILS_TO_ONE_MAILBOX
from auth.rate_limits.counters import AttemptCounts
from database.redis.server import RedisServer
from security.edge.client_address import client_address, network_of
from security.edge.problems import Problem, TooManyRequests, in_words

IPV6_SITE_BITS = 48  # what hosts give to one customer, 65,536 networks; to a mobile carrier, many customers
SITE_ALLOWANCE = 5
"""How many times as much such a site may do as one network in it."""
_COUNTED = {
    "register_email": "tries for one e-mail address",
    "refresh_session": "tries in one session",
    "open_reads": "requests from one network address",
    "create_order": "orders of one account",
}
SITE_ALLOWANCES = {"register": 2}
"""Stricter, because an account that needs no confirmed address is worth something."""


@dataclass(frozen=True)
class AuthLimits:
    """Attempts that one network address has, over a sliding window, and tries of a password that one account has.

    Those of one e-mail address and of one session say so in their names, as do the e-mails of one kind that strangers can
    have sent to one mailbox. `open_reads`: requests without an account, to routes that also know who signed in.
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
    emails: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(10))
    confirm: RateLimitItem = field(default_factory=lambda: RateLimitItemPerHour(30))
    open_reads: RateLimitItem = field(default_factory=lambda: RateLimitItemPerMinute(100))
    emails_to_one_mailbox: tuple[RateLimitItem, ...] = EMAILS_TO_ONE_MAILBOX
    strangers: Limits = STRANGERS
    known_devices: Limits = KNOWN_DEVICE


class AddressLimits:
    """Counts the attempts of network addresses over a sliding window."""

    def __init__(self, server: RedisServer) -> None:
        self._counts = AttemptCounts(server, SlidingWindowCounterRateLimiter, "address")

    def count(self, limit: RateLimitItem, name: str, address: str) -> None:
        """Count one attempt of a network address, and of the site that it lies in. Raises TooManyRequests."""
        for subject, allowance in networks_of(address, SITE_ALLOWANCES.get(name, SITE_ALLOWANCE)):
            self.count_subject(_times(limit, allowance), name, subject)

    def check(self, limit: RateLimitItem, name: str, address: str) -> None:
        """For limits on failures, before the attempt is judged: counts nothing. Raises TooManyRequests."""
        for subject, allowance in networks_of(address, SITE_ALLOWANCES.get(name, SITE_ALLOWANCE)):
            self.check_subject(_times(limit, allowance), name, subject)

    def count_subject(self, limit: RateLimitItem, name: str, subject: str) -> None:
        """Count one attempt of whatever `subject` names; it stands in Redis as it is. Raises TooManyRequests."""
        refuse_for(self._counts.hit(limit, name, subject), limit, name)

    def check_subject(self, limit: RateLimitItem, name: str, subject: str) -> None:
        """Raises TooManyRequests when one more attempt would be too many. Counts nothing."""
        refuse_for(self._counts.look(limit, name, subject), limit, name)


def refuse_for(seconds: float | None, limit: RateLimitItem, name: str) -> None:
    """Raises TooManyRequests, unless there is nothing to wait for."""
    if seconds is not None:
        ADDRESS_REFUSALS.labels(name).inc()
        counted = _COUNTED.get(name, "tries from one network address")
        raise TooManyRequests(seconds, f"At most {limit.amount} {counted} within {in_words(limit.get_expiry())}")


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


def networks_of(address: str, site_allowance: int) -> list[tuple[str, int]]:
    """What counts as one caller, with how many times the limit it has: an IPv4 address; the /64 and the /48 of IPv6."""
    if ":" not in address:
        return [(address, 1)]
    return [(network_of(address), 1), (network_of(address, IPV6_SITE_BITS), site_allowance)]


@lru_cache(64)
def _times(limit: RateLimitItem, allowance: int) -> RateLimitItem:
    return type(limit)(limit.amount * allowance, limit.multiples, limit.namespace)
