"""Statements that are to be paid."""

from database.figures import Figure

UNPAID_PERIODS = Figure(
    "mirroros_billing_periods_unpaid",
    "Monthly statements that are due or overdue, by state",
    """SELECT always.state, count(period.id) FROM unnest(ARRAY['due', 'overdue']) AS always (state)
       LEFT JOIN billing_periods AS period ON period.state = always.state AND period.state IN ('due', 'overdue')
       GROUP BY always.state""",
    labels=("state",),
)
UNPAID_CENTS = Figure(
    "mirroros_billing_unpaid_cents",
    "What is to be paid for these statements, by state and currency",
    """SELECT state, currency, sum(amount_cents) FROM billing_periods WHERE state IN ('due', 'overdue')
       GROUP BY state, currency""",
    labels=("state", "currency"),
)
