"""How often a password may be tried on one account, so that nobody can guess it and nobody can lock its owner out.

Devices that signed in before have a count of their own, which a stranger cannot touch. An account that does not exist is
counted like any other, so a refusal says nothing about it.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

import redis

from auth.email_address import EmailAddress
from auth.rate_limits.counters import keyed_hash
from database.redis.server import KEY_PREFIX, RedisServer
from security.edge.problems import TooManyRequests

FORGOTTEN_AFTER_SECONDS = 3600
MOST_WAITS = 32
REMEMBERED_IN_PROCESS = 10_000


@dataclass(frozen=True)
class Patience:
    """How long the next try must wait after so many in a row. Seconds.

    After `free` tries the waits are `first`, then twice as long each time up to `longest`; from `many` tries on, an hour
    has no more than `many`.
    """

    free: int
    first: float = 1.0
    longest: float = 60.0
    many: int = 20

    def after(self, tries: int) -> float:
        if tries < self.free:
            return 0.0
        if tries >= max(self.many, self.free):
            return FORGOTTEN_AFTER_SECONDS / self.many
        return min(self.longest, self.first * 2.0 ** min(tries - self.free, 30))


STRANGER = Patience(free=5)
KNOWN_DEVICE = Patience(free=10)

# A try is counted before it is judged, so that a hundred at once cannot all pass; a success takes the count away.
TRY = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local count = redis.call('HMGET', KEYS[1], 'tries', 'next')
local tries, free_at = tonumber(count[1] or 0), tonumber(count[2] or 0)
if now < free_at then return {tries, tostring(free_at - now)} end
tries = tries + 1
local index = math.min(tries, #ARGV - 1)
redis.call('HSET', KEYS[1], 'tries', tries, 'next', string.format('%.6f', now + ARGV[index + 1]))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {tries, ''}
"""


@dataclass
class _Count:
    tries: int
    free_at: float
    last: float


class AccountThrottle:
    """Counts in Redis; while there is none, in this process alone: then the limit holds per process, never not at all."""

    def __init__(
        self,
        server: RedisServer,
        key: bytes,
        *,
        strangers: Patience = STRANGER,
        known_devices: Patience = KNOWN_DEVICE,
    ) -> None:
        """`key` hides the addresses: what is counted is their HMAC."""
        self._strangers = strangers
        self._known_devices = known_devices
        self._server = server
        self._key = key
        self._own: OrderedDict[str, _Count] = OrderedDict()
        self._lock = threading.Lock()

    def count_try(self, email: EmailAddress, device_id: UUID | None) -> int:
        """Count one try of a password, and say which it is in a row. Raises TooManyRequests, which counts nothing."""
        name, patience = self._name(email, device_id), self._strangers if device_id is None else self._known_devices
        client = self._server.client()
        if client is not None:
            try:
                tries, wait = _try_in_redis(client, name, patience)
            except redis.RedisError:
                self._server.failed()
            else:
                return _admitted(tries, wait)
        return _admitted(*self._try_here(name, patience))

    def forget(self, email: EmailAddress, device_id: UUID | None) -> None:
        """The password was right."""
        name = self._name(email, device_id)
        with self._lock:
            self._own.pop(name, None)
        client = self._server.client()
        if client is not None:
            try:
                client.delete(_key_of(name))
            except redis.RedisError:
                self._server.failed()

    def keyed_hash(self, email: EmailAddress) -> str:
        """What stands for the address in Redis."""
        return keyed_hash(self._key, email)

    def _name(self, email: EmailAddress, device_id: UUID | None) -> str:
        hashed = self.keyed_hash(email)
        return hashed if device_id is None else f"{hashed}:{device_id.hex}"

    def _try_here(self, name: str, patience: Patience) -> tuple[int, float]:
        now = time.monotonic()
        with self._lock:
            count = self._own.pop(name, None)
            if count is None or now - count.last > FORGOTTEN_AFTER_SECONDS:
                count = _Count(0, now, now)
            self._own[name] = count
            if len(self._own) > REMEMBERED_IN_PROCESS:
                self._own.popitem(last=False)
            if now < count.free_at:
                return count.tries, count.free_at - now
            count.tries += 1
            count.free_at, count.last = now + patience.after(count.tries), now
            return count.tries, 0.0


def _try_in_redis(client: redis.Redis, name: str, patience: Patience) -> tuple[int, float]:
    waits = [patience.after(tries) for tries in range(1, MOST_WAITS + 1)]
    tries, wait = client.eval(TRY, 1, _key_of(name), FORGOTTEN_AFTER_SECONDS, *waits)
    return int(tries), float(wait or 0)


def _key_of(name: str) -> str:
    return f"{KEY_PREFIX}tries:{name}"


def _admitted(tries: int, wait: float) -> int:
    if wait > 0:
        raise TooManyRequests(wait, "Too many wrong passwords for this account. Reset your password or wait")
    return tries
