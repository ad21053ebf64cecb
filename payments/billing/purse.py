"""What a call that costs money draws beside itself: the user's budget of the month, and what the account may owe.

What an account owes is what was ever charged less what was ever settled: paid, waived or credited. So the cap is a limit on a
counter that only rises, and holds exactly, as every other limit does (docs/decisions/0024).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from uuid import UUID

from sqlalchemy import Engine

from database.one_statement import rows_of
from metering.limits import Draw, PolicyState
from metering.money import ACCOUNT, MICROS_PER_CENT, MONEY_UNIT, MoneyRefused
from metering.usage.budget import budget_draw
from metering.windows import Window
from payments.billing.rules import PeriodRules
from payments.billing.state import in_words

OWED = "owed"
EVER = Window("ever", 0, datetime.max.replace(tzinfo=UTC).timestamp(), date(1970, 1, 1))
BILLING_PERIODS = "/api/payments/billing-periods"

TERMS = """
SELECT
    (SELECT monthly_cents FROM usage_budgets WHERE user_id = %(user)s) AS budget_cents,
    coalesce(sum(amount_cents) FILTER (WHERE state = 'overdue'), 0)::bigint AS overdue_cents,
    coalesce(sum(charges_micros), 0)::bigint
        - coalesce(sum(amount_cents) FILTER (WHERE state IN ('due', 'overdue')), 0)::bigint * %(micros)s
        + coalesce((
            SELECT sum(cents) FROM billing_credits WHERE user_id = %(user)s AND statement_id IS NULL
        ), 0)::bigint * %(micros)s AS settled_micros
FROM billing_periods WHERE user_id = %(user)s
"""


class BillingOverdue(MoneyRefused):
    """Paying the statement unblocks at once."""

    error, title = "billing_overdue", "A statement of this account is overdue"

    def __init__(self, rules: PeriodRules, overdue_cents: int) -> None:
        super().__init__(
            f"A statement is overdue: {in_words(overdue_cents, rules.currency)}. Pay it to continue: {rules.pay_url}",
            overdue_cents=overdue_cents,
            currency=rules.currency,
            pay_url=rules.pay_url,
            billing_periods=BILLING_PERIODS,
        )


class BillingLimitReached(MoneyRefused):
    """`open_cents` is what is owed, with calls in flight, which count until they end."""

    error, title = "billing_limit_reached", "This would exceed what your account may owe"

    def __init__(self, rules: PeriodRules, max_open_cents: int, owed: PolicyState, _now: datetime) -> None:
        open_cents = max_open_cents - owed.remaining // MICROS_PER_CENT
        super().__init__(
            f"This would exceed what your account may owe: {in_words(open_cents, rules.currency)} of"
            f" {in_words(max_open_cents, rules.currency)} are open. Pay your statements to continue: {rules.pay_url}",
            open_cents=open_cents,
            max_open_cents=max_open_cents,
            currency=rules.currency,
            pay_url=rules.pay_url,
            billing_periods=BILLING_PERIODS,
        )


@dataclass(frozen=True)
class AccountPurse:
    """See `Purse`. One query reads all terms of an account."""

    rules: PeriodRules
    engine: Engine

    def draws(self, user_id: UUID, price_micros: int, now: datetime) -> tuple[Draw, ...]:
        if price_micros == 0:
            return ()
        terms = rows_of(self.engine, TERMS, {"user": str(user_id), "micros": MICROS_PER_CENT})
        budget_cents, overdue_cents, settled_micros = terms[0]
        if overdue_cents and self.rules.overdue_blocks:
            raise BillingOverdue(self.rules, overdue_cents)
        return budget_draw(budget_cents, price_micros, now), self._owed_draw(settled_micros, price_micros)

    def _owed_draw(self, settled_micros: int, price_micros: int) -> Draw:
        """It is counted also without a cap: one may be set at any time."""
        cap = self.rules.max_open_cents
        allowed = None if cap is None else max(0, cap * MICROS_PER_CENT + settled_micros)
        refused = None if cap is None else partial(BillingLimitReached, self.rules, cap)
        return Draw(OWED, ACCOUNT, MONEY_UNIT, EVER, allowed, price_micros, price_micros, refused)
