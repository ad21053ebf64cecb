"""A Stripe account for a test: the stand-in, its prices, a client, and people who buy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
import stripe

from sandbox.stripe_server.books import Card
from sandbox.stripe_server.development_prices import add_development_prices
from sandbox.stripe_server.protocol.response_shapes import Object
from sandbox.stripe_server.server import StripeServer

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
PRO, PRO_YEARLY, ENTERPRISE = "price_pro_monthly", "price_pro_yearly", "price_enterprise_monthly"


@dataclass(frozen=True)
class Account:
    server: StripeServer
    client: stripe.StripeClient

    def customer(self, email: str = "alice@example.com") -> stripe.Customer:
        return self.client.v1.customers.create({"email": email})

    def session(self, customer: str, price: str = PRO, **subscription_data: object) -> stripe.checkout.Session:
        params: Any = {
            "mode": "subscription",
            "customer": customer,
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": "https://app.example.com/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://app.example.com/back",
            "subscription_data": subscription_data,
        }
        return self.client.v1.checkout.sessions.create(params)

    def press(self, url: str | None, action: str, **fields: str) -> requests.Response:
        """A button on a page."""
        assert url is not None
        return requests.post(url, data={"action": action, **fields}, allow_redirects=False, timeout=10)

    def control(self, action: str, **fields: object) -> requests.Response:
        return requests.post(f"{self.server.url}/controls/{action}", json=fields, timeout=10)

    def subscribe(self, price: str = PRO, card: Card = Card.GOOD, **subscription_data: object) -> stripe.Subscription:
        session = self.session(self.customer().id, price, **subscription_data)
        assert self.press(session.url, card.value).status_code == 303
        bought = self.client.v1.checkout.sessions.retrieve(session.id)
        assert isinstance(bought.subscription, str)
        return self.client.v1.subscriptions.retrieve(bought.subscription)

    def again(self, subscription: stripe.Subscription) -> stripe.Subscription:
        return self.client.v1.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})

    def advance(self, **by: float) -> None:
        self.server.advance(timedelta(**by))

    def put_on_file(self, subscription: stripe.Subscription, card: Card) -> None:
        assert isinstance(subscription.customer, str)
        self.server.books.cards[subscription.customer] = card

    def kinds(self) -> list[str]:
        """The types of all events so far, oldest first."""
        return [each["type"] for each in reversed(list(self.server.books.all("event")))]

    def last(self, kind: str) -> Object:
        return next(self.server.books.all(kind))


@contextmanager
def stripe_account() -> Iterator[Account]:
    server = StripeServer(clock=lambda: NOON)
    add_development_prices(server)
    server.start()
    http_client = stripe.RequestsClient(timeout=10)
    client = stripe.StripeClient(
        server.secret_key, base_addresses={"api": server.url}, http_client=http_client, max_network_retries=2
    )
    try:
        yield Account(server, client)
    finally:
        http_client.close()  # type: ignore[no-untyped-call]
        server.stop()
