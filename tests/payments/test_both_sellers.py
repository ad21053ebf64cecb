"""One user buys at Stripe and at the App Store: however their news arrive, nothing is lost and the end is the same."""

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import pytest

from auth.tiers import Tier
from payments.inbox.inbox import EventInbox
from payments.subscriptions.entitlement import HANDOVER
from sandbox.apple_server.subscriptions import Subscription
from sandbox.store_clock import milliseconds
from tests.payments import apple_app
from tests.payments.apple_app import RunningApple
from tests.payments.conftest import MakeApple
from tests.payments.stripe_app import PRO_YEARLY, MakeStripe, RunningStripe

FORGET = (
    "DELETE FROM billing_events",
    "DELETE FROM subscriptions",
    "DELETE FROM procrastinate_jobs",
    "UPDATE checkout_intents SET state = 'open'",
    "UPDATE users SET tier = 'free', tier_expires_at = NULL, tier_source = NULL",
)
"""As it was before the first piece of news. The ledger stays: nobody can take anything from it."""


@dataclass(frozen=True)
class News:
    """Something that one of the two tells us. Sending it again sends the same."""

    provider: str
    content: str


@dataclass
class Sellers:
    """Alice has bought at both and changed her mind several times; nobody has heard of it."""

    stripe: RunningStripe
    apple: RunningApple
    alice: UUID
    bought: Subscription

    def news(self) -> list[News]:
        stripe = [News("stripe", each.body) for each in self.stripe.server.outbox.pending()]
        return stripe + [News("apple", each.signed_payload) for each in self.apple.production.notifications.pending()]

    def tell(self, news: News) -> None:
        if news.provider == "stripe":
            answer = self.stripe.send(news.content.encode(), self.stripe.server.outbox.signature(news.content))
        else:
            answer = self.apple.post("/apple/notifications", {"signedPayload": news.content})
        assert answer.status_code == 200, answer.text

    def work(self, random: Random) -> None:
        """Every event that waits is applied, in any order, and some of them by a second worker as well."""
        statement = "DELETE FROM procrastinate_jobs WHERE task_name = 'apply_billing_event' RETURNING args"
        waiting = [UUID(job.args["event_id"]) for job in self.stripe.query(statement)]
        waiting += random.sample(waiting, len(waiting) // 3)
        random.shuffle(waiting)
        with self.stripe.app.app_context():
            for event in waiting:
                self.stripe.payments.inbox.apply(event)

    def forget(self) -> None:
        for statement in FORGET:
            self.stripe.query(statement)

    def ledger(self) -> list[tuple[str, str, datetime | None, str | None]]:
        rows = self.stripe.query(
            "SELECT from_tier, to_tier, expires_at, source FROM entitlement_ledger WHERE user_id = :u ORDER BY id",
            u=self.alice,
        )
        return [tuple(row) for row in rows]

    def account(self) -> tuple[Any, ...]:
        [row] = self.stripe.query("SELECT tier, tier_expires_at, tier_source FROM users WHERE id = :u", u=self.alice)
        return tuple(row)

    def rows(self) -> list[tuple[Any, ...]]:
        kept = ("user_id", "provider", "tier", "status", "period_end", "cancel_at", "revoked_at", "pending_tier")
        rows = self.stripe.subscriptions()
        return sorted((tuple(row[name] for name in kept) for row in rows), key=lambda row: str(row[1]))


@pytest.fixture
def sellers(make_stripe: MakeStripe, make_apple: MakeApple) -> Sellers:
    apple = make_apple()
    stripe = make_stripe(clock=apple.clock)
    handlers = {**apple.payments.inbox.handlers, **stripe.payments.inbox.handlers}
    inbox = EventInbox(handlers, stripe.payments.inbox.writer, stripe.payments.rules.announce, stripe.clock)
    stripe.payments = replace(stripe.payments, inbox=inbox)
    alice = stripe.user()

    at_stripe, subscriptions = stripe.buy(alice, deliver=False), stripe.server.subscriptions
    subscriptions.switch(at_stripe, stripe.server.books.get("price", PRO_YEARLY))

    bought, store = apple.buy(alice), apple.production.store
    store.set_auto_renew(bought.original_transaction_id, renews=False)
    store.set_auto_renew(bought.original_transaction_id, renews=True)
    store.change_product(bought.original_transaction_id, apple_app.ENTERPRISE)
    store.set_auto_renew(bought.original_transaction_id, renews=False)
    return Sellers(stripe, apple, alice, bought)


@pytest.mark.parametrize("orders", [5, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(400)])])
def test_random_orders_of_both_lose_nothing_and_end_alike(sellers: Sellers, orders: int) -> None:
    news, random = sellers.news(), Random(4)
    end = sellers.bought.latest.expires_at
    until = end.replace(microsecond=milliseconds(end) % 1000 * 1000) + HANDOVER
    endings = set()
    for number in range(orders):
        before = len(sellers.ledger())
        deliveries = news + random.choices(news, k=len(news) // 3)
        random.shuffle(deliveries)
        for each in deliveries:
            sellers.tell(each)
            if random.random() < 0.3:
                sellers.work(random)
        sellers.work(random)

        events = sellers.stripe.events()
        assert len(events) == len(news), number
        assert {event["state"] for event in events} <= {"done", "ignored"}, number
        written = sellers.ledger()[before:]
        assert written[0][0] == Tier.FREE
        assert all(one[1] == other[0] for one, other in pairwise(written)), number
        assert sellers.account() == written[-1][1:] == (Tier.ENTERPRISE, until, "apple"), number
        endings.add((*sellers.rows(), sellers.account()))
        sellers.forget()
    assert len(endings) == 1
    assert [row[1] for row in endings.pop()[:-1]] == ["apple", "stripe"]
