"""What plans cost on the web, in GET /api/payments/plans: Stripe's prices, asked now and then."""

from typing import Any

import pytest

from payments.stripe.price_list import KEPT, KEPT_AFTER_FAILURE
from sandbox.stripe_server.protocol.faults import Trouble
from tests.payments.stripe_app import MakeStripe, RunningStripe

PRICES = "/v1/prices/"


def shown(stripe: RunningStripe) -> dict[str, Any]:
    """Cycle to price, of the pro plan."""
    answer = stripe.get("/plans")
    assert answer.status_code == 200
    (pro,) = (plan for plan in answer.get_json()["plans"] if plan["tier"] == "pro")
    return {offer["billing_cycle"]: offer["price"] for offer in pro["offers"]}


def asked(stripe: RunningStripe) -> int:
    return sum(each.path.startswith(PRICES) for each in stripe.server.seen)


def test_each_offer_says_what_stripe_charges(stripe: RunningStripe) -> None:
    assert shown(stripe) == {
        "monthly": {"amount": 1_900, "currency": "usd", "interval": "month"},
        "yearly": {"amount": 19_000, "currency": "usd", "interval": "year"},
    }


def test_stripe_is_asked_again_after_ten_minutes(stripe: RunningStripe) -> None:
    shown(stripe)
    first = asked(stripe)
    shown(stripe)
    assert asked(stripe) == first
    stripe.server.books.objects["price_pro_monthly"]["unit_amount"] = 2_900
    stripe.server.advance(KEPT)
    assert shown(stripe)["monthly"]["amount"] == 2_900
    assert asked(stripe) == 2 * first


@pytest.mark.slow
def test_while_stripe_does_not_answer_the_prices_known_before_are_shown(stripe: RunningStripe) -> None:
    stripe.server.faults.add(Trouble.RESET, times=3, under=PRICES)
    assert shown(stripe) == {"monthly": None, "yearly": None}
    stripe.server.advance(KEPT_AFTER_FAILURE)
    known = shown(stripe)
    assert known["monthly"] is not None
    stripe.server.advance(KEPT)
    stripe.server.faults.add(Trouble.RESET, times=3, under=PRICES)
    assert shown(stripe) == known


def test_a_price_that_stripe_does_not_have_is_left_out_and_the_others_are_shown(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(prices="price_gone:pro:monthly,price_pro_yearly:pro:yearly")
    assert shown(stripe) == {"monthly": None, "yearly": {"amount": 19_000, "currency": "usd", "interval": "year"}}
