"""Whatever happens at Stripe, and however badly we are told of it: in the end our rows say what Stripe says."""

from datetime import timedelta
from itertools import count, pairwise
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth.tiers import Tier
from payments.entitlement import RENEWAL_LEEWAY
from payments.stripe_handler import StripeAddress
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.response_shapes import Object
from tests.payments.stripe_app import ENTERPRISE, LEGACY, PRO, PRO_YEARLY, RunningStripe

GRACE = timedelta(days=7)
TIERS = {PRO: Tier.PRO, PRO_YEARLY: Tier.PRO, LEGACY: Tier.PRO, ENTERPRISE: Tier.ENTERPRISE}

steps = st.lists(
    st.sampled_from(
        [
            "card breaks",
            "card works",
            "ten days pass",
            "a month passes",
            "cancel here",
            "cancel in the portal",
            "resume",
            "to enterprise",
            "to pro",
            "switch in the portal",
            "pause",
            "unpause",
            "refund",
            "refund of an old month",
            "dispute",
            "win",
            "lose",
            "customer deleted",
        ]
    ),
    min_size=1,
    max_size=7,
)
tellings = st.lists(
    st.sampled_from(["all", "none", "reversed", "twice", "the first", "the last", "side by side"]),
    min_size=7,
    max_size=7,
)


class Story:
    """What one user and Stripe do. Steps that are impossible at that moment are refused, and that is all."""

    def __init__(self, stripe: RunningStripe, user: UUID) -> None:
        self.stripe, self.user = stripe, user
        self.bought = stripe.buy(user)
        self.dispute: Object | None = None

    @property
    def runs(self) -> bool:
        return self.bought["status"] not in {"canceled", "incomplete_expired"}

    def act(self, step: str) -> None:
        server, stripe = self.stripe.server, self.stripe
        if step in {"card breaks", "card works"}:
            server.books.put_on_file(self.bought["customer"], Card.DECLINED if step == "card breaks" else Card.GOOD)
        elif step in {"ten days pass", "a month passes"}:
            server.advance(timedelta(days=10 if step == "ten days pass" else 31))
        elif step in {"cancel here", "resume"}:
            stripe.act(self.user, step.partition(" ")[0])
        elif step in {"to enterprise", "to pro"}:
            stripe.change(self.user, step.removeprefix("to "))
        elif step.startswith("refund") and (charges := self.charges()):
            charge = charges[0 if step == "refund" else -1]
            if not charge["disputed"]:
                server.refunds.refund(charge)
        elif step == "dispute" and self.dispute is None and (charges := self.charges()):
            self.dispute = server.refunds.dispute(charges[0])
        elif step in {"win", "lose"} and self.dispute and self.dispute["status"] == "needs_response":
            server.refunds.close(self.dispute, "won" if step == "win" else "lost")
        elif step == "customer deleted":
            customer = server.books.get("customer", self.bought["customer"])
            if not customer.get("deleted"):
                server.customers.delete(customer)
        elif self.runs:
            self.act_while_it_runs(step)

    def act_while_it_runs(self, step: str) -> None:
        subscriptions = self.stripe.server.subscriptions
        if step == "cancel in the portal" and not self.bought["schedule"]:
            subscriptions.cancel_later(self.bought, flexible=True)
        elif step == "switch in the portal":
            subscriptions.switch(self.bought, self.stripe.server.books.get("price", ENTERPRISE))
        elif step == "pause":
            subscriptions.change(self.bought, status="paused")
        elif step == "unpause" and self.bought["status"] == "paused":
            subscriptions.change(self.bought, status="active")

    def charges(self) -> list[Object]:
        """That were paid and not given back, the newest first."""
        charges = self.stripe.server.books.all("charge", customer=self.bought["customer"])
        return [each for each in charges if each["status"] == "succeeded" and not each["refunded"]]


def tell(stripe: RunningStripe, how: str) -> None:
    """Deliver what is due in that way. What is not delivered is lost."""
    due = list(range(len(stripe.server.outbox.pending())))
    order = {
        "all": due,
        "none": [],
        "reversed": due[::-1],
        "twice": due + due,
        "the first": due[:1],
        "the last": due[-1:],
        "side by side": due + due[::-1],
    }[how]
    stripe.server.outbox.deliver_pending(order)
    stripe.server.outbox.forget_pending()
    stripe.work(workers=4 if how == "side by side" else 1)
    stripe.run_stripe_jobs()


def switch_mode(stripe: RunningStripe) -> None:
    """The operator sets the key of the other mode. Nothing of this one is known there."""
    stripe.server.switch_mode()
    stripe.rules.handler.address = StripeAddress(stripe.server.secret_key, stripe.server.url)
    stripe.rules.handler.close()


def settle(stripe: RunningStripe) -> None:
    """Reconciling finds what was lost, and what it sets going ends."""
    for _ in range(4):
        stripe.server.outbox.forget_pending()
        result = stripe.cli("reconcile")
        assert result.exit_code == 0, result.output
        stripe.work()
        stripe.run_stripe_jobs()


def due_tier(stripe: RunningStripe, bought: Object) -> tuple[Tier, bool]:
    """What Stripe's object gives at this moment, in words of its own, and whether a failed payment is in its grace."""
    item, now = bought["items"]["data"][0], int(stripe.clock().timestamp())
    tier = TIERS[item["price"]["id"]]
    if bought["pause_collection"]:
        return Tier.FREE, False
    if bought["status"] == "past_due":
        return tier, True
    leeway = 0 if bought["cancel_at"] else RENEWAL_LEEWAY.total_seconds()
    paid = bought["status"] in {"active", "trialing"} and now < item["current_period_end"] + leeway
    return (tier if paid else Tier.FREE), False


def tell_a_story(stripe: RunningStripe, user: UUID, story: list[str], told: list[str], *, goes_live: bool) -> None:
    telling = Story(stripe, user)
    for step, how in zip(story, told, strict=False):
        telling.act(step)
        tell(stripe, how)
    if goes_live:
        switch_mode(stripe)
    settle(stripe)

    expected, in_grace = (Tier.FREE, False) if goes_live else due_tier(stripe, telling.bought)
    found = stripe.tier(user)
    # How much of the grace is left depends on when it began, which tests/payments/test_stripe_lifecycle.py looks at.
    assert found is expected or (in_grace and found is Tier.FREE), (telling.bought["status"], found)
    ledger = stripe.ledger(user)
    assert all(after == before for (_, after), (before, _) in pairwise(ledger))
    assert [row for row in stripe.events() if row["state"] in {"received", "dead"}] == []
    assert stripe.query("SELECT * FROM passed_over_items") == []
    # Or every later story would reconcile this user too.
    stripe.query("DELETE FROM billing_customers")
    stripe.query("DELETE FROM subscriptions")
    if goes_live:
        switch_mode(stripe)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("stories", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_in_the_end_our_rows_say_what_stripe_says(stripe: RunningStripe, stories: int) -> None:
    users = count()

    @settings(
        max_examples=stories,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
        derandomize=True,
        database=None,
    )
    @given(story=steps, told=tellings, goes_live=st.sampled_from([False, False, False, True]))
    def run(story: list[str], told: list[str], goes_live: bool) -> None:
        tell_a_story(stripe, stripe.user(f"user{next(users)}"), story, told, goes_live=goes_live)

    run()
