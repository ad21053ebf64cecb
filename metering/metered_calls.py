"""Metered calls: the one order in which everything that costs is done.

A slot, reserve, the idempotency key, call, settle, answer. Up to `reserve` nothing is taken from the user and nothing is
written. After it every way out passes exactly one of settle, failed and release, except when it is unknown whether the
settling was written: then the reservation stays until its lease ends, for nothing is given back that may be counted.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic, perf_counter
from uuid import UUID

import psycopg2
import structlog
from sqlalchemy.exc import SQLAlchemyError

from auth.principal import Caller, KeyPrincipal
from database.base import Clock, uuid7
from metering.breaker import Breaker, BreakerIsOpen, HealthSign
from metering.bulkhead import Bulkhead, TooManyInFlight
from metering.idempotency import TOO_LARGE_TO_KEEP, HeldKey, IdempotencyKeys, kept_form
from metering.limits import (
    FAILURE,
    FAILURES,
    AccountStateChanged,
    Ask,
    Burst,
    Draw,
    LimitsUnavailable,
    Refusal,
    Reservation,
    Standing,
)
from metering.metrics import (
    DECISIONS,
    STREAM_NOT_RECORDED,
    TURNED_AWAY,
    UPSTREAM_FAILURES,
    UPSTREAM_SECONDS,
    measures_of,
)
from metering.money import MONEY_UNIT, MoneyRefused
from metering.rate_limit_headers import RateLimitExceeded, TooManyFailures, rate_limit_headers, timing_headers
from metering.sampled_refusals import SampledRefusals
from metering.settle import LimitReachedMeanwhile, Outcome, SettledCall, Settlement, Spent, UsageNotRecorded
from metering.upstream import UpstreamFailed
from metering.usage_limits import UsageLimits
from metering.windows import hour_of
from security.edge.problems import DependencyUnavailable, Problem

MOST_ACCOUNT_CHANGES = 3
NOT_ADMITTED = (BreakerIsOpen, TooManyInFlight, RateLimitExceeded, TooManyFailures, MoneyRefused, LimitsUnavailable)
"""Refusals that say nothing against the caller, who may therefore see an answer that is stored."""
TURNED_AWAY_BY: Mapping[type[Problem], str] = {
    BreakerIsOpen: "breaker_open",
    TooManyInFlight: "too_many_in_flight",
    LimitsUnavailable: "limits_unavailable",
}
"""Those that say nothing of the caller's limits."""
STREAM_SETTLE_SECONDS = 60.0
"""A stream was read already, so its counting waits longer for PostgreSQL: nobody else waits for it."""


class NotInPlan(Problem):
    """The caller's plan does not have what was asked for. Nothing was reserved."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller's plan allows of one feature now.

    `failures_per_hour`: calls that may reach the upstream in vain; None for no limit. `shed_from`: the share of all slots from
    which the caller is turned away. `price_micros`: what a call costs that is reserved now. `in_postgres`: reserved there, as
    everything is that draws an amount. A feature that only counts calls may ask for it, so that what a killed process was at
    leaves a row.
    """

    draws: tuple[Draw, ...]
    burst: Burst
    concurrency: int
    failures_per_hour: int | None
    shed_from: float
    price_micros: int = 0
    in_postgres: bool = False

    def __post_init__(self) -> None:
        if len(self.draws) > 1:
            object.__setattr__(self, "in_postgres", True)


@dataclass(slots=True)
class Running:
    """A call that was admitted. `request_id` names it for the user; its reservation may have another name, for an idempotency
    key that was taken over: the first holder may still be alive, and whatever it gives back must not be this call's.
    """

    request_id: UUID
    caller: Caller
    reservation: Reservation
    held: HeldKey | None
    started: float
    price_micros: int

    def elapsed_ms(self) -> float:
        return (perf_counter() - self.started) * 1000

    def remaining(self, policy: str) -> int | None:
        """What is left of a policy after this call; None when it has no limit."""
        return next((state.remaining for state in self.reservation.policies if state.name == policy), None)


@dataclass(slots=True)
class Tally:
    """What a call has used so far. `amounts` by draw: the call itself, and what was reserved of the others unless it says less.

    Money is in millionths. `price_micros` begins as the price that the call was reserved at, and is what is drawn of money.
    `units` and `details` go into the log, so they hold no word of what the user asked. `answer`: what is kept for a client that
    asks again with its Idempotency-Key.
    """

    amounts: list[int]
    provider: str | None = None
    model: str | None = None
    units: dict[str, int] = field(default_factory=dict)
    details: dict[str, str | int | bool] = field(default_factory=dict)
    price_micros: int = 0
    cost_micros: int = 0
    answer: str | None = None


@dataclass(slots=True)
class Work:
    """What is special about one call of a feature.

    `noun` is what its calls are called, in the plural. `fingerprint` stands for the request: equal requests have equal ones.
    `allowance` says what a caller may use, or raises NotInPlan.
    """

    feature: str
    noun: str
    route: str
    fingerprint: str
    idempotency_key: str | None
    lease_seconds: float
    allowance: Callable[[Caller, datetime], Allowance]


@dataclass(slots=True)
class Delivered:
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class MeteredCalls:
    """All metered calls of one upstream, in this process.

    `confirm` authenticates a caller anew after the account changed while its state was cached, or raises as sign-in does.
    """

    limits: UsageLimits
    breaker: Breaker
    bulkhead: Bulkhead
    settlement: Settlement
    idempotency: IdempotencyKeys
    confirm: Callable[[Caller], Caller]
    clock: Clock
    refusals: SampledRefusals = field(default_factory=SampledRefusals)

    def once(self, caller: Caller, work: Work, perform: Callable[[Running, Tally], bytes]) -> Delivered:
        """Make a call that is answered as a whole: delivered and counted, or a Problem and not charged.

        `perform` makes it and returns the answer's body, or raises UpstreamFailed.
        """
        admitted = self._admit(caller, work, perf_counter())
        if isinstance(admitted, Delivered):
            return admitted
        running, slot = admitted
        try:
            tally = Tally(list(running.reservation.amounts), price_micros=running.price_micros)
            asked = perf_counter()
            try:
                body = perform(running, tally)
            except BaseException as error:
                self._give_back(running, work, slot, tally, error, asked=asked)
                raise
            upstream_ms = (perf_counter() - asked) * 1000
            slot.sign = HealthSign.GOOD
            return self._deliver(running, work, tally, body, upstream_ms)
        finally:
            slot.leave()

    def streamed(
        self, caller: Caller, work: Work, perform: Callable[[Running, Tally], Iterator[bytes]]
    ) -> "Delivered | Stream":
        """Make a call that is answered in parts. What was used is counted once, however the reading ends.

        `perform` yields the parts and keeps the tally; it raises UpstreamFailed before the first part, and after it ends its
        stream by itself. The first part is here when this returns, so whatever fails before it is an ordinary Problem. The
        stream must be closed, as WSGI servers do.
        """
        admitted = self._admit(caller, work, perf_counter(), streamed=True)
        if isinstance(admitted, Delivered):
            return admitted
        running, slot = admitted
        tally = Tally(list(running.reservation.amounts), price_micros=running.price_micros)
        asked = perf_counter()
        try:
            parts = perform(running, tally)
            first = next(parts, None)
        except BaseException as error:
            try:
                self._give_back(running, work, slot, tally, error, asked=asked)
            finally:
                slot.leave()
            raise
        slot.sign = HealthSign.GOOD
        return Stream(self, running, work, slot, tally, first=first, parts=parts)

    def usage(self, caller: Caller, work: Work) -> tuple[Ask, Standing]:
        """The figures as they stand, nothing taken. Raises LimitsUnavailable."""
        ask = self._ask(caller, work, uuid7(), work.allowance(caller, self.clock()))
        return ask, self.limits.usage(ask)

    def _admit(
        self, caller: Caller, work: Work, started: float, *, streamed: bool = False
    ) -> "Delivered | tuple[Running, _Slot]":
        """A call that may run, with its slot; or the stored answer of an earlier one."""
        try:
            caller, allowance = self._allowed(caller, work)
            # Only a call that reserves in Redis notices there that its session was revoked a moment ago.
            if not caller.fresh and (work.idempotency_key is not None or streamed or allowance.in_postgres):
                caller, allowance = self._allowed(self.confirm(caller), work)
            slot = _Slot(self.breaker, self.bulkhead, caller.user_id, allowance.shed_from)
            try:
                admitted = self._take(caller, allowance, work, started, streamed=streamed)
            except BaseException:
                slot.leave()
                raise
        except NOT_ADMITTED as refusal:
            if (reason := TURNED_AWAY_BY.get(type(refusal))) is not None:
                TURNED_AWAY.labels(work.feature, reason).inc()
            if work.idempotency_key is None:
                raise
            stored = self.idempotency.look(caller.user_id, work.route, work.idempotency_key, work.fingerprint)
            if stored is None:
                raise
            return _replayed(stored)
        if isinstance(admitted, bytes):
            slot.leave()
            return _replayed(admitted)
        return admitted, slot

    def _take(
        self, caller: Caller, allowance: Allowance, work: Work, started: float, *, streamed: bool
    ) -> Running | bytes:
        """The reservation and then the key."""
        own_id = uuid7()
        caller, reservation, price = self._reserve(caller, allowance, work, own_id, streamed=streamed)
        if work.idempotency_key is None:
            return Running(own_id, caller, reservation, None, started, price)
        try:
            claimed = self.idempotency.claim(
                caller.user_id, work.route, work.idempotency_key, fingerprint=work.fingerprint, request_id=own_id
            )
        except BaseException:
            self.limits.release(reservation)
            raise
        if isinstance(claimed, bytes):
            self.limits.release(reservation)
            return claimed
        return Running(claimed.request_id, caller, reservation, claimed, started, price)

    def _allowed(self, caller: Caller, work: Work) -> tuple[Caller, Allowance]:
        try:
            return caller, work.allowance(caller, self.clock())
        except NotInPlan:
            caller = self.confirm(caller)  # who upgraded a moment ago may still be remembered under the old tier
            return caller, work.allowance(caller, self.clock())
        except MoneyRefused as refusal:
            self._note_refusal(caller, work, refusal.error, refusal)
            raise

    def _ask(self, caller: Caller, work: Work, own_id: UUID, allowance: Allowance, *, streamed: bool = False) -> Ask:
        return Ask(
            request_id=own_id,
            user_id=caller.user_id,
            feature=work.feature,
            draws=allowance.draws,
            hour=hour_of(self.clock()),
            burst=allowance.burst,
            concurrency=allowance.concurrency,
            failures_per_hour=allowance.failures_per_hour,
            # What reserves in PostgreSQL rests on a state that was read for this request.
            cached=None if allowance.in_postgres or streamed else caller.cached,
            lease_seconds=work.lease_seconds,
            in_postgres=allowance.in_postgres or streamed,
        )

    def _reserve(
        self, caller: Caller, allowance: Allowance, work: Work, own_id: UUID, *, streamed: bool
    ) -> tuple[Caller, Reservation, int]:
        """All policies at once, or none. The caller returned is the one whose plan was counted against, the amount the price
        that was reserved.
        """
        for _ in range(MOST_ACCOUNT_CHANGES):
            ask = self._ask(caller, work, own_id, allowance, streamed=streamed)
            try:
                outcome = self.limits.reserve(ask)
            except AccountStateChanged:
                caller, allowance = self._allowed(self.confirm(caller), work)
                continue
            if isinstance(outcome, Refusal):
                for policy in outcome.violated:
                    DECISIONS.labels(work.feature, "refused", policy).inc()
                policy, problem = refused(outcome, ask, caller, work, self.clock())
                self._note_refusal(caller, work, f"limit_{policy}", problem)
                raise problem
            measures_of(work.feature).admitted.inc()
            return caller, outcome, allowance.price_micros
        raise DependencyUnavailable

    def _note_refusal(self, caller: Caller, work: Work, reason: str, problem: Problem) -> None:
        """In the log of calls, once a minute for each user and reason."""
        now = self.clock()
        sample = self.refusals.sample(caller.user_id, work.feature, reason, now)
        if sample is None:
            return
        self.settlement.note_failure(
            SettledCall(
                request_id=sample,
                user_id=caller.user_id,
                feature=work.feature,
                tier=caller.tier.value,
                window_date=now.date(),
                request_data_hash=work.fingerprint,
                outcome=Outcome.REFUSED,
                status=problem.status,
                error_code=reason,
                response_time_ms=0,
                upstream_ms=0,
            )
        )

    def _give_back(
        self, running: Running, work: Work, slot: "_Slot", tally: Tally, error: BaseException, *, asked: float
    ) -> None:
        """A failure costs nothing, and counts in the hour's failures when the upstream had work with it.

        `asked`: when the upstream was, by the performance counter.
        """
        if not isinstance(error, UpstreamFailed):
            self.limits.failed(running.reservation, None)
            self._release_key(running)
            return
        slot.sign = error.health
        upstream_ms = (perf_counter() - asked) * 1000
        measures_of(work.feature).failed.observe(upstream_ms / 1000)
        UPSTREAM_FAILURES.labels(work.feature, error.reason).inc()
        error.headers.update(timing_headers(running.elapsed_ms(), upstream_ms))
        hour = running.reservation.ask.hour.name
        failed = Spent(counter=work.feature, unit=FAILURE, window=hour, amount=error.sent, allowed=None)
        spent = (failed,) if error.sent else ()
        call = self._settled(
            running,
            work,
            tally,
            spent,
            outcome=error.outcome,
            upstream_ms=upstream_ms,
            status=error.status,
            error_code=error.reason,
        )
        failures = self.settlement.note_failure(call)
        if error.sent:
            self.limits.failed(running.reservation, failures, error.sent)
        else:
            self.limits.release(running.reservation)
        self._release_key(running)

    def _deliver(self, running: Running, work: Work, tally: Tally, body: bytes, upstream_ms: float) -> Delivered:
        """Count the call, then answer. Raises UsageNotRecorded instead of delivering what may be uncounted."""
        reservation = running.reservation
        tally.answer = kept_form(body) if running.held is not None else None
        try:
            spent = _spent(reservation.ask, tally, limited=True)
            call = self._settled(running, work, tally, spent, outcome=Outcome.DELIVERED, upstream_ms=upstream_ms)
            used = self.settlement.count(call)
        except LimitReachedMeanwhile:
            raise self._refuse_late(running, work, call) from None
        except BaseException as error:
            if not (isinstance(error, UsageNotRecorded) and error.may_be_counted):  # nothing was counted
                self.limits.failed(reservation, None)
                self._release_key(running)
            raise
        self.limits.settled(reservation, used)
        headers = rate_limit_headers(reservation.policies, self.clock())
        elapsed_ms, measures = running.elapsed_ms(), measures_of(work.feature)
        measures.delivered.observe(upstream_ms / 1000)
        measures.overhead.observe((elapsed_ms - upstream_ms) / 1000)
        return Delivered(body, headers | timing_headers(elapsed_ms, upstream_ms))

    def _refuse_late(self, running: Running, work: Work, call: SettledCall) -> Problem:
        """Others were counted while this call ran. It is not delivered, and its row says so."""
        self.limits.settled(running.reservation, None)
        measures_of(work.feature).refused_at_settling.inc()
        problem: Problem
        try:
            refusal = self.limits.refusal_of(running.reservation, [spent["amount"] for spent in call.spent])
            _, problem = refused(refusal, running.reservation.ask, running.caller, work, self.clock())
        except LimitsUnavailable as error:
            problem = error
        uncounted = replace(call, spent=(), answer=None, price_micros=None)
        failed = replace(uncounted, outcome=Outcome.FAILED, status=problem.status, error_code=problem.error)
        self.settlement.note_failure(failed)
        self._release_key(running)
        return problem

    def end_stream(self, running: Running, work: Work, tally: Tally, outcome: Outcome) -> None:
        """Count what was used of a stream. It was read already, so no limit refuses it, and nobody is told of a failure."""
        if outcome is Outcome.CUT_SHORT or tally.answer is None:
            tally.answer = TOO_LARGE_TO_KEEP  # or the key would stand for another stream when its lease ends
        try:
            spent = _spent(running.reservation.ask, tally, limited=False)
            upstream_ms = running.elapsed_ms()
            UPSTREAM_SECONDS.labels(work.feature, outcome.value).observe(upstream_ms / 1000)
            call = self._settled(running, work, tally, spent, outcome=outcome, upstream_ms=upstream_ms)
            used = self.settlement.count(call, STREAM_SETTLE_SECONDS)
        except (UsageNotRecorded, psycopg2.Error, ValueError, TypeError) as error:
            # Its reservation stays until the lease ends.
            STREAM_NOT_RECORDED.inc()
            structlog.get_logger().error(
                "stream_not_counted", call=str(running.request_id), amounts=tally.amounts, cause=type(error).__name__
            )
            return
        self.limits.settled(running.reservation, used)

    def _settled(
        self,
        running: Running,
        work: Work,
        tally: Tally,
        spent: tuple[Spent, ...],
        *,
        outcome: Outcome,
        upstream_ms: float,
        status: int = 200,
        error_code: str | None = None,
    ) -> SettledCall:
        ask, caller = running.reservation.ask, running.caller
        succeeded = error_code is None
        return SettledCall(
            request_id=running.request_id,
            user_id=caller.user_id,
            feature=work.feature,
            tier=caller.tier.value,
            window_date=ask.draws[0].window.first_day,
            request_data_hash=work.fingerprint,
            outcome=outcome,
            status=status,
            error_code=error_code,
            response_time_ms=round(running.elapsed_ms()),
            upstream_ms=round(upstream_ms),
            spent=spent,
            held=ask.request_id if running.reservation.in_postgres else None,
            key=running.held,
            answer=tally.answer if succeeded else None,
            api_key_id=caller.key_id if isinstance(caller, KeyPrincipal) else None,
            provider=tally.provider,
            model=tally.model,
            units=tally.units or None,
            price_micros=(tally.price_micros if succeeded else 0) or None,
            cost_micros=tally.cost_micros or None,
            details=tally.details or None,
        )

    def _release_key(self, running: Running) -> None:
        if running.held is None:
            return
        try:
            self.idempotency.release(running.held)
        except SQLAlchemyError as error:  # its lease ends by itself, and the client's answer is decided already
            structlog.get_logger().warning("idempotency_key_not_released", cause=type(error).__name__)


class Stream(Iterator[bytes]):
    """The parts of an answer. It counts what was used when it ends, is closed, or breaks; once."""

    def __init__(
        self,
        calls: MeteredCalls,
        running: Running,
        work: Work,
        slot: "_Slot",
        tally: Tally,
        *,
        first: bytes | None,
        parts: Iterator[bytes],
    ) -> None:
        self.headers = rate_limit_headers(running.reservation.policies, calls.clock())
        self._calls, self._running, self._work, self._slot, self._tally = calls, running, work, slot, tally
        self._first = first
        self._parts = parts
        self._extend_at = monotonic() + work.lease_seconds / 3
        self._ending = threading.Lock()

    def __next__(self) -> bytes:
        if (first := self._first) is not None:
            self._first = None
            return first
        if monotonic() >= self._extend_at and not self._extended():
            self.close()
            raise StopIteration
        try:
            return next(self._parts)
        except StopIteration:
            self._end(Outcome.DELIVERED)
            raise
        except BaseException:
            self._end(Outcome.CUT_SHORT)
            raise

    def close(self) -> None:
        try:
            if (close := getattr(self._parts, "close", None)) is not None:
                close()
        finally:
            self._end(Outcome.CUT_SHORT)

    def _extended(self) -> bool:
        """False when the lease is over, and others may have what it held: then the stream ends here."""
        self._extend_at = monotonic() + self._work.lease_seconds / 3
        try:
            return self._calls.limits.extend(self._running.reservation, self._work.lease_seconds)
        except LimitsUnavailable:
            return True  # the next third of the lease tries again

    def _end(self, outcome: Outcome) -> None:
        if not self._ending.acquire(blocking=False):
            return
        self._slot.leave()
        self._calls.end_stream(self._running, self._work, self._tally, outcome)


class _Slot:
    """A place in the process and leave of the breaker, from here until `leave`. `sign`: what the call said of its upstream."""

    def __init__(self, breaker: Breaker, bulkhead: Bulkhead, user_id: UUID, shed_from: float) -> None:
        self.sign = HealthSign.UNKNOWN
        self._breaker, self._bulkhead = breaker, bulkhead
        self._ticket = breaker.admit(user_id)
        try:
            bulkhead.enter(shed_from)
        except BaseException:
            breaker.judge(self._ticket, HealthSign.UNKNOWN)
            raise

    def leave(self) -> None:
        self._bulkhead.leave()
        self._breaker.judge(self._ticket, self.sign)


def _spent(ask: Ask, tally: Tally, *, limited: bool) -> tuple[Spent, ...]:
    """Money is spent as the call is charged. Raises ValueError for an amount below nothing: counters only rise."""
    if min(tally.amounts) < 0 or tally.price_micros < 0:
        raise ValueError("A call cannot have used less than nothing")
    spent: list[Spent] = [
        {
            "counter": draw.counter,
            "unit": draw.unit,
            "window": draw.window.name,
            "amount": amount if draw.unit != MONEY_UNIT else tally.price_micros,
            "allowed": draw.allowed if limited else None,
        }
        for draw, amount in zip(ask.draws, tally.amounts, strict=True)
    ]
    return tuple(spent)


def refused(refusal: Refusal, ask: Ask, caller: Caller, work: Work, now: datetime) -> tuple[str, Problem]:
    """The policy that the caller is told of, and how. What says it in its own way comes first: waiting a moment, as after any
    other refusal, would be in vain.
    """
    if FAILURES in refusal.violated:
        return FAILURES, TooManyFailures(refusal, work.noun, now)
    for draw in ask.draws:
        if draw.refused is not None and draw.policy in refusal.violated:
            state = next(policy for policy in refusal.policies if policy.name == draw.policy)
            return draw.policy, draw.refused(state, now)
    return refusal.violated[0], RateLimitExceeded(refusal, caller.tier, work.noun, now)


def _replayed(stored: bytes) -> Delivered:
    return Delivered(stored, {"Idempotency-Replayed": "true"})
