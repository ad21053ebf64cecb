"""Whatever happens to an account, and in whatever order: its statements add up to its charges less its credits.

Each seed is a story. FIRST_STORY=1000 in the environment tells others.
"""

import os
import random
from collections.abc import Callable
from datetime import date, timedelta
from itertools import chain, repeat
from typing import Any
from uuid import UUID

import pytest

from payments.billing.close import close_period
from payments.billing.give_credit import give_credit
from payments.billing.mark_overdue import mark_overdue
from payments.billing.months import first_day, month_before, month_of, next_month
from payments.billing.read import list_own_periods
from payments.billing.settle_by_hand import BillingPeriodSettled, mark_paid, waive
from tests.payments.statements import CENT, Statements
from tests.payments.stripe_app import MakeStripe

STORIES = 60
ALWAYS_TOLD = 3
"""The others are told by `make test-slow`."""
FIRST = int(os.environ.get("FIRST_STORY", "0"))
STEPS = 40


class Story:
    def __init__(self, statements: Statements, seed: int) -> None:
        self.statements, self.random = statements, random.Random(seed)
        self.user, self.other = statements.stripe.user(), statements.stripe.user("bob")
        self.charged, self.credited = 0, 0
        self.told: list[str] = []

    def play(self) -> None:
        often: list[Callable[[], object]] = [self.charge, self.credit, self.close, self.pass_time]
        steps = [*chain.from_iterable(map(repeat, often, (6, 2, 3, 2))), self.settle, self.mark_overdue]
        for _ in range(STEPS):
            step = self.random.choice(steps)
            self.told.append(step.__name__)
            with self.statements.stripe.app.app_context():
                step()
            self.check()

    def charge(self) -> None:
        """In any day up to now: calls end late."""
        micros = self.random.choice([1, 4_999, 5_000, 10_000, 123_456, 3_000_000])
        day = self.today() - timedelta(days=self.random.choice([0, 0, 1, 40]))
        self.statements.charge(self.user, micros / CENT, day)
        self.statements.charge(self.other, 1, day)
        self.charged += micros

    def credit(self) -> None:
        cents = self.random.choice([1, 50, 400])
        if give_credit(self.statements.rules, self.user, cents, f"{self.random.random()}").is_new:
            self.credited += cents

    def close(self) -> None:
        month = month_before(self.today())
        for _ in range(self.random.choice([0, 0, 1])):
            month = month_before(first_day(month))
        close_period(self.statements.rules, self.user, month)

    def settle(self) -> None:
        for row in self.of_user():
            try:
                self.random.choice([mark_paid, waive])(self.statements.rules, row.id)
            except BillingPeriodSettled:
                continue

    def mark_overdue(self) -> None:
        for row in self.of_user():
            mark_overdue(self.statements.rules, row.id)

    def pass_time(self) -> None:
        self.statements.stripe.server.advance(timedelta(days=self.random.choice([1, 15, 40])))
        self.statements.stripe.server.outbox.forget_pending()

    def today(self) -> date:
        return self.statements.rules.clock().date()

    def of_user(self) -> list[Any]:
        return [row for row in self.statements.rows() if row.user_id == self.user]

    def check(self) -> None:
        query = self.statements.stripe.query
        lines: dict[UUID | None, tuple[int, int]] = {
            row.statement_id: (row.many, int(row.micros))
            for row in query(
                "SELECT statement_id, count(*) AS many, sum(price_micros) AS micros FROM charges WHERE user_id = :user"
                " GROUP BY statement_id",
                user=self.user,
            )
        }
        assert sum(micros for _, micros in lines.values()) == self.charged
        billed = unpaid = 0
        for row in self.of_user():
            assert lines[row.id] == (row.requests, row.charges_micros)
            in_cents = (row.charges_micros + 5_000) // CENT
            assert row.amount_cents == in_cents - row.credits_cents >= 0
            billed += row.credits_cents
            unpaid += row.amount_cents if row.state in {"due", "overdue"} else 0
        waiting = sum(row.cents for row in self.statements.credits() if row.statement_id is None)
        assert billed + waiting == self.credited  # no credit is lost, and none counts twice
        open_micros = lines.get(None, (0, 0))[1] + unpaid * CENT - waiting * CENT
        self.check_purse(open_micros)
        self.check_list(lines.get(None, (0, 0)), waiting)

    def check_purse(self, open_micros: int) -> None:
        cap = self.statements.rules.max_open_cents
        assert cap is not None
        with self.statements.stripe.app.app_context():
            _, owed = self.statements.purse.draws(self.user, 1, self.statements.rules.clock())
        assert owed.allowed is not None
        assert owed.allowed - self.charged == cap * CENT - open_micros

    def check_list(self, waiting: tuple[int, int], credits_cents: int) -> None:
        """What is shown as open is what closing would make."""
        with self.statements.stripe.app.app_context():
            page = list_own_periods(self.statements.rules, self.user, limit=200)
        still_open = [each for each in page.items if each.closed_at is None]
        assert (sum(each.requests for each in still_open), sum(each.charges_micros for each in still_open)) == waiting
        assert sum(each.credits_cents for each in still_open) <= credits_cents
        months = [each.period for each in page.items]
        assert months == sorted(set(months), reverse=True)
        assert max(months) in {month_of(self.today()), next_month(month_of(self.today()))}


@pytest.mark.parametrize(
    "seed",
    [pytest.param(FIRST + number, marks=() if number < ALWAYS_TOLD else pytest.mark.slow) for number in range(STORIES)],
)
def test_statements_add_up_to_charges_less_credits(make_stripe: MakeStripe, seed: int) -> None:
    story = Story(Statements(make_stripe(periods={"overdue_blocks": False})), seed)
    try:
        story.play()
    except Exception as error:
        error.add_note("\n".join([f"in story {seed}:", *story.told]))
        raise
