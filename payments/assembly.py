"""The parts of this package, put together for one application."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from auth.assembly import Auth
from database.base import Clock, utc_now
from database.jobs.declare import Job, JobName, Urgency
from payments.apple.legacy_receipts import VERIFY_RECEIPT_URLS, LegacyReceipts
from payments.apple.notifications import apple_events
from payments.apple.purchase import AppleEnvironment
from payments.apple.reconcile import apple_reconcilers
from payments.apple.rules import Apple, SandboxPolicy
from payments.apple.settings import AppStoreSection
from payments.apple_validator import AppleApiKey, AppleServerApi, AppleSignatures
from payments.apply_stripe_event import is_handled, stripe_events
from payments.billing.rules import BillingRules
from payments.inbox.inbox import EventHandler, EventInbox
from payments.inbox.purge import forget_billing_events
from payments.inbox.reconcile import Reconciler, reconcile
from payments.inbox.store import event_writer
from payments.plans import PlanOffer, on_offer
from payments.product_table import ProductTable
from payments.purchase import Purchases
from payments.purchases.items import Items
from payments.purchases.jobs import purchase_jobs
from payments.purchases.reconcile import OpenPayments
from payments.settings import PaymentSections
from payments.stripe.jobs import stripe_jobs
from payments.stripe.reconcile import stripe_reconcilers
from payments.stripe.redirects import Redirects
from payments.stripe.rules import StripeRules
from payments.stripe.settings import StripeSection
from payments.stripe_handler import StripeAddress, StripeHandler
from payments.subscriptions.grant_tier import Announce
from payments.subscriptions.hand_over import hand_over_tiers
from payments.subscriptions.read import ManageUrls
from payments.subscriptions.status import Provider
from security.api.operation import Guard
from settings.section import Environment, secret_text

APPLE_SUBSCRIPTIONS_URL = "https://apps.apple.com/account/subscriptions"
"""Where anybody changes or cancels what the App Store sold them (Apple, Handling Subscriptions)."""


@dataclass(frozen=True)
class AppleSettings:
    """One app of the App Store. `shared_secret` is for receipts of StoreKit 1, `api_key` for the App Store Server API.

    `root_certificate` and `urls` take the place of Apple's.
    """

    bundle_id: str
    app_id: int
    products: ProductTable
    sandbox: SandboxPolicy
    online_checks: bool = True
    shared_secret: str | None = field(default=None, repr=False)
    api_key: AppleApiKey | None = field(default=None, repr=False)
    root_certificate: bytes | None = None
    urls: Mapping[AppleEnvironment, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StripeSettings:
    """For `trial` and `webhook_secrets` see StripeRules."""

    address: StripeAddress
    prices: ProductTable
    redirects: Redirects
    trial: timedelta = timedelta()
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class PaymentSettings:
    """What is None is not sold through. `plans` are shown with what these two sell; for `grace` see BillingRules."""

    plans: Sequence[PlanOffer] = ()
    grace: timedelta = timedelta(days=7)
    apple: AppleSettings | None = None
    stripe: StripeSettings | None = None


@dataclass(frozen=True)
class Payments:
    """What the commands and routes of payments work with. Made by `assemble_payments`."""

    rules: BillingRules
    signed_in: Guard
    owner: Guard
    """For what even the staff must not read in the owner's place."""
    plans: Sequence[PlanOffer]
    manage_urls: ManageUrls
    inbox: EventInbox
    reconcilers: Sequence[Reconciler] = ()
    apple: Apple | None = None
    stripe: StripeRules | None = None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """For the workers."""
        rules = self.rules
        return (
            *self.inbox.jobs,
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
            Job("forget_billing_events", lambda: forget_billing_events(rules.clock()), cron="47 3 * * *"),
        )


def assemble_payments(
    settings: PaymentSettings,
    *,
    announce: Announce,
    signed_in: Guard,
    owner: Guard,
    connect: Callable[[], Connection],
    purchases: Sequence[Purchases] = (),
    clock: Clock = utc_now,
) -> Payments:
    """`announce` is told of every tier that changed, after the commit. `connect` opens the connection on which events are
    stored. `purchases` are the kinds that packages above sell, besides items.

    Starts no thread and connects to nothing.
    """
    rules = BillingRules(announce, settings.grace, clock)
    apple = None if settings.apple is None else apple_of(settings.apple, rules)
    stripe = None if settings.stripe is None else stripe_of(settings.stripe, rules, purchases)
    handlers: dict[Provider, EventHandler[Any]] = {}
    if apple is not None:
        handlers[Provider.APPLE] = apple_events(apple)
    if stripe is not None:
        handlers[Provider.STRIPE] = stripe_events(stripe)
    inbox = EventInbox(handlers, event_writer(connect), announce, clock)
    return Payments(
        rules=rules,
        signed_in=signed_in,
        owner=owner,
        plans=on_offer(
            settings.plans, None if apple is None else apple.products, None if stripe is None else stripe.prices
        ),
        manage_urls={Provider.APPLE: APPLE_SUBSCRIPTIONS_URL},
        inbox=inbox,
        reconcilers=(
            *(() if apple is None else apple_reconcilers(apple, inbox)),
            *(() if stripe is None else (*stripe_reconcilers(stripe, inbox, is_handled), OpenPayments(stripe))),
        ),
        apple=apple,
        stripe=stripe,
    )


def apple_of(settings: AppleSettings, rules: BillingRules) -> Apple:
    signatures = AppleSignatures(
        bundle_id=settings.bundle_id,
        app_apple_id=settings.app_id,
        root_certificate=settings.root_certificate,
        online_checks=settings.online_checks,
    )
    receipts, api = None, None
    if settings.shared_secret is not None:
        own_urls = {environment: f"{url}/verifyReceipt" for environment, url in settings.urls.items()}
        receipts = LegacyReceipts(settings.bundle_id, settings.shared_secret, {**VERIFY_RECEIPT_URLS, **own_urls})
    if settings.api_key is not None:
        api = AppleServerApi(settings.api_key, settings.bundle_id, signatures, settings.urls)
    return Apple(
        rules=rules,
        products=settings.products,
        signatures=signatures,
        sandbox=settings.sandbox,
        online_checks=settings.online_checks,
        receipts=receipts,
        api=api,
    )


def stripe_of(settings: StripeSettings, rules: BillingRules, purchases: Sequence[Purchases]) -> StripeRules:
    return StripeRules(
        handler=StripeHandler(settings.address),
        billing=rules,
        prices=settings.prices,
        redirects=settings.redirects,
        trial=settings.trial,
        webhook_secrets=settings.webhook_secrets,
        purchases=(Items(), *purchases),
    )


def payments_of(
    settings: PaymentSections, *, auth: Auth, connect: Callable[[], Connection], plans: Sequence[PlanOffer]
) -> Payments:
    """As the settings say."""
    return assemble_payments(
        PaymentSettings(
            plans=plans,
            grace=timedelta(days=settings.payment_grace_days),
            apple=apple_settings(settings),
            stripe=stripe_settings(settings),
        ),
        announce=auth.states.changed,
        signed_in=auth.signed_in,
        owner=auth.signed_in_as_oneself,
        connect=connect,
    )


def apple_settings(settings: AppStoreSection) -> AppleSettings | None:
    """None when no app is set up."""
    if settings.apple_bundle_id is None or settings.apple_app_id is None:
        return None
    root, api_key = settings.apple_root_certificate, None
    if settings.apple_api_key_id and settings.apple_api_issuer_id and settings.apple_api_private_key:
        private_key = settings.apple_api_private_key.get_secret_value().encode()
        api_key = AppleApiKey(settings.apple_api_key_id, settings.apple_api_issuer_id, private_key)
    urls = {
        AppleEnvironment.PRODUCTION: settings.apple_production_url,
        AppleEnvironment.SANDBOX: settings.apple_sandbox_url,
    }
    return AppleSettings(
        bundle_id=settings.apple_bundle_id,
        app_id=settings.apple_app_id,
        products=ProductTable.read(settings.apple_products),
        sandbox=SandboxPolicy(
            everybody=settings.flask_env is not Environment.PRODUCTION, accounts=settings.apple_sandbox_accounts
        ),
        online_checks=settings.apple_online_checks and root is None,
        shared_secret=secret_text(settings.apple_shared_secret),
        api_key=api_key,
        root_certificate=None if root is None else root.read_bytes(),
        urls={environment: url for environment, url in urls.items() if url is not None},
    )


def stripe_settings(settings: StripeSection) -> StripeSettings | None:
    """None without a key."""
    if settings.stripe_secret_key is None:
        return None
    secrets = secret_text(settings.stripe_webhook_secret)
    return StripeSettings(
        address=StripeAddress(settings.stripe_secret_key.get_secret_value(), settings.stripe_api_base),
        prices=ProductTable.read(settings.stripe_prices),
        redirects=Redirects(
            settings.checkout_return_url or settings.public_base_url,
            settings.redirect_origins,
            own_pages=settings.checkout_return_url is None,
        ),
        trial=timedelta(days=settings.stripe_trial_days),
        webhook_secrets=() if secrets is None else tuple(each.strip() for each in secrets.split(",")),
    )
