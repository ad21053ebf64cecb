"""Applications with payments and nothing else, on a real database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from auth.tiers import Tier
from database import db
from database.engine import EngineOptions
from database.writer_connection import writer_connection
from payments.assembly import Payments
from payments.billing_rules import BillingRules
from payments.event_inbox import EventHandler, EventInbox
from payments.payment_commands import payment_commands
from payments.plans import Offer, PlanOffer
from payments.product_table import BillingCycle
from payments.reconcile import Reconciler
from payments.routes import payment_routes
from payments.store_event import event_writer
from payments.subscription_status import Provider
from security.edge import install_edge
from tests.bare_app import bare_app
from tests.payments.apple_app import RunningApple, running_apple
from tests.payments.payments_app import MovableClock, NamedCaller, RunningPayments, nothing_to_do
from tests.payments.stripe_app import MakeStripe, RunningStripe, running_stripe

MakePayments = Callable[..., RunningPayments]
PLANS = (
    PlanOffer(Tier.FREE, "Free", 5, 60, (), ()),
    PlanOffer(
        Tier.PRO,
        "Pro",
        100,
        300,
        ("x",),
        ("Priority support",),
        (Offer(Provider.APPLE, BillingCycle.MONTHLY, "com.example.pro"),),
    ),
)


@pytest.fixture
def make_payments(database_url: str) -> Iterator[MakePayments]:
    made: list[RunningPayments] = []

    def make(*, handler: EventHandler = nothing_to_do, reconcilers: tuple[Reconciler, ...] = ()) -> RunningPayments:
        clock = MovableClock()
        app = bare_app(database_url)
        install_edge(app, cors_origins=frozenset(), require_https=False, trusted_proxy_hops=0, trusted_hosts=())
        running = RunningPayments(app, None, clock, [])  # type: ignore[arg-type] # announced is needed first
        rules = BillingRules(announce=lambda user, version: running.announced.append((user, version)), clock=clock)
        writer = event_writer(writer_connection(database_url, EngineOptions()))
        running.payments = Payments(
            rules=rules,
            signed_in=NamedCaller(),
            owner=NamedCaller(),
            plans=PLANS,
            manage_urls={Provider.APPLE: "https://apple.example.com"},
            inbox=EventInbox({Provider.STRIPE: handler}, writer, rules.announce, clock),
            reconcilers=reconcilers,
        )
        app.register_blueprint(payment_routes(running.payments))
        app.cli.add_command(payment_commands(running.payments))
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
    with running.app.app_context():
        db.engine.dispose()
    running.payments.inbox.writer.close()
