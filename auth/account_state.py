"""What a request's permission hangs on: is the account active, does the session or API key live, which tier counts now.

PostgreSQL holds the truth. Redis holds a short-lived copy, one hash per user: `v` is `users.state_version`, `u` the user's
part, `s:<session id>` 1 or 0, `k:<API key id>` 0, or 1 and when the key ends, if it does. Whoever changes one of these facts
does so in an `account_change`, which raises the version in the same transaction and calls `AccountStates.changed` after the
commit; a copy that was read before the change can then no longer be stored.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import redis
from sqlalchemy import Executable, and_, bindparam, select

from auth.minute_limits import KEY_LIFETIME_SECONDS, MinuteLimit, Standing
from auth.models import ApiKey, AuthSession, User
from auth.principal import CachedFields, Role
from auth.tiers import Tier, effective_tier
from database import reading
from database.base import Clock
from database.redis.script import Script, ScriptRunner
from database.redis.server import KEY_PREFIX, RedisServer
from security.edge.problems import InvalidToken

COPY_LIFETIME_MS = 30_000
MARK_LIFETIME_MS = 60_000
SLOWEST_READ_SECONDS = 10.0
UNVERIFIED = "|unverified"
ACCOUNT_CHANGED = "account_changed"
"""The channel on which a change is told with its commit, to the process that holds sockets open: the user's id and the version.

Who hears it may be ahead of the mark in Redis, and calls `AccountStates.changed` before it reads."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Credentials = type[AuthSession] | type[ApiKey]
Limits = tuple[MinuteLimit, ...]

# A request counts only for a credential that lives: whoever holds an ended one must not use up its owner's minute.
READ_AND_COUNT = Script("""
local user, credential = unpack(redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2]))
local counts = {}
if user and credential and string.sub(user, 1, 1) == '1' and string.sub(credential, 1, 1) == '1' then
  for i = 2, #KEYS do
    counts[i - 1] = redis.call('INCR', KEYS[i])
    if counts[i - 1] == 1 then redis.call('EXPIRE', KEYS[i], ARGV[3]) end
  end
end
return {user, credential, counts}
""")

# An older copy never replaces a newer one, and the parts of one hash are always of one version. A copy of the same
# version does not renew the hash, so no part of it is ever older than its lifetime.
STORE_COPY = Script("""
local counts = {}
for i = 2, #KEYS do
  counts[i - 1] = redis.call('INCR', KEYS[i])
  if counts[i - 1] == 1 then redis.call('EXPIRE', KEYS[i], ARGV[6]) end
end
local held = redis.call('HGET', KEYS[1], 'v')
if held and tonumber(held) > tonumber(ARGV[1]) then return counts end
if held and tonumber(held) < tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) end
local started = redis.call('HEXISTS', KEYS[1], 'u') == 1
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'u', ARGV[2], ARGV[3], ARGV[4])
if not started then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return counts
""")

# The mark outlives the slowest reader that could still bring an older copy.
MARK_CHANGE = """
if tonumber(redis.call('HGET', KEYS[1], 'v') or '0') < tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'v', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
"""


def _state_query(table: Credentials) -> Executable:
    return (
        select(
            User.is_active,
            User.is_verified,
            User.tier,
            User.tier_expires_at,
            User.role,
            User.state_version,
            table.id,
            table.revoked_at,
            table.expires_at,
        )
        .outerjoin(table, and_(table.user_id == User.id, table.id == bindparam("credential_id")))
        .where(User.id == bindparam("user_id"))
    )


STATE: Final = {table: _state_query(table) for table in (AuthSession, ApiKey)}
"""Written once: to write a query costs as much as to send it."""


@dataclass(frozen=True)
class AccountState:
    """The facts about one user and one of the user's sessions or API keys, the credential.

    `ends_at` is known of API keys that end: rotating one brings its end forward.
    """

    active: bool
    credential_alive: bool
    tier: Tier
    tier_expires_at: datetime | None
    role: Role = Role.USER
    cached: CachedFields | None = None
    ends_at: datetime | None = None
    unverified: bool = False
    """The address must be confirmed before anything is metered, and is not."""
    standings: tuple[Standing, ...] = ()
    """Of the limits that this reading counted against."""

    def admitted_at(self, now: datetime) -> bool:
        return self.active and self.credential_alive and (self.ends_at is None or now < self.ends_at)

    def tier_at(self, now: datetime) -> Tier:
        return effective_tier(self.tier, self.tier_expires_at, now)


class AccountStates:
    """Reads account state through Redis, and says when it changed. Each reading counts as a request of the user."""

    def __init__(
        self,
        server: RedisServer,
        clock: Clock,
        general: MinuteLimit,
        account_calls: MinuteLimit,
        *,
        require_verification: bool = False,
    ) -> None:
        self.general = general
        self._limits = {
            account_call: tuple(limit for limit in counted if limit.is_on)
            for account_call, counted in ((False, (general,)), (True, (general, account_calls)))
        }
        self.require_verification = require_verification
        self._server = server
        self._clock = clock

    def of_session(self, user_id: UUID, session_id: UUID, *, account_call: bool = False) -> AccountState:
        """The state now. One Redis round trip when a copy is there, and PostgreSQL when there is none, or no Redis.

        `account_call`: the request is one of those under `/api/auth`, which have a limit of their own beside the general one.
        PostgreSQL's errors go through: access is never given without an answer. Raises InvalidToken when the user is gone or
        disabled, or the session has ended, and RateLimited, without reading anything when the user is known to be over the limit.
        """
        return self._read(user_id, AuthSession, session_id, f"s:{session_id}", self._limits[account_call])

    def of_key(self, user_id: UUID, key_id: UUID) -> AccountState:
        """The same for an API key."""
        return self._read(user_id, ApiKey, key_id, f"k:{key_id}", self._limits[False])

    def _read(self, user_id: UUID, table: Credentials, credential_id: UUID, field: str, limits: Limits) -> AccountState:
        for limit in limits:
            limit.refuse_known(user_id)
        place = CachedFields(key=state_key(user_id), fields=("u", field), values=())
        scripts = self._server.scripts()
        if scripts is None:
            return self._counted_here(user_id, self._read_postgres(user_id, table, credential_id)[0], limits)
        try:
            user, held, counts = _ask_redis(scripts, user_id, place, limits)
        except redis.RedisError:
            return self._counted_here(user_id, self._read_postgres(user_id, table, credential_id)[0], limits)
        if user is not None and held is not None:
            values = (user.decode(), held.decode())
            state = replace(decode(*values), cached=replace(place, values=values))
            return self._judged(user_id, state, limits, counts)
        started = time.monotonic()
        state, version = self._read_postgres(user_id, table, credential_id)
        elapsed = time.monotonic() - started
        if elapsed > SLOWEST_READ_SECONDS:
            return self._counted_here(user_id, state, limits)
        try:
            return self._copied(scripts, user_id, place, state, version, limits=limits, age=elapsed)
        except redis.RedisError:
            return self._counted_here(user_id, state, limits)

    def _copied(
        self,
        scripts: ScriptRunner,
        user_id: UUID,
        place: CachedFields,
        state: AccountState,
        version: int,
        *,
        limits: Limits,
        age: float,
    ) -> AccountState:
        """`age`: the seconds since its reading began."""
        values = encode(state)
        counters = [limit.key(user_id) for limit in limits] if state.admitted_at(self._clock()) else []
        counts: list[int] = scripts.run(
            STORE_COPY,
            1 + len(counters),
            place.key,
            *counters,
            version,
            values[0],
            place.fields[1],
            values[1],
            COPY_LIFETIME_MS - int(age * 1000),
            KEY_LIFETIME_SECONDS,
        )
        return self._judged(user_id, replace(state, cached=replace(place, values=values)), limits, counts)

    def _judged(self, user_id: UUID, state: AccountState, limits: Limits, counts: Sequence[int]) -> AccountState:
        now = self._clock()
        if not state.admitted_at(now):
            raise InvalidToken
        if not limits:
            return state
        tier = state.tier_at(now)
        standings = [limit.judge(user_id, tier, count) for limit, count in zip(limits, counts, strict=True)]
        return replace(state, standings=tuple(standings))

    def _counted_here(self, user_id: UUID, state: AccountState, limits: Limits) -> AccountState:
        counts = [limit.count_here(user_id) for limit in limits] if state.admitted_at(self._clock()) else []
        return self._judged(user_id, state, limits, counts)

    def changed(self, user_id: UUID, version: int) -> None:
        """Drop every copy older than `version`. Called after the commit that raised the version."""
        client = self._server.client(even_at_rest=True)
        if client is None:
            return
        try:
            client.eval(MARK_CHANGE, 1, state_key(user_id), version, MARK_LIFETIME_MS)
        except redis.RedisError:
            # What cannot be dropped lives COPY_LIFETIME_MS at most.
            self._server.failed()

    def _read_postgres(self, user_id: UUID, table: Credentials, credential_id: UUID) -> tuple[AccountState, int]:
        """And its version. Raises InvalidToken when there is no such user."""
        with reading() as session:
            row = session.execute(STATE[table], {"user_id": user_id, "credential_id": credential_id}).one_or_none()
        if row is None:
            raise InvalidToken
        ended = row.expires_at is not None and row.expires_at <= self._clock()
        alive = row.id is not None and row.revoked_at is None and not ended
        state = AccountState(
            active=row.is_active,
            credential_alive=alive,
            tier=Tier(row.tier),
            tier_expires_at=row.tier_expires_at,
            role=Role(row.role),
            ends_at=row.expires_at if alive and table is ApiKey else None,
            unverified=self.require_verification and not row.is_verified,
        )
        return state, row.state_version


def _ask_redis(
    scripts: ScriptRunner, user_id: UUID, place: CachedFields, limits: Limits
) -> tuple[bytes | None, bytes | None, list[int]]:
    if not limits:
        user, held = scripts.ask("HMGET", place.key, *place.fields)
        return user, held, []
    keys = (place.key, *(limit.key(user_id) for limit in limits))
    user, held, counts = scripts.run(READ_AND_COUNT, len(keys), *keys, *place.fields, KEY_LIFETIME_SECONDS)
    return user, held, counts


def state_key(user_id: UUID) -> str:
    return f"{KEY_PREFIX}state:{user_id}"


def encode(state: AccountState) -> tuple[str, str]:
    """The values of `u` (active, tier, end of the tier, role, and whether an address must be confirmed) and of the credential. Times
    are Unix microseconds.
    """
    user = f"{state.active:d}|{state.tier}|{_microseconds(state.tier_expires_at)}|{state.role}{UNVERIFIED * state.unverified}"
    credential = f"{state.credential_alive:d}"
    return user, credential if state.ends_at is None else f"{credential}|{_microseconds(state.ends_at)}"


def decode(user: str, credential: str) -> AccountState:
    active, tier, expires, role, *unverified = user.split("|")
    alive, _, ends = credential.partition("|")
    return AccountState(
        active=active == "1",
        credential_alive=alive == "1",
        tier=Tier(tier),
        tier_expires_at=_moment(expires),
        role=Role(role),
        ends_at=_moment(ends),
        unverified=bool(unverified),
    )


def _microseconds(moment: datetime | None) -> str:
    return "" if moment is None else str((moment - EPOCH) // timedelta(microseconds=1))


def _moment(microseconds: str) -> datetime | None:
    return EPOCH + timedelta(microseconds=int(microseconds)) if microseconds else None
