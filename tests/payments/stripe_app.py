"""Payments with a Stripe on loopback. Both share one clock, which only tests move."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import requests
from werkzeug.test import TestResponse

from auth.tiers import Tier
from database.base import Clock
from metering.purchase import Purchases
from payments.apply_stripe_event import HANDLERS
from payments.billing.pay import StatementPurchases
from payments.billing.rules import BillingRules
from payments.plans import PlanOffer
from payments.product_table import ProductTable
from payments.purchases.items import Items
from payments.purchases.jobs import purchase_jobs
from payments.stripe.jobs import stripe_jobs
from payments.stripe.redirects import Redirects
from payments.stripe.rules import StripeRules
from payments.stripe_handler import StripeAddress, StripeHandler
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.development_prices import add_development_prices
from sandbox.stripe_server.protocol.api import Seen
from sandbox.stripe_server.protocol.response_shapes import Object
from sandbox.stripe_server.server import StripeServer
from tests.payments.apple_app import served
from tests.payments.payments_app import RunningPayments, announce_to, app_of, assembled, period_rules

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
PRO, PRO_YEARLY = "price_pro_monthly", "price_pro_yearly"
ENTERPRISE, ENTERPRISE_YEARLY = "price_enterprise_monthly", "price_enterprise_yearly"
LEGACY = "price_pro_2024"
PRICES = (
    f"{PRO}:pro:monthly,{PRO_YEARLY}:pro:yearly,{ENTERPRISE}:enterprise:monthly,"
    f"{ENTERPRISE_YEARLY}:enterprise:yearly,{LEGACY}:pro"
)
HOME = "https://app.example.com/billing"
OWN_ADDRESS = "https://api.example.com"
OTHER_ORIGIN = "https://staging.example.com"
PLANS = (PlanOffer(Tier.PRO, "Pro", {"predict": {"per_day": 100}}, 300, 20, (), ()),)


@dataclass
class RunningStripe(RunningPayments):
    """Our side, with Stripe beside it."""

    server: StripeServer
    rules: StripeRules
    url: str

    def checkout(self, user: uuid.UUID | None, tier: str = "pro", cycle: str = "monthly", **more: Any) -> TestResponse:
        return self.post("/stripe/create-checkout-session", {"tier": tier, "billing_cycle": cycle, **more}, user)

    def press(self, url: str, action: str, **fields: str) -> requests.Response:
        """A button on one of Stripe's pages."""
        return requests.post(url, data={"action": action, **fields}, allow_redirects=False, timeout=10)

    def buy(
        self,
        user: uuid.UUID,
        tier: str = "pro",
        cycle: str = "monthly",
        card: Card = Card.GOOD,
        *,
        deliver: bool = True,
    ) -> Object:
        """The user buys in the browser, and Stripe tells us. The subscription as Stripe has it."""
        answer = self.checkout(user, tier, cycle)
        assert answer.status_code == 200, answer.text
        assert self.press(answer.get_json()["checkout_url"], card.value).status_code == 303
        if deliver:
            self.deliver()
        return self.latest("subscription")

    def act(self, user: uuid.UUID, command: str, body: Any = None) -> TestResponse:
        """`cancel`, `resume` or `change`."""
        headers = {"X-Test-User": str(user)}
        return self.client.post(f"/api/payments/stripe/subscription/{command}", json=body, headers=headers)

    def change(self, user: uuid.UUID, tier: str, cycle: str = "monthly") -> TestResponse:
        return self.act(user, "change", {"tier": tier, "billing_cycle": cycle})

    def own(self, user: uuid.UUID) -> Any:
        return self.get("/subscription", user).get_json()

    def deliver(self, order: tuple[int, ...] | None = None) -> list[int | None]:
        """Stripe sends what is due, and our workers do their work, until there is nothing left to do."""
        answers = self.server.outbox.deliver_pending(order)
        for _ in range(5):
            if not self.work() and not self.run_stripe_jobs() and not self.server.outbox.pending():
                break
            answers += self.server.outbox.deliver_pending() if order is None else []
        return answers

    def run_stripe_jobs(self) -> int:
        """What effects enqueued besides: cancelling, giving money back."""
        jobs = {job.name: job for job in (*stripe_jobs(self.rules), *purchase_jobs(self.rules))}
        taken = self.query(
            "DELETE FROM procrastinate_jobs WHERE task_name = ANY(:names) RETURNING task_name, args", names=list(jobs)
        )
        with self.app.app_context():
            for row in taken:
                jobs[row.task_name].run(**row.args)
        return len(taken)

    def pass_time(self, **by: float) -> None:
        """Time passes at Stripe and here, and its events arrive."""
        self.server.advance(timedelta(**by))
        self.deliver()

    def pass_time_unheard(self, **by: float) -> None:
        """Time passes, and nobody tells us anything."""
        self.server.advance(timedelta(**by))
        self.server.outbox.forget_pending()

    def send(self, body: bytes, signature: str | None) -> TestResponse:
        headers = {} if signature is None else {"Stripe-Signature": signature}
        return self.client.post(
            "/api/payments/stripe/webhook", data=body, headers=headers, content_type="application/json"
        )

    def latest(self, kind: str) -> Object:
        return next(self.server.books.all(kind))

    def card_of(self, user: uuid.UUID, card: Card) -> None:
        self.server.books.cards[self.customer_of(user)] = card

    def customer_of(self, user: uuid.UUID) -> str:
        rows = self.query("SELECT stripe_customer_id FROM billing_customers WHERE user_id = :user", user=user)
        return str(rows[0][0])

    def seen(self, path: str, verb: str = "post") -> list[Seen]:
        return [each for each in self.server.seen if each.path == path and each.verb == verb]

    def item(self, code: str = "pass", amount: int = 1500, stock: int | None = None) -> None:
        more = [] if stock is None else ["--stock", str(stock)]
        arguments = ["stripe", "set-item", code, "--title", "A pass", "--amount", str(amount), *more]
        result = self.app.test_cli_runner().invoke(args=arguments)
        assert result.exit_code == 0, result.output

    def stock(self, code: str = "pass") -> int | None:
        left: int | None = self.query("SELECT stock FROM items WHERE code = :code", code=code)[0][0]
        return left


MakeStripe = Callable[..., RunningStripe]


@contextmanager
def running_stripe(
    url: str,
    *,
    trial_days: int = 0,
    livemode: bool = False,
    prices: str = PRICES,
    secrets: tuple[str, ...] | None = None,
    grace: timedelta = timedelta(days=7),
    clock: Clock = lambda: NOON,
    own_pages: bool = False,
    purchases: tuple[Purchases, ...] = (),
    periods: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[RunningStripe]:
    """`secrets`: the webhook secrets that our side has; Stripe's own unless given. `own_pages`: there is no app to go back to.
    `periods`: changes of how statements are made.
    """
    server = StripeServer(clock=clock, livemode=livemode)
    server.outbox.wants = HANDLERS.__contains__  # as docs/payments.md tells to subscribe
    add_development_prices(server)
    server.catalogue.add_price("prod_pro", 900, "usd", "month", price_id=LEGACY)
    server.start()
    announced: list[tuple[uuid.UUID, int]] = []
    billing = BillingRules(announce_to(announced), grace, server.clock)
    statements = period_rules(server.clock, **periods)
    rules = StripeRules(
        handler=StripeHandler(StripeAddress(server.secret_key, server.url)),
        billing=billing,
        prices=ProductTable.read(prices),
        redirects=Redirects(OWN_ADDRESS if own_pages else HOME, frozenset({OTHER_ORIGIN}), own_pages=own_pages),
        trial=timedelta(days=trial_days),
        webhook_secrets=(server.webhook_secret,) if secrets is None else secrets,
        purchases=lambda: (Items(), StatementPurchases(statements), *purchases),
    )
    payments = assembled(url, billing, statements, plans=PLANS, stripe=rules)
    app = app_of(url, payments)
    with served(app) as address:
        server.outbox.url = f"{address}/api/payments/stripe/webhook"
        try:
            yield RunningStripe(app, payments, server.clock, announced, server, rules, address)
        finally:
            rules.handler.close()
            server.stop()
