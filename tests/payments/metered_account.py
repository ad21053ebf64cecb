"""Calls that cost money, in miniature: what the purse says is drawn, reserved, and settled with a charge."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from uuid import UUID

from database.base import uuid7
from database.engine import EngineOptions, writer_connection
from metering.limits import CALL, Ask, Burst, Draw, PolicyState, Refusal
from metering.settle import Outcome, SettledCall, Settlement, Spent, call_writer
from metering.windows import day_of, hour_of
from security.edge.problems import Problem
from tests.metering.limit_backends import Backend, backend
from tests.payments.statements import CENT, Statements

FEATURE = "predict"


def settled(user: UUID, cents: float, day: date, request_id: UUID | None = None) -> SettledCall:
    return SettledCall(
        request_id=request_id or uuid7(),
        user_id=user,
        feature=FEATURE,
        tier="free",
        window_date=day,
        request_data_hash="0" * 64,
        outcome=Outcome.DELIVERED,
        status=200,
        error_code=None,
        response_time_ms=1,
        upstream_ms=1,
        price_micros=round(cents * CENT),
    )


@contextmanager
def settlement(database_url: str) -> Iterator[Settlement]:
    """As one process has it."""
    writer = call_writer(writer_connection(database_url, EngineOptions()))
    try:
        yield Settlement(writer)
    finally:
        writer.close()


class MeteredAccount:
    def __init__(self, statements: Statements, limits: Backend, user: UUID) -> None:
        self.statements, self.limits, self.user = statements, limits, user

    def call(self, cents: int = 100) -> Problem | None:
        """One call; how it was refused, or None when it was delivered and charged."""
        now, price = self.statements.rules.clock(), cents * CENT
        with self.statements.stripe.app.app_context():
            try:
                draws = self.statements.purse.draws(self.user, price, now)
            except Problem as refusal:
                return refusal
        asked = Ask(
            request_id=uuid7(),
            user_id=self.user,
            feature=FEATURE,
            draws=(Draw("day", FEATURE, CALL, day_of(now), None), *draws),
            hour=hour_of(now),
            burst=Burst(1000, 1),
            concurrency=1000,
            failures_per_hour=None,
            cached=None,
            lease_seconds=60,
        )
        answer = self.limits.limits.reserve(asked)
        if isinstance(answer, Refusal):
            return told(asked, answer, now)
        spent = tuple(
            Spent(counter=draw.counter, unit=draw.unit, window=draw.window.name, amount=amount, allowed=draw.allowed)
            for draw, amount in zip(draws, answer.amounts[1:], strict=True)
        )
        call = settled(self.user, cents, now.date(), asked.request_id)
        self.limits.settlement.count(replace(call, spent=spent, held=call.request_id))
        self.limits.limits.settled(answer, 1)
        return None


def told(asked: Ask, refusal: Refusal, now: datetime) -> Problem:
    states: dict[str, PolicyState] = {state.name: state for state in refusal.policies}
    draw = next(each for each in asked.draws if each.policy in refusal.violated)
    assert draw.refused is not None
    return draw.refused(states[draw.policy], now)


@contextmanager
def metered_account(statements: Statements, database_url: str, user: UUID) -> Iterator[MeteredAccount]:
    with backend(database_url, None) as limits:
        yield MeteredAccount(statements, limits, user)
