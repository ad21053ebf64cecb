"""Applications with payments and nothing else, on a real database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from auth.tiers import Tier
from payments.billing.rules import BillingRules
from payments.inbox.inbox import EventHandler
from payments.inbox.reconcile import Reconciler
from payments.plans import PlanOffer, offer
from payments.product_table import BillingCycle
from payments.subscriptions.status import Provider
from tests.bare_app import disconnect
from tests.payments.apple_app import RunningApple, running_apple
from tests.payments.payments_app import NOTHING_TO_DO, MovableClock, RunningPayments, announce_to, app_of, assembled
from tests.payments.statements import Statements
from tests.payments.stripe_app import MakeStripe, RunningStripe, running_stripe

MakePayments = Callable[..., RunningPayments]
PLANS = (
    PlanOffer(Tier.FREE, "Free", {"predict": {"per_day": 5}}, 60, 10, (), ()),
    PlanOffer(
        Tier.PRO,
        "Pro",
        {"predict": {"per_day": 100}},
        300,
        20,
        ("x",),
        ("Priority support",),
        (offer(Provider.APPLE, BillingCycle.MONTHLY, "com.example.pro"),),
    ),
)


@pytest.fixture
def database_url(kept_database_url: str) -> str:
    return kept_database_url


@pytest.fixture
def make_payments(database_url: str) -> Iterator[MakePayments]:
    made: list[RunningPayments] = []

    def make(
        *, handler: EventHandler[Any] = NOTHING_TO_DO, reconcilers: tuple[Reconciler, ...] = ()
    ) -> RunningPayments:
        announced: list[tuple[UUID, int]] = []
        clock = MovableClock()
        none = assembled(database_url, BillingRules(announce_to(announced), clock=clock))
        inbox = replace(none.inbox, handlers={Provider.STRIPE: handler})
        payments = replace(none, plans=PLANS, inbox=inbox, reconcilers=reconcilers)
        running = RunningPayments(app_of(database_url, payments), payments, clock, announced)
        made.append(running)
        return running

    yield make
    for each in made:
        dispose(each)


@pytest.fixture
def running(make_payments: MakePayments) -> RunningPayments:
    return make_payments()


@pytest.fixture
def make_stripe(database_url: str) -> Iterator[MakeStripe]:
    """Builds applications with a Stripe beside them. See `running_stripe` for what can be changed."""
    with ExitStack() as stack:

        def make(**changes: Any) -> RunningStripe:
            running = stack.enter_context(running_stripe(database_url, **changes))
            stack.callback(dispose, running)
            return running

        yield make


@pytest.fixture
def stripe(make_stripe: MakeStripe) -> RunningStripe:
    return make_stripe()


@pytest.fixture
def statements(stripe: RunningStripe) -> Statements:
    return Statements(stripe)


MakeApple = Callable[..., RunningApple]


@pytest.fixture
def make_apple(database_url: str) -> Iterator[MakeApple]:
    """Builds applications with an App Store beside them. See `running_apple` for what can be changed."""
    with ExitStack() as stack:

        def make(**changes: Any) -> RunningApple:
            running = stack.enter_context(running_apple(database_url, **changes))
            stack.callback(dispose, running)
            return running

        yield make


@pytest.fixture
def apple(make_apple: MakeApple) -> RunningApple:
    return make_apple()


def dispose(running: RunningPayments) -> None:
    disconnect(running.app)
    running.payments.inbox.writer.close()
