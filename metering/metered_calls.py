"""Metered calls: the one order in which everything that costs is done.

A slot, the reservation and the idempotency key, the call, its settling, the answer. What reserves in PostgreSQL claims the key
first, so that of many requests with one key only one takes anything; what Redis may refuse claims it last, so that a refusal
writes nothing. From then on the call is open, and nothing is taken for it but by its end (metering.open_call).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from uuid import UUID

from auth.principal import Caller
from database.base import uuid7
from metering.breaker import BreakerIsOpen, HealthSign
from metering.bulkhead import TooManyInFlight
from metering.idempotency import AnswerNotKept, HeldKey, IdempotencyKeyReused, RequestStillRunning
from metering.limits import AccountStateChanged, Ask, LimitsUnavailable, Refusal, Reservation, Standing
from metering.metrics import DECISIONS, TURNED_AWAY, measures_of
from metering.money import MoneyRefused
from metering.open_call import Delivered, Ledger, OpenCall, Running, Tally
from metering.rate_limit_headers import RateLimitExceeded, TooManyFailures, refused
from metering.sampled_refusals import SampledRefusals
from metering.settle import Outcome, SettledCall, UsageNotRecorded
from metering.stream import Stream
from metering.windows import hour_of
from metering.work import Allowance, NotInPlan, Work
from security.edge.problems import DependencyUnavailable, Problem

__all__ = [
    "Allowance",
    "Delivered",
    "MeteredCalls",
    "NotInPlan",
    "OpenCall",
    "Running",
    "Stream",
    "Tally",
    "Work",
]

MOST_ACCOUNT_CHANGES = 3
NOT_ADMITTED = (BreakerIsOpen, TooManyInFlight, RateLimitExceeded, TooManyFailures, MoneyRefused, LimitsUnavailable)
"""Refusals that say nothing against the caller, who may therefore see an answer that is stored."""
METERED_PROBLEMS: tuple[type[Problem], ...] = (
    RateLimitExceeded,
    TooManyFailures,
    LimitsUnavailable,
    BreakerIsOpen,
    TooManyInFlight,
    UsageNotRecorded,
    IdempotencyKeyReused,
    RequestStillRunning,
    AnswerNotKept,
)
"""What any metered call can be answered, beside what its upstream and its plan say of it."""
TURNED_AWAY_BY: Mapping[type[Problem], str] = {
    BreakerIsOpen: "breaker_open",
    TooManyInFlight: "too_many_in_flight",
    LimitsUnavailable: "limits_unavailable",
}
"""Those that say nothing of the caller's limits."""


@dataclass(frozen=True)
class MeteredCalls(Ledger):
    """All metered calls of one upstream, in this process.

    `confirm` authenticates a caller anew after the account changed while its state was cached, or raises as sign-in does.
    """

    confirm: Callable[[Caller], Caller]
    refusals: SampledRefusals = field(default_factory=SampledRefusals)

    def once(self, caller: Caller, work: Work, perform: Callable[[Running, Tally], bytes]) -> Delivered:
        """Make a call that is answered as a whole: delivered and counted, or a Problem and not charged.

        `perform` makes it and returns the answer's body, or raises UpstreamFailed.
        """
        call = self._admit(caller, work, perf_counter())
        if isinstance(call, Delivered):
            return call
        try:
            body = perform(call.running, call.tally)
        except BaseException as error:
            call.failed(error)
            raise
        return call.deliver(body)

    def begin(self, caller: Caller, work: Work) -> Delivered | OpenCall:
        """A call that no request waits for: whoever has it makes it, keeps its lease and ends it. Or the stored answer of an
        earlier one with the same idempotency key.

        Raises a Problem for every way in which it may not be made. RequestStillRunning names the call that holds the key.
        """
        return self._admit(caller, work, perf_counter(), kept_open=True)

    def streamed(
        self, caller: Caller, work: Work, perform: Callable[[Running, Tally], Iterator[bytes]]
    ) -> Delivered | Stream:
        """Make a call that is answered in parts. What was used is counted once, however the reading ends.

        `perform` yields the parts and keeps the tally; it raises UpstreamFailed before the first part, and after it ends its
        stream by itself. The first part is here when this returns, so whatever fails before it is an ordinary Problem. The
        stream must be closed, as WSGI servers do.
        """
        call = self.begin(caller, work)
        if isinstance(call, Delivered):
            return call
        try:
            parts = perform(call.running, call.tally)
            first = next(parts, None)
        except BaseException as error:
            call.failed(error)
            raise
        return Stream(call, work.lease_seconds, first=first, parts=parts)

    def usage(self, caller: Caller, work: Work) -> tuple[Ask, Standing]:
        """The figures as they stand, nothing taken. Raises LimitsUnavailable."""
        allowance = work.allowance(caller, self.clock())
        ask = self._ask(caller, work, uuid7(), allowance, in_postgres=allowance.in_postgres)
        return ask, self.limits.usage(ask)

    def _admit(self, caller: Caller, work: Work, started: float, *, kept_open: bool = False) -> Delivered | OpenCall:
        """A call that may run, with its slot; or the stored answer of an earlier one."""
        try:
            caller, allowance = self._allowed(caller, work)
            in_postgres = kept_open or allowance.in_postgres
            # Only a call that reserves in Redis notices there that its session was revoked a moment ago.
            if not caller.fresh and (work.idempotency_key is not None or in_postgres):
                caller, allowance = self._allowed(self.confirm(caller), work)
            ticket = self.breaker.admit(caller.user_id)
            try:
                self.bulkhead.enter(allowance.shed_from)
            except BaseException:
                self.breaker.judge(ticket, HealthSign.UNKNOWN)
                raise
            try:
                running = self._take(caller, allowance, work, started, in_postgres=in_postgres)
            except BaseException:
                self.leave(ticket, HealthSign.UNKNOWN)
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
        if isinstance(running, bytes):
            self.leave(ticket, HealthSign.UNKNOWN)
            return _replayed(running)
        return OpenCall(self, running, work, ticket)

    def _take(
        self, caller: Caller, allowance: Allowance, work: Work, started: float, *, in_postgres: bool
    ) -> Running | bytes:
        """The reservation and the key."""
        own_id, key = uuid7(), work.idempotency_key
        if key is None:
            caller, reservation, price = self._reserve(caller, allowance, work, own_id, in_postgres=in_postgres)
            return Running(own_id, caller, reservation, None, started, price)
        claim = partial(
            self.idempotency.claim, caller.user_id, work.route, key, fingerprint=work.fingerprint, request_id=own_id
        )
        if in_postgres:
            held = claim()
            if isinstance(held, bytes):
                return held
            try:
                caller, reservation, price = self._reserve(caller, allowance, work, own_id, in_postgres=True)
                if held.taken_over:
                    self.idempotency.set_aside(held)
            except BaseException:
                self.release_key(held)
                raise
        else:
            caller, reservation, price = self._reserve(caller, allowance, work, own_id, in_postgres=False)
            try:
                held = claim()
                if isinstance(held, HeldKey) and held.taken_over:
                    self.idempotency.set_aside(held)
            except BaseException:
                self.limits.release(reservation)
                raise
            if isinstance(held, bytes):
                self.limits.release(reservation)
                return held
        return Running(held.request_id, caller, reservation, held, started, price)

    def _allowed(self, caller: Caller, work: Work) -> tuple[Caller, Allowance]:
        try:
            return caller, work.allowance(caller, self.clock())
        except NotInPlan:
            caller = self.confirm(caller)  # who upgraded a moment ago may still be remembered under the old tier
            return caller, work.allowance(caller, self.clock())
        except MoneyRefused as refusal:
            self._note_refusal(caller, work, refusal.error, refusal)
            raise

    def _ask(self, caller: Caller, work: Work, own_id: UUID, allowance: Allowance, *, in_postgres: bool) -> Ask:
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
            cached=None if in_postgres else caller.cached,
            lease_seconds=work.lease_seconds,
            in_postgres=in_postgres,
        )

    def _reserve(
        self, caller: Caller, allowance: Allowance, work: Work, own_id: UUID, *, in_postgres: bool
    ) -> tuple[Caller, Reservation, int]:
        """All policies at once, or none. The caller returned is the one whose plan was counted against, the amount the price
        that was reserved.
        """
        for _ in range(MOST_ACCOUNT_CHANGES):
            ask = self._ask(caller, work, own_id, allowance, in_postgres=in_postgres)
            try:
                outcome = self.limits.reserve(ask)
            except AccountStateChanged:
                caller, allowance = self._allowed(self.confirm(caller), work)
                continue
            if isinstance(outcome, Refusal):
                for policy in outcome.violated:
                    DECISIONS.labels(work.feature, "refused", policy).inc()
                policy, problem = refused(outcome, ask, caller.tier, work.noun, self.clock())
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


def _replayed(stored: bytes) -> Delivered:
    return Delivered(stored, {"Idempotency-Replayed": "true"})
