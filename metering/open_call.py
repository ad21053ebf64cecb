"""An admitted call and its end: settled, failed or released, exactly one of them, once.

While PostgreSQL is away none of them can be written. Then the reservation stays until its lease ends, for nothing is given back
that may be counted, and a job notes the call as abandoned: what reached an upstream leaves a row.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter
from uuid import UUID

import psycopg2
import structlog
from sqlalchemy.exc import SQLAlchemyError

from auth.principal import Caller, KeyPrincipal
from database.base import Clock
from metering.breaker import Breaker, HealthSign, Ticket
from metering.bulkhead import Bulkhead
from metering.idempotency import TOO_LARGE_TO_KEEP, HeldKey, IdempotencyKeys, kept_form
from metering.limits import FAILURE, Ask, LimitsUnavailable, Reservation
from metering.metrics import CALL_NOT_RECORDED, STREAM_NOT_RECORDED, UPSTREAM_FAILURES, UPSTREAM_SECONDS, measures_of
from metering.money import MONEY_UNIT
from metering.rate_limit_headers import rate_limit_headers, refused, timing_headers
from metering.settle import LimitReachedMeanwhile, Outcome, SettledCall, Settlement, Spent, UsageNotRecorded
from metering.upstream import UpstreamFailed
from metering.usage_limits import UsageLimits
from metering.work import Work
from security.edge.problems import InternalError, Problem

ANSWERED_SECONDS = 60.0
"""What was read already waits longer for PostgreSQL to count it: nobody else waits for it."""
NOT_RECORDED = "usage_not_recorded"
"""The error code of a row whose call could not be counted, so its answer was withheld."""


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
class Delivered:
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Ledger:
    """Where calls of one upstream are written, and what each of them holds of this process."""

    limits: UsageLimits
    breaker: Breaker
    bulkhead: Bulkhead
    settlement: Settlement
    idempotency: IdempotencyKeys
    clock: Clock

    def leave(self, ticket: Ticket, sign: HealthSign) -> None:
        """Give a place back. `sign`: what the call said of its upstream."""
        self.bulkhead.leave()
        self.breaker.judge(ticket, sign)

    def release_key(self, held: HeldKey | None) -> None:
        """Never raises."""
        if held is None:
            return
        try:
            self.idempotency.release(held)
        except SQLAlchemyError as error:  # its lease ends by itself, and the client's answer is decided already
            structlog.get_logger().warning("idempotency_key_not_released", cause=type(error).__name__)


class OpenCall:
    """A call that may be made now. Whoever has it keeps `tally`, and ends it with one of `deliver`, `answered`, `failed` and
    `released`. The last three may be called by whoever comes first, and only the first has an effect.

    No request has to wait for it: `extend` keeps what it reserved for another `Work.lease_seconds`. All of these wait for
    PostgreSQL, so an event loop leaves them to a thread, one with the application's context.
    """

    __slots__ = ("_asked", "_ending", "_ledger", "_ticket", "_work", "running", "tally")

    def __init__(self, ledger: Ledger, running: Running, work: Work, ticket: Ticket) -> None:
        self.running = running
        self.tally = Tally(list(running.reservation.amounts), price_micros=running.price_micros)
        self._ledger, self._work, self._ticket = ledger, work, ticket
        self._ending = threading.Lock()
        self._asked = perf_counter()

    @property
    def headers(self) -> dict[str, str]:
        """What is left of each policy with this call in it, for its answer."""
        return rate_limit_headers(self.running.reservation.policies, self._ledger.clock())

    def granted(self, policy: str) -> int:
        """How much of a draw was reserved. Raises KeyError for a policy that the call does not draw from."""
        reservation = self.running.reservation
        draws = zip(reservation.ask.draws, reservation.amounts, strict=True)
        return {draw.policy: amount for draw, amount in draws}[policy]

    def moved(self, breaker: Breaker, sign: HealthSign) -> None:
        """Another upstream is asked in place of this one, of which `sign` says what it was worth. Waits for nothing.

        Raises BreakerIsOpen for one that takes no calls now, and then all is as before.
        """
        ticket = breaker.admit(self.running.caller.user_id)
        self._ledger.breaker.judge(self._ticket, sign)
        self._ledger, self._ticket = replace(self._ledger, breaker=breaker), ticket

    def extend(self) -> bool:
        """False when the lease is over, and others may have what it held: then the call should end. While PostgreSQL cannot be
        asked it is True, for the lease still runs; so ask at least three times a lease.
        """
        try:
            return self._ledger.limits.extend(self.running.reservation, self._work.lease_seconds)
        except LimitsUnavailable:
            return True

    def deliver(self, body: bytes) -> Delivered:
        """Count a call that is answered as a whole, then answer. Raises a Problem instead of delivering what may be uncounted,
        or what others left no room for.
        """
        running, tally = self.running, self.tally
        reservation = running.reservation
        upstream_ms = (perf_counter() - self._asked) * 1000
        tally.answer = kept_form(body) if running.held is not None else None
        try:
            spent = _spent(reservation.ask, tally, limited=True)
            call = self._settled(spent, outcome=Outcome.DELIVERED, upstream_ms=upstream_ms)
            used = self._ledger.settlement.count(call)
        except LimitReachedMeanwhile:
            raise self._refuse_late(call) from None
        except BaseException as error:
            if not isinstance(error, UsageNotRecorded):
                self._fail(Outcome.FAILED, status=InternalError.status, error_code=InternalError.error)
                raise
            CALL_NOT_RECORDED.inc()
            if not error.may_be_counted:
                self._fail(Outcome.FAILED, status=error.status, error_code=NOT_RECORDED)
            raise
        finally:
            self._ledger.leave(self._ticket, HealthSign.GOOD)
        self._ledger.limits.settled(reservation, used)
        headers = rate_limit_headers(reservation.policies, self._ledger.clock())
        elapsed_ms, measures = running.elapsed_ms(), measures_of(self._work.feature)
        measures.delivered.observe(upstream_ms / 1000)
        measures.overhead.observe((elapsed_ms - upstream_ms) / 1000)
        return Delivered(body, headers | timing_headers(elapsed_ms, upstream_ms))

    def answered(self, outcome: Outcome = Outcome.DELIVERED, seconds: float = ANSWERED_SECONDS) -> bool:
        """Count what the tally says, also beyond what was reserved: it was read already, so no limit refuses it. `outcome` is
        DELIVERED or CUT_SHORT. `tally.answer` is kept under the idempotency key, whatever the outcome; without one the key
        stands for an answer that was not kept. `seconds`: how long to wait for PostgreSQL.

        False: PostgreSQL did not confirm it in that time, so nothing is charged unless its last answer was lost; or the call had ended
        before.
        """
        if not self._ending.acquire(blocking=False):
            return False
        self._ledger.leave(self._ticket, HealthSign.GOOD if outcome is Outcome.DELIVERED else HealthSign.UNKNOWN)
        tally, running = self.tally, self.running
        if tally.answer is None:
            tally.answer = TOO_LARGE_TO_KEEP  # or the key would stand for another call when its lease ends
        upstream_ms = (perf_counter() - self._asked) * 1000
        UPSTREAM_SECONDS.labels(self._work.feature, outcome.value).observe(upstream_ms / 1000)
        try:
            spent = _spent(running.reservation.ask, tally, limited=False)
            call = self._settled(spent, outcome=outcome, upstream_ms=upstream_ms)
            used = self._ledger.settlement.count(call, seconds)
        except (UsageNotRecorded, psycopg2.Error, ValueError, TypeError) as error:
            # Its reservation stays until the lease ends.
            STREAM_NOT_RECORDED.inc()
            structlog.get_logger().error(
                "stream_not_counted", call=str(running.request_id), amounts=tally.amounts, cause=type(error).__name__
            )
            return False
        self._ledger.limits.settled(running.reservation, used)
        return True

    def failed(self, error: BaseException) -> None:
        """Nothing is charged. It counts in the hour's failures, unless it is an UpstreamFailed that says that nothing was sent."""
        if not self._ending.acquire(blocking=False):
            return
        try:
            self._give_back(error)
        finally:
            self._ledger.leave(self._ticket, error.health if isinstance(error, UpstreamFailed) else HealthSign.UNKNOWN)

    def released(self) -> None:
        """The call was not made after all: nothing is written."""
        if not self._ending.acquire(blocking=False):
            return
        try:
            self._ledger.limits.release(self.running.reservation)
            self._ledger.release_key(self.running.held)
        finally:
            self._ledger.leave(self._ticket, HealthSign.UNKNOWN)

    def _give_back(self, error: BaseException) -> None:
        if not isinstance(error, UpstreamFailed):  # nobody foresaw it, so the upstream may have been asked
            said = error if isinstance(error, Problem) else InternalError
            self._fail(Outcome.FAILED, status=said.status, error_code=said.error)
            return
        feature, upstream_ms = self._work.feature, (perf_counter() - self._asked) * 1000
        measures_of(feature).failed.observe(upstream_ms / 1000)
        UPSTREAM_FAILURES.labels(feature, error.reason).inc()
        error.headers.update(timing_headers(self.running.elapsed_ms(), upstream_ms))
        self._fail(error.outcome, status=error.status, error_code=error.reason, times=error.sent)

    def _fail(self, outcome: Outcome, *, status: int, error_code: str, times: int = 1) -> None:
        """Leave a row and charge nothing. `times`: how often the upstream was asked."""
        limits, running = self._ledger.limits, self.running
        hour = running.reservation.ask.hour.name
        failed = Spent(counter=self._work.feature, unit=FAILURE, window=hour, amount=times, allowed=None)
        ended = partial(
            self._settled,
            (failed,) if times else (),
            outcome=outcome,
            upstream_ms=(perf_counter() - self._asked) * 1000,
            status=status,
            error_code=error_code,
        )
        try:
            call = ended()
        except TypeError:  # what was noted of it cannot be written, so the row goes without
            self.tally = Tally([])
            call = ended()
        limits.failed(running.reservation, self._ledger.settlement.note_failure(call), times)
        self._ledger.release_key(running.held)

    def _refuse_late(self, call: SettledCall) -> Problem:
        """Others were counted while this call ran. It is not delivered, and its row says so."""
        ledger, running, work = self._ledger, self.running, self._work
        measures_of(work.feature).refused_at_settling.inc()
        problem: Problem
        try:
            refusal = ledger.limits.refusal_of(running.reservation, [spent["amount"] for spent in call.spent])
            _, problem = refused(refusal, running.reservation.ask, running.caller.tier, work.noun, ledger.clock())
        except LimitsUnavailable as error:
            problem = error
        uncounted = replace(call, spent=(), answer=None, price_micros=None)
        failed = replace(uncounted, outcome=Outcome.FAILED, status=problem.status, error_code=problem.error)
        if ledger.settlement.note_failure(failed) is not None or not running.reservation.leaves_a_row:
            ledger.limits.settled(running.reservation, None)
        ledger.release_key(running.held)
        return problem

    def _settled(
        self,
        spent: tuple[Spent, ...],
        *,
        outcome: Outcome,
        upstream_ms: float,
        status: int = 200,
        error_code: str | None = None,
    ) -> SettledCall:
        running, tally, work = self.running, self.tally, self._work
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
