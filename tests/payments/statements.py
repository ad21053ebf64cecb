"""Users who are charged, on 10 March 2026: their statements, and what a test needs to reach into them."""

import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any

from database import db
from payments.billing.close import close_periods
from payments.billing.mark_overdue import mark_overdue_periods
from payments.billing.purse import AccountPurse
from payments.billing.rules import PeriodRules
from tests.payments.stripe_app import RunningStripe

IN_FEBRUARY, IN_MARCH = date(2026, 2, 15), date(2026, 3, 5)
FEBRUARY, MARCH = "2026-02", "2026-03"
CENT = 10_000
GOOD = "pm_card_visa"


@dataclass
class Statements:
    stripe: RunningStripe

    @property
    def rules(self) -> PeriodRules:
        return self.stripe.payments.periods

    @property
    def purse(self) -> AccountPurse:
        with self.stripe.app.app_context():
            return AccountPurse(self.rules, db.engine)

    def charge(self, user: uuid.UUID, cents: float, day: date = IN_FEBRUARY, times: int = 1) -> None:
        for _ in range(times):
            self.stripe.query(
                "INSERT INTO charges (request_id, user_id, feature, price_micros, cost_micros, window_date)"
                " VALUES (:id, :user, 'predict', :micros, 0, :day)",
                id=uuid.uuid4(),
                user=user,
                micros=round(cents * CENT),
                day=day,
            )

    def close(self, month: str = FEBRUARY) -> int:
        with self.stripe.app.app_context():
            return close_periods(self.rules, month)

    def mark_overdue(self) -> int:
        with self.stripe.app.app_context():
            return mark_overdue_periods(self.rules)

    def cli(self, *arguments: str) -> Any:
        return self.stripe.app.test_cli_runner().invoke(args=list(arguments))

    def said(self, *arguments: str) -> str:
        """The last line of a command that went well; above it may be lines of the log."""
        answer = self.cli(*arguments)
        assert answer.exit_code == 0, answer.output
        return str(answer.output.splitlines()[-1])

    def rows(self) -> list[Any]:
        return list(self.stripe.query("SELECT * FROM billing_periods ORDER BY id, user_id"))

    def credits(self) -> list[Any]:
        return list(self.stripe.query("SELECT * FROM billing_credits ORDER BY id"))

    def due(self, user: uuid.UUID, cents: float = 300) -> uuid.UUID:
        """A statement of February that is to be paid."""
        self.charge(user, cents)
        assert self.close() == 1
        rows = self.stripe.query("SELECT id FROM billing_periods WHERE user_id = :user", user=user)
        return uuid.UUID(str(rows[0].id))

    def state(self, period: uuid.UUID) -> str:
        return str(self.stripe.query("SELECT state FROM billing_periods WHERE id = :id", id=period)[0].state)

    def pay(self, user: uuid.UUID, period: uuid.UUID, *, key: str | None = None) -> Any:
        return self.stripe.post(f"/billing-periods/{period}/pay", None, user, key=key)

    def confirm(self, user: uuid.UUID, payment: str) -> str:
        body = {"payment_id": payment, "payment_method": GOOD}
        answer = self.stripe.post("/stripe/confirm", body, user)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["status"])

    def emails(self) -> list[Any]:
        rows = self.stripe.query("SELECT args FROM procrastinate_jobs WHERE task_name = 'send_email' ORDER BY id")
        return [row.args for row in rows]

    def audited(self) -> list[tuple[str, Any]]:
        rows = self.stripe.query("SELECT event, detail FROM security_events ORDER BY id")
        return [(row.event, row.detail) for row in rows]
