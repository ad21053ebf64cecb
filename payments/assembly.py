"""The parts of this package, put together for one application."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from auth.assembly import Auth
from auth.purge import NIGHTLY, Purge
from database.figures import Figure
from database.jobs.declare import Job, JobName, Urgency
from metering.purchase import OneOffPayments, Purchases
from payments.apple.notifications import apple_events
from payments.apple.purchase import AppleEnvironment
from payments.apple.reconcile import apple_reconcilers
from payments.apple.rules import Apple, SandboxPolicy
from payments.apple.settings import AppStoreSection
from payments.apple_validator import AppleApiKey
from payments.apply_stripe_event import HANDLERS, stripe_events
from payments.billing.jobs import billing_jobs
from payments.billing.metrics import UNPAID_CENTS, UNPAID_PERIODS
from payments.billing.pay import StatementPurchases
from payments.billing.rules import BillingRules, PeriodRules
from payments.billing.settings import BillingSection
from payments.inbox.inbox import EventHandler, EventInbox, dead_of
from payments.inbox.metrics import OLDEST_PENDING, PENDING, noted
from payments.inbox.reconcile import Reconciler, drift_of, reconcile
from payments.inbox.store import event_writer
from payments.models import BillingEvent
from payments.plans import CallPrices, PlanOffer, on_offer
from payments.product_table import ProductTable
from payments.purchases.for_products import PaymentsOfPurchases
from payments.purchases.items import Items
from payments.purchases.jobs import purchase_jobs
from payments.purchases.reconcile import open_payments
from payments.settings import PaymentSections
from payments.stripe.jobs import stripe_jobs
from payments.stripe.reconcile import stripe_reconcilers
from payments.stripe.redirects import Redirects
from payments.stripe.rules import StripeRules
from payments.stripe.settings import StripeSection
from payments.stripe_handler import StripeAddress, StripeHandler
from payments.subscriptions.hand_over import hand_over_tiers
from payments.subscriptions.read import ManageUrls
from payments.subscriptions.status import Provider
from security.api.operation import Guard
from settings.section import Environment, secret_text

APPLE_SUBSCRIPTIONS_URL = "https://apps.apple.com/account/subscriptions"
"""Where anybody changes or cancels what the App Store sold them (Apple, Handling Subscriptions)."""

PORTAL = "/portal"
"""Where people pay their statements."""

FORGET_EVENTS = Purge("forget_billing_events", NIGHTLY, BillingEvent.id, BillingEvent.settled_at, timedelta(days=180))
"""Events that were dealt with: what came of them stands in the ledger. Dead ones, which were not settled, wait for a person. As
long as Apple keeps its own history, a notification that is listed there is still known for a repetition here."""


@dataclass(frozen=True)
class Payments:
    """What the commands and routes of payments work with. Made by `assemble_payments`."""

    rules: BillingRules
    periods: PeriodRules
    signed_in: Guard
    owner: Guard
    """For what even the staff must not read in the owner's place."""
    plans: Sequence[PlanOffer]
    manage_urls: ManageUrls
    inbox: EventInbox
    reconcilers: Sequence[Reconciler] = ()
    call_prices: CallPrices = dict
    apple: Apple | None = None
    stripe: StripeRules | None = None

    @property
    def one_off(self) -> OneOffPayments:
        """For the products that sell something once."""
        return PaymentsOfPurchases(self.stripe)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """For the workers."""
        rules = self.rules
        return (
            *self.inbox.jobs,
            *billing_jobs(self.periods),
            *(() if self.stripe is None else (*stripe_jobs(self.stripe), *purchase_jobs(self.stripe))),
            Job(
                JobName("hand_over_tiers", Urgency.PAYMENTS),
                lambda: hand_over_tiers(rules.clock, rules.announce),
                cron="* * * * *",
            ),
            Job(
                JobName("reconcile_billing", Urgency.PAYMENTS),
                lambda: reconcile(self.reconcilers, rules.clock).drift,
                cron="23 * * * *",
            ),
            Job(FORGET_EVENTS.job, lambda: FORGET_EVENTS.run(rules.clock), cron=FORGET_EVENTS.cron),
        )

    @property
    def figures(self) -> tuple[Figure, ...]:
        drift = (drift_of(each.name) for each in self.reconcilers)
        dead = (dead_of(provider.value) for provider in self.inbox.handlers)
        return (PENDING, OLDEST_PENDING, noted((*drift, *dead)), UNPAID_PERIODS, UNPAID_CENTS)


def assemble_payments(
    rules: BillingRules,
    periods: PeriodRules,
    *,
    plans: Sequence[PlanOffer] = (),
    call_prices: CallPrices = dict,
    apple: Apple | None = None,
    stripe: StripeRules | None = None,
    signed_in: Guard,
    owner: Guard,
    connect: Callable[[], Connection],
) -> Payments:
    """What is None is not sold through. `plans` are shown with what these two sell. `connect` opens the connection on which
    events are stored.

    Starts no thread and connects to nothing.
    """
    handlers: dict[Provider, EventHandler[Any]] = {}
    if apple is not None:
        handlers[Provider.APPLE] = apple_events(apple)
    if stripe is not None:
        handlers[Provider.STRIPE] = stripe_events(stripe)
    inbox = EventInbox(handlers, event_writer(connect), rules.announce, rules.clock)
    return Payments(
        rules=rules,
        periods=periods,
        signed_in=signed_in,
        owner=owner,
        plans=on_offer(plans, apple.products if apple else None, stripe.prices if stripe else None),
        manage_urls={Provider.APPLE: APPLE_SUBSCRIPTIONS_URL},
        inbox=inbox,
        call_prices=call_prices,
        reconcilers=(
            *(() if apple is None else apple_reconcilers(apple, inbox)),
            *(() if stripe is None else (*stripe_reconcilers(stripe, inbox, HANDLERS), open_payments(stripe))),
        ),
        apple=apple,
        stripe=stripe,
    )


def payments_of(
    settings: PaymentSections,
    *,
    auth: Auth,
    connect: Callable[[], Connection],
    plans: Sequence[PlanOffer],
    call_prices: CallPrices = dict,
    purchases: Callable[[], Sequence[Purchases]] = tuple,
) -> Payments:
    """As the settings say. `purchases` are the kinds that packages above sell, besides items and statements."""
    rules = BillingRules(auth.states.changed, timedelta(days=settings.payment_grace_days))
    periods = periods_of(settings, auth)
    return assemble_payments(
        rules,
        periods,
        plans=plans,
        call_prices=call_prices,
        apple=apple_of(settings, rules),
        stripe=stripe_of(settings, rules, lambda: (StatementPurchases(periods), *purchases())),
        signed_in=auth.signed_in,
        owner=auth.signed_in_as_oneself,
        connect=connect,
    )


def periods_of(settings: BillingSection, auth: Auth) -> PeriodRules:
    return PeriodRules(
        mailer=auth.mailer,
        pay_url=f"{settings.public_base_url}{PORTAL}",
        max_open_cents=settings.billing_max_open_cents,
        due=timedelta(days=settings.billing_due_days),
        overdue_blocks=settings.billing_overdue_blocks,
        currency=settings.billing_currency,
    )


def apple_of(settings: AppStoreSection, rules: BillingRules) -> Apple | None:
    """None when no app is set up."""
    if settings.apple_bundle_id is None or settings.apple_app_id is None:
        return None
    root, key = settings.apple_root_certificate, None
    if settings.apple_api_key_id and settings.apple_api_issuer_id and settings.apple_api_private_key:
        private_key = settings.apple_api_private_key.get_secret_value().encode()
        key = AppleApiKey(settings.apple_api_key_id, settings.apple_api_issuer_id, private_key)
    urls = {
        AppleEnvironment.PRODUCTION: settings.apple_production_url,
        AppleEnvironment.SANDBOX: settings.apple_sandbox_url,
    }
    return Apple.of_app(
        rules,
        bundle_id=settings.apple_bundle_id,
        app_id=settings.apple_app_id,
        products=ProductTable.read(settings.apple_products),
        sandbox=SandboxPolicy(
            everybody=settings.flask_env is not Environment.PRODUCTION, accounts=settings.apple_sandbox_accounts
        ),
        online_checks=settings.apple_online_checks and root is None,
        shared_secret=secret_text(settings.apple_shared_secret),
        api_key=key,
        root_certificate=None if root is None else root.read_bytes(),
        urls={environment: url for environment, url in urls.items() if url is not None},
    )


def stripe_of(
    settings: StripeSection, rules: BillingRules, purchases: Callable[[], Sequence[Purchases]] = tuple
) -> StripeRules | None:
    """None without a key."""
    if settings.stripe_secret_key is None:
        return None
    secrets = secret_text(settings.stripe_webhook_secret)
    return StripeRules(
        handler=StripeHandler(StripeAddress(settings.stripe_secret_key.get_secret_value(), settings.stripe_api_base)),
        billing=rules,
        prices=ProductTable.read(settings.stripe_prices),
        redirects=Redirects(
            settings.checkout_return_url or settings.public_base_url,
            settings.redirect_origins,
            own_pages=settings.checkout_return_url is None,
        ),
        trial=timedelta(days=settings.stripe_trial_days),
        webhook_secrets=() if secrets is None else tuple(each.strip() for each in secrets.split(",")),
        purchases=lambda: (Items(), *purchases()),
    )
