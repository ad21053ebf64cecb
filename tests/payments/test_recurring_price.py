"""What a subscription's owner pays, and since when it gives nothing: what reports of revenue and churn are made of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments.apple.facts import price_of
from payments.apple.purchase import AppleEnvironment, AppleTransaction
from payments.subscriptions.record import RecurringPrice
from payments.subscriptions.status import SubscriptionStatus
from tests.payments.apple_app import PRO_YEARLY, RunningApple
from tests.payments.facts import fact
from tests.payments.payments_app import RunningPayments
from tests.payments.stripe_app import MakeStripe, RunningStripe

MONTH = timedelta(days=30)
NINE_EUROS = RecurringPrice(900, "eur", 1)
BOUGHT = AppleTransaction(
    environment=AppleEnvironment.PRODUCTION,
    original_id="1",
    transaction_id="1",
    product_id="x",
    purchased_at=datetime(2026, 1, 31, tzinfo=UTC),
    expires_at=datetime(2026, 2, 28, tzinfo=UTC),
    signed_at=datetime(2026, 1, 31, tzinfo=UTC),
    price_milliunits=9_990,
    currency="USD",
)


def price(running: RunningPayments) -> list[Any]:
    (row,) = running.subscriptions()
    return [row["price_amount"], row["price_currency"], row["price_months"]]


def test_stripe_tells_the_price_with_the_subscription(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.buy(alice)
    assert price(stripe) == [1900, "usd", 1]
    stripe.change(alice, "enterprise", "yearly")
    stripe.deliver()
    assert price(stripe) == [99_000, "usd", 12]


def test_a_trial_at_stripe_has_no_price_yet(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(trial_days=14)
    stripe.buy(stripe.user())
    assert price(stripe) == [None, None, None]


def test_apple_tells_the_price_with_the_transaction(apple: RunningApple) -> None:
    alice = apple.user()
    apple.hand_in(apple.signed(apple.buy(alice, PRO_YEARLY)), alice)
    assert price(apple) == [9_999, "usd", 12]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, RecurringPrice(999, "usd", 1)),
        ({"price_milliunits": 1_500_000, "currency": "JPY"}, RecurringPrice(1_500, "jpy", 1)),
        ({"price_milliunits": 2_500, "currency": "KWD"}, RecurringPrice(2_500, "kwd", 1)),
        ({"expires_at": datetime(2026, 4, 30, tzinfo=UTC)}, RecurringPrice(999, "usd", 3)),
        ({"expires_at": datetime(2027, 1, 31, tzinfo=UTC)}, RecurringPrice(999, "usd", 12)),
        ({"expires_at": datetime(2026, 1, 31, 0, 5, tzinfo=UTC)}, RecurringPrice(999, "usd", 1)),
        ({"family_shared": True}, None),
        ({"price_milliunits": None}, None),
        ({"currency": None}, None),
        ({"expires_at": None}, None),
    ],
)
def test_what_apple_says_of_a_period_is_a_price_for_months(
    changes: dict[str, Any], expected: RecurringPrice | None
) -> None:
    assert price_of(replace(BOUGHT, **changes)) == expected


def test_what_is_not_told_again_stays_until_the_product_changes(running: RunningPayments) -> None:
    alice, end = running.user(), datetime.now(UTC) + MONTH
    running.record(fact(1, period_end=end, price=NINE_EUROS), alice)
    running.record(fact(2, period_end=end), alice)
    assert price(running) == [900, "eur", 1]
    running.record(fact(3, period_end=end, status=SubscriptionStatus.CANCELED, product_id="price_2"), alice)
    assert price(running) == [900, "eur", 1]
    running.record(fact(4, period_end=end, product_id="price_3"), alice)
    assert price(running) == [None, None, None]


def lapsed(running: RunningPayments) -> datetime | None:
    (row,) = running.subscriptions()
    found: datetime | None = row["lapsed_at"]
    return found


def test_it_is_known_since_when_it_gives_nothing(running: RunningPayments) -> None:
    alice, now = running.user(), running.clock()
    running.record(fact(1, period_end=now + MONTH), alice)
    assert lapsed(running) is None
    running.record(fact(2, period_end=now + MONTH, status=SubscriptionStatus.UNPAID), alice)
    assert lapsed(running) == now
    running.record(fact(3, period_end=now + MONTH), alice)
    assert lapsed(running) is None
    running.record(fact(4, period_end=now - timedelta(hours=3)), alice)
    running.record(fact(5, period_end=now - timedelta(hours=3), status=SubscriptionStatus.EXPIRED), alice)
    assert lapsed(running) == now - timedelta(hours=2)  # with the leeway of a renewal
    running.record(fact(6, period_end=now - timedelta(hours=3), status=SubscriptionStatus.EXPIRED), alice)
    assert lapsed(running) == now - timedelta(hours=2)
