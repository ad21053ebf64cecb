"""Limits in Redis, for calls that draw nothing but themselves: one script takes a call, another gives it back or counts it."""

from pathlib import Path

from database.redis.script import Lost, Script, ScriptRunner
from database.redis.server import KEY_PREFIX
from metering.limits import BURST, CONCURRENCY, FAILURES, AccountStateChanged, Ask, Standing, Verdict

RESERVE = Script(Path(__file__).with_name("reserve.lua").read_text(encoding="utf-8"))
SETTLE = Script(Path(__file__).with_name("settle.lua").read_text(encoding="utf-8"))

IN_FLIGHT = Script("""
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local held, of_window = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now_ms, '+inf'), 0
for i = 1, #held do
  if string.sub(held[i], 1, #ARGV[1] + 1) == ARGV[1] .. ':' then of_window = of_window + 1 end
end
return {of_window, #held, redis.call('GET', KEYS[2]) or '0'}
""")

STATE_CHANGED = -1
NOT_COUNTED, REFUSED = 0, -1
DID_NOT_FAIL = 0


class RedisLimits:
    """On one server. Everything here may raise redis.RedisError."""

    def __init__(self, scripts: ScriptRunner) -> None:
        self._scripts = scripts

    def reserve(self, ask: Ask, counted: tuple[int, int] | None = None) -> Verdict | None:
        """None: ask again with what PostgreSQL has `counted`, calls of the window and failures of the hour.

        Raises AccountStateChanged.
        """
        (draw,) = ask.draws
        keys = keys_of(ask)
        tail: tuple[str | int, ...] = (-1, 0)
        if (cached := ask.cached) is not None:
            keys += (cached.key,)
            requests_allowed = -1
            if cached.requests is not None and counted is None:
                requests = cached.requests()
                keys += (requests.key,)
                requests_allowed = requests.allowed
            tail = (requests_allowed, len(cached.fields), *cached.fields, *cached.values)
        if counted is not None:
            tail += counted
        interval = ask.burst.interval
        code, *rest = self._scripts.run(
            RESERVE,
            len(keys),
            *keys,
            draw.window.name,
            ask.request_id.hex,
            round(ask.lease_seconds * 1000),
            -1 if draw.allowed is None else draw.allowed,
            interval,
            interval * ask.burst.calls,
            ask.concurrency,
            -1 if ask.failures_per_hour is None else ask.failures_per_hour,
            *tail,
        )
        if code == STATE_CHANGED:
            raise AccountStateChanged
        if code < 0:
            return None
        violated, used, held, in_flight, tat, now = rest
        standing = Standing((used,), (held,), in_flight, tat, now)
        if not violated:
            return Verdict(frozenset(), (1,), standing)
        names = ((1, draw.policy), (2, BURST), (4, CONCURRENCY), (8, FAILURES))
        return Verdict(frozenset(name for bit, name in names if violated & bit), (1,), standing)

    def settle(self, ask: Ask, used: int, failures: int, lost: Lost | None = None) -> None:
        """Remove a call in flight. `used` may be NOT_COUNTED or REFUSED, `failures` DID_NOT_FAIL.

        With `lost` it is not waited for and nothing is raised: `lost` is told when it may not have happened.
        """
        counter, held, _, failed = keys_of(ask)
        arguments = (counter, held, failed, ask.draws[0].window.name, ask.request_id.hex, used, failures)
        if lost is None:
            self._scripts.run(SETTLE, 3, *arguments)
        else:
            self._scripts.tell(SETTLE, 3, *arguments, lost=lost)

    def in_flight(self, ask: Ask) -> tuple[int, int, int]:
        """Calls of the window and of any window, and the burst clock (microseconds)."""
        _, held_key, burst_key, _ = keys_of(ask)
        of_window, of_any, tat = self._scripts.run(IN_FLIGHT, 2, held_key, burst_key, ask.draws[0].window.name)
        return of_window, of_any, int(tat)


def keys_of(ask: Ask) -> tuple[str, ...]:
    """Of this user: the window's counter, the calls in flight, the burst clock, the hour's failures."""
    user, window = ask.user_id.hex, ask.draws[0].window.name
    return (
        f"{KEY_PREFIX}used:{ask.feature}:{window}:{user}",
        f"{KEY_PREFIX}held:{ask.feature}:{user}",
        f"{KEY_PREFIX}burst:{ask.feature}:{user}",
        f"{KEY_PREFIX}failed:{ask.feature}:{ask.hour.name}:{user}",
    )
