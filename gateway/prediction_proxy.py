"""Make a prediction: the one metered call, from the checked request to the answer's bytes.

The order is what makes it exact: breaker, bulkhead, reserve, claim the idempotency key, call, settle, answer. Up to `reserve`
nothing is taken from the user and nothing is written, so a refusal costs no write; whoever is refused gets the answer that is
stored under the key, if there is one. After `reserve` every way out passes exactly one of settle, failed and release, except
when it is unknown whether the settle was written: then the reservation stays until its lease ends, for nothing is given back
that may be counted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from uuid import UUID

import orjson
import psycopg2
import structlog
from sqlalchemy.exc import SQLAlchemyError

from auth.principal import Caller
from auth.tiers import Tier
from database.base import Clock, utc_now, uuid7
from gateway.breaker import Breaker, BreakerIsOpen, Ticket
from gateway.bulkhead import Bulkhead, TooManyInFlight
from gateway.idempotency import HeldKey, IdempotencyKeys, StoredAnswer, check_key, kept_form
from gateway.limits import (
    FAILURES,
    AccountStateChanged,
    Ask,
    Limits,
    LimitsUnavailable,
    Refusal,
    Reservation,
    hour_name,
)
from gateway.plan_limits import PlanLimits
from gateway.private_server import PredictionCall, PrivateServer
from gateway.private_server_problems import HealthSign, PrivateServerFailed, PrivateServerUnreachable
from gateway.rate_limit_headers import DAY, RateLimitExceeded, TooManyFailures, rate_limit_headers, timing_headers
from gateway.result_document import with_metadata
from gateway.sampled_refusals import SampledRefusals
from gateway.settle import SettledCall, Settlement, UsageNotRecorded
from security.keyed_digest import keyed_digest
from security.problems import DependencyUnavailable, Problem

FEATURE = "predict"
ROUTE = "POST /api/gateway/predict"
ENHANCED_GROUNDING = "enhanced_grounding"
LEASE_MARGIN_SECONDS = 30.0
MOST_ACCOUNT_CHANGES = 3
UNLIMITED = -1
NOT_ADMITTED = (BreakerIsOpen, TooManyInFlight, RateLimitExceeded, TooManyFailures, LimitsUnavailable)
"""Refusals that say nothing against the caller, who may therefore see an answer that is stored."""


class FeatureNotInTier(Problem):
    """The caller's plan does not have an option that was asked for. Nothing was reserved."""

    status, error, title = 403, "feature_not_in_tier", "Your plan does not include this option"

    def __init__(self, feature: str, tier: Tier, plans: Mapping[Tier, PlanLimits]) -> None:
        including = [each.value for each, plan in plans.items() if feature in plan.features]
        elsewhere = f"These plans do: {', '.join(including)}" if including else "No plan does"
        super().__init__(
            f"The {tier.value} plan does not include {feature}. {elsewhere}",
            feature=feature,
            tier=tier.value,
            included_in=including,
        )


@dataclass(frozen=True, slots=True)
class Question:
    """A checked request: `document` is its canonical JSON, which is also what the private server gets."""

    document: bytes
    enhanced_grounding: bool
    idempotency_key: str | None
    trace_request_id: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Prediction:
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class PredictionProxy:
    """What a metered call needs. One per process.

    `confirm` authenticates a caller anew after the account changed while its state was cached, or raises as sign-in does.
    `hash_key`: the server's key of `request_data_hash`.
    """

    limits: Limits
    plans: Mapping[Tier, PlanLimits]
    private_server: PrivateServer
    breaker: Breaker
    bulkhead: Bulkhead
    settlement: Settlement
    idempotency: IdempotencyKeys
    confirm: Callable[[Caller], Caller]
    hash_key: bytes
    clock: Clock = utc_now
    refusals: SampledRefusals = field(default_factory=SampledRefusals)

    def predict(self, caller: Caller, question: Question) -> Prediction:
        """Raises a Problem for every way in which there is no prediction; none of them is charged."""
        call = _Call(uuid7(), keyed_digest(self.hash_key, question.document).hex(), question, perf_counter())
        caller = self._with_features(caller, question)
        key = question.idempotency_key
        if key is not None:
            check_key(key)
            # A replay may reserve nothing, so nothing else would notice that the session was revoked a moment ago.
            caller = caller if caller.fresh else self.confirm(caller)
        try:
            return self._with_capacity(caller, call)
        except Exception as error:
            if call.held is not None:
                may_be_stored = isinstance(error, UsageNotRecorded) and error.may_be_counted
                if not may_be_stored:
                    self._release_key(call.held)
            elif key is not None and isinstance(error, NOT_ADMITTED):
                stored = self.idempotency.find(caller.user_id, ROUTE, key, fingerprint=call.request_hash)
                if stored is not None:
                    return _replay(stored)
            raise

    def _with_capacity(self, caller: Caller, call: "_Call") -> Prediction:
        ticket = self.breaker.admit(caller.user_id)
        verdict: Callable[[Ticket], None] = self.breaker.not_judged
        try:
            self.bulkhead.enter(self.plans[caller.tier].shed_from)
            try:
                caller, reservation = self._reserve(caller, call)
                stored = self._claim_key(caller, call, reservation)
                if stored is not None:
                    return stored
                result, upstream_ms = self._ask_private_server(caller, call, reservation)
                verdict = self.breaker.succeeded
                return self._deliver(caller, call, reservation, result, upstream_ms)
            finally:
                self.bulkhead.leave()
        except PrivateServerUnreachable:
            verdict = self.breaker.not_connected
            raise
        except PrivateServerFailed as failure:
            if failure.health is not HealthSign.UNKNOWN:
                verdict = self.breaker.failed if failure.health is HealthSign.BAD else self.breaker.succeeded
            raise
        finally:
            verdict(ticket)

    def _reserve(self, caller: Caller, call: "_Call") -> tuple[Caller, Reservation]:
        """All policies at once, or none. The caller returned is the one whose tier was counted against."""
        for _ in range(MOST_ACCOUNT_CHANGES):
            try:
                outcome = self.limits.reserve(
                    Ask(
                        request_id=call.own_id,
                        user_id=caller.user_id,
                        feature=FEATURE,
                        limits=self.plans[caller.tier],
                        cached=caller.cached,
                        lease_seconds=self.private_server.timeout + LEASE_MARGIN_SECONDS,
                        counted=caller.fresh,
                    )
                )
            except AccountStateChanged:
                caller = self._with_features(self.confirm(caller), call.question)
                continue
            if isinstance(outcome, Refusal):
                self._note_refusal(caller, call, outcome)
                if FAILURES in outcome.violated:
                    raise TooManyFailures(outcome, self.clock())
                raise RateLimitExceeded(outcome, caller.tier, self.clock())
            return caller, outcome
        raise DependencyUnavailable

    def _note_refusal(self, caller: Caller, call: "_Call", refusal: Refusal) -> None:
        """In the log of calls, once a minute for each user and policy."""
        now, policy = self.clock(), refusal.violated[0]
        sample = self.refusals.sample(caller.user_id, FEATURE, policy, now)
        if sample is None:
            return
        self.settlement.note_failure(
            SettledCall(
                request_id=sample,
                user_id=caller.user_id,
                feature=FEATURE,
                tier=caller.tier.value,
                window_date=now.date(),
                request_data_hash=call.request_hash,
                status=RateLimitExceeded.status,
                error_code=f"limit_{policy}",
                response_time_ms=round(call.elapsed_ms()),
                upstream_ms=0,
                held=None,
                key=None,
                answer=None,
            )
        )

    def _claim_key(self, caller: Caller, call: "_Call", reservation: Reservation) -> Prediction | None:
        """The stored answer, when the key has one: then the reservation is given back."""
        key = call.question.idempotency_key
        if key is None:
            return None
        try:
            claimed = self.idempotency.claim(
                caller.user_id, ROUTE, key, fingerprint=call.request_hash, request_id=call.own_id
            )
        except BaseException:
            self.limits.release(reservation)
            raise
        if isinstance(claimed, StoredAnswer):
            self.limits.release(reservation)
            return _replay(claimed)
        call.held = claimed
        return None

    def _ask_private_server(self, caller: Caller, call: "_Call", reservation: Reservation) -> tuple[bytes, float]:
        """The result and the private server's milliseconds. Whatever goes wrong here is given back."""
        asked = perf_counter()
        try:
            result = self.private_server.predict(
                PredictionCall(
                    request_id=call.request_id,
                    user_id=caller.user_id,
                    tier=caller.tier.value,
                    document=call.question.document,
                    trace_request_id=call.question.trace_request_id,
                    traceparent=call.question.traceparent,
                )
            )
        except PrivateServerFailed as failure:
            upstream_ms = (perf_counter() - asked) * 1000
            ended = _Ending(failure.status, failure.reason, call.elapsed_ms(), upstream_ms)
            failure.headers.update(timing_headers(ended.total_ms, upstream_ms))
            # Written before the call's place is given to another one: who has had enough failures gets none.
            recorded = self.settlement.note_failure(
                self._settled(caller, call, reservation, ended, failed=failure.sent)
            )
            if failure.sent:
                self.limits.failed(reservation, recorded, failure.sent)
            else:
                self.limits.release(reservation)
            raise
        except BaseException:
            self.limits.failed(reservation, None)
            raise
        return result, (perf_counter() - asked) * 1000

    def _deliver(
        self, caller: Caller, call: "_Call", reservation: Reservation, result: bytes, upstream_ms: float
    ) -> Prediction:
        """Count the call, then answer. Raises UsageNotRecorded instead of delivering what may be uncounted."""
        day = next((policy.remaining for policy in reservation.policies if policy.name == DAY), UNLIMITED)
        total_ms = call.elapsed_ms()
        metadata = {
            "request_id": call.request_id,
            "user_tier": caller.tier.value,
            "response_time_ms": round(total_ms),
            "predictions_remaining_today": day,
        }
        body = with_metadata(result, orjson.dumps(metadata))
        kept = kept_form(body) if call.held is not None else None
        ended = _Ending(200, None, total_ms, upstream_ms, kept)
        row = reservation.request_id if self.limits.held_in_postgres(reservation) else None
        try:
            used = self.settlement.count(self._settled(caller, call, reservation, ended, held=row))
        except psycopg2.Error:
            self.limits.failed(reservation, None)  # PostgreSQL refused the row, so nothing was counted
            raise
        except UsageNotRecorded as unrecorded:
            if not unrecorded.may_be_counted:
                self.limits.failed(reservation, None)
            raise
        self.limits.settled(reservation, used)
        headers = rate_limit_headers(reservation.policies, self.clock())
        headers |= timing_headers(call.elapsed_ms(), upstream_ms)
        return Prediction(body, headers)

    def _settled(
        self,
        caller: Caller,
        call: "_Call",
        reservation: Reservation,
        ended: "_Ending",
        *,
        held: UUID | None = None,
        failed: int = 0,
    ) -> SettledCall:
        """`held`: the reservation's row, when it must go in the same transaction."""
        return SettledCall(
            request_id=call.request_id,
            user_id=caller.user_id,
            feature=FEATURE,
            tier=caller.tier.value,
            window_date=reservation.day,
            request_data_hash=call.request_hash,
            status=ended.status,
            error_code=ended.error_code,
            response_time_ms=round(ended.total_ms),
            upstream_ms=round(ended.upstream_ms),
            held=held,
            key=call.held,
            answer=ended.answer,
            hour=hour_name(reservation.hour) if failed else None,
            failed=failed,
        )

    def _with_features(self, caller: Caller, question: Question) -> Caller:
        """The caller, whose plan has every option that was asked for. Raises FeatureNotInTier."""
        if not question.enhanced_grounding or ENHANCED_GROUNDING in self.plans[caller.tier].features:
            return caller
        caller = self.confirm(caller)  # who upgraded a moment ago may still be remembered under the old tier
        if ENHANCED_GROUNDING not in self.plans[caller.tier].features:
            raise FeatureNotInTier(ENHANCED_GROUNDING, caller.tier, self.plans)
        return caller

    def _release_key(self, held: HeldKey) -> None:
        try:
            self.idempotency.release(held)
        except SQLAlchemyError as error:  # its lease ends by itself, and the client's answer is decided already
            structlog.get_logger().warning("idempotency_key_not_released", cause=type(error).__name__)


def _replay(stored: StoredAnswer) -> Prediction:
    return Prediction(stored.body, {"Idempotency-Replayed": "true"})


@dataclass(slots=True)
class _Call:
    """`own_id` names its reservation. It differs from `request_id` when an idempotency key was taken over: the first holder
    may still be alive, and whatever it gives back must not be this call's.
    """

    own_id: UUID
    request_hash: str
    question: Question
    started: float
    held: HeldKey | None = None

    @property
    def request_id(self) -> UUID:
        return self.own_id if self.held is None else self.held.request_id

    def elapsed_ms(self) -> float:
        return (perf_counter() - self.started) * 1000


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a call ended; `answer` only when it is kept for a client that asks again."""

    status: int
    error_code: str | None
    total_ms: float
    upstream_ms: float
    answer: str | None = None
