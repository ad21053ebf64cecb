"""Stripe: the key's mode, the prices, and the webhook endpoint as Stripe knows it."""

from collections.abc import Iterator
from datetime import timedelta

from payments.apply_stripe_event import HANDLERS, version_differs
from payments.stripe.commands import problem_of
from payments.stripe.objects import StripeWebhookEndpoint
from payments.stripe.problems import StripeKeyRefused, StripeRefused, StripeUnavailable
from payments.stripe.rules import StripeRules
from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

WEBHOOK = "/api/payments/stripe/webhook"
DASHBOARD = "In Stripe's dashboard, Developers, Webhooks:"
LATELY = timedelta(days=1)
UNDER_WAY = timedelta(minutes=10)


def stripe_check(rules: StripeRules, base_url: str) -> ProductionCheck:
    right = "The key is for live payments, the prices match, and Stripe sends every event that is needed to this API."
    return ProductionCheck("stripe", right, lambda: find(rules, base_url))


def find(rules: StripeRules, base_url: str) -> Iterator[Shortcoming]:
    if not rules.handler.address.live:
        yield Shortcoming(
            "STRIPE_SECRET_KEY is a test key: nobody pays.", "Set the live key (sk_live_… or rk_live_…) and its prices."
        )
    try:
        endpoints = rules.handler.webhook_endpoints()
        yield from wrong_endpoint(rules, endpoints, base_url + WEBHOOK)
        yield from wrong_prices(rules)
        yield from missed_events(rules)
    except StripeKeyRefused:
        raise CannotAsk(
            "Stripe refuses STRIPE_SECRET_KEY, or the key may not read webhook endpoints, prices and events.",
            "Set a key that is valid. Give a restricted key (rk_…) these rights to read.",
        ) from None
    except StripeUnavailable:
        raise CannotAsk("Stripe cannot be reached.", "Check the firewall and status.stripe.com.") from None
    except StripeRefused:
        raise CannotAsk(
            "Stripe refused a question of ours.", "Run flask stripe check-prices: its log names Stripe's request id."
        ) from None


def wrong_endpoint(rules: StripeRules, endpoints: list[StripeWebhookEndpoint], url: str) -> Iterator[Shortcoming]:
    ours = max((each for each in endpoints if each.url == url), key=lambda each: each.status == "enabled", default=None)
    if ours is None:
        yield Shortcoming(
            f"Stripe has no webhook endpoint for {url}.",
            f"{DASHBOARD} add it, and set STRIPE_WEBHOOK_SECRET to its signing secret.",
        )
        return
    if ours.status != "enabled":
        yield Shortcoming("The webhook endpoint is disabled at Stripe.", f"{DASHBOARD} enable it.")
    missing = sorted(HANDLERS.keys() - set(ours.enabled_events))
    if missing and "*" not in ours.enabled_events:
        yield Shortcoming(
            f"The webhook endpoint does not get events that are needed: {', '.join(missing)}.",
            f"{DASHBOARD} add them (docs/payments.md).",
        )
    if version_differs(ours.api_version, rules.handler.api_version):
        yield Shortcoming(
            f"The webhook endpoint sends version {ours.api_version or 'of the account'}, not {rules.handler.api_version}.",
            f"{DASHBOARD} add an endpoint with this version, then delete the old one.",
        )


def wrong_prices(rules: StripeRules) -> Iterator[Shortcoming]:
    for product in rules.prices.on_sale.values():
        if problem := problem_of(rules, product):
            yield Shortcoming(
                f"STRIPE_PRICES does not match Stripe: {problem}.", "Correct it, then: flask stripe check-prices"
            )


def missed_events(rules: StripeRules) -> Iterator[Shortcoming]:
    """Stripe lists what waits for its first delivery too, so the newest say nothing."""
    now = rules.billing.clock()
    since, until = now - LATELY, (now - UNDER_WAY).timestamp()
    missed = [
        each
        for each in rules.handler.undelivered_events(since)
        if each["type"] in HANDLERS and each["created"] <= until
    ]
    if missed:
        yield Shortcoming(
            f"Events of the last 24 hours that Stripe could not deliver: {len(missed)}.",
            "Set STRIPE_WEBHOOK_SECRET to the signing secret of this endpoint. The dashboard shows what each endpoint answered.",
        )
