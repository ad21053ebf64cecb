"""What each plan costs at Stripe, for price lists: asked now and then, because Stripe's dashboard is where prices are kept."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from payments.bodies import PriceAnswer
from payments.plans import Prices
from payments.stripe.problems import NOTHING_CAN_BE_ASKED, StripeObjectMissing, StripeRefused, StripeUnavailable
from payments.stripe.rules import StripeRules

KEPT = timedelta(minutes=10)
KEPT_AFTER_FAILURE = timedelta(seconds=30)


@dataclass(frozen=True)
class _Asked:
    prices: Prices
    until: datetime


class PriceList:
    """Of one process. Whoever finds it too old asks Stripe, and everybody else takes what was known before."""

    def __init__(self, rules: StripeRules) -> None:
        self._rules = rules
        self._asking = threading.Lock()
        self._known = _Asked({}, until=datetime.min.replace(tzinfo=UTC))

    def prices(self) -> Prices:
        """At most ten minutes old while Stripe answers. Without a price that Stripe has not told yet."""
        if self._rules.billing.clock() >= self._known.until and self._asking.acquire(blocking=False):
            try:
                self._known = self._ask()
            finally:
                self._asking.release()
        return self._known.prices

    def _ask(self) -> _Asked:
        prices = dict(self._known.prices)
        kept = KEPT
        for offer, product in self._rules.prices.on_sale.items():
            try:
                found = self._rules.handler.price(product.product_id)
            except StripeObjectMissing:
                prices.pop(offer, None)
                continue
            except (StripeUnavailable, StripeRefused) as problem:
                kept = KEPT_AFTER_FAILURE
                if isinstance(problem, NOTHING_CAN_BE_ASKED):
                    break
                continue
            if found.unit_amount is None or found.interval is None:
                structlog.get_logger().warning("stripe_price_without_amount", price=product.product_id)
                prices.pop(offer, None)
                continue
            prices[offer] = PriceAnswer(amount=found.unit_amount, currency=found.currency, interval=found.interval)
        return _Asked(prices, self._rules.billing.clock() + kept)
