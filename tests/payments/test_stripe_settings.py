"""Settings of Stripe: what is refused, what is made of them, and what exists without them."""

import secrets
from typing import Any

import pytest

from app import assemble
from auth.tiers import Tier
from config import SettingsInvalid, load_settings
from database import db
from payments.assembly import stripe_of
from payments.billing.rules import BillingRules
from payments.product_table import BillingCycle
from payments.stripe.rules import StripeRules
from tests.payments.payments_app import announce_to
from tests.whole.environment import production_environment

LIVE = {"STRIPE_SECRET_KEY": f"sk_live_{secrets.token_hex(8)}", "STRIPE_WEBHOOK_SECRET": "whsec_a, whsec_b"}
DEVELOPMENT = {"FLASK_ENV": "development"}


def environ(**changes: str) -> dict[str, str]:
    return {**production_environment("postgresql://db/x", "https://private.example.com"), **LIVE, **changes}


def problems_of(**changes: str) -> set[str]:
    try:
        load_settings(environ(**changes))
    except SettingsInvalid as refusal:
        return {problem.partition(" ")[0] for problem in refusal.problems}
    return set()


def rules_of(**changes: str) -> StripeRules:
    rules = stripe_of(load_settings(environ(**changes)), BillingRules(announce_to([])))
    assert rules is not None
    return rules


def test_a_key_and_a_secret_are_enough() -> None:
    assert problems_of() == set()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET"),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_a,nothing"}, "STRIPE_WEBHOOK_SECRET"),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_"}, "STRIPE_WEBHOOK_SECRET"),
        ({"STRIPE_SECRET_KEY": ""}, "STRIPE_WEBHOOK_SECRET"),
        ({"STRIPE_SECRET_KEY": "", "STRIPE_WEBHOOK_SECRET": "", "STRIPE_PRICES": "p:pro"}, "STRIPE_PRICES"),
        ({"STRIPE_API_BASE": "https://stripe.example.com"}, "STRIPE_API_BASE"),
        ({"STRIPE_PRICES": "price_1:gold:monthly"}, "STRIPE_PRICES"),
        ({"STRIPE_PRICES": "price_1:pro:monthly,price_2:pro:monthly"}, "STRIPE_PRICES"),
        ({"STRIPE_PRICES": "price_1:pro,price_1:enterprise"}, "STRIPE_PRICES"),
        ({"STRIPE_TRIAL_DAYS": "-1"}, "STRIPE_TRIAL_DAYS"),
        ({"CHECKOUT_RETURN_URL": "http://app.example.com"}, "CHECKOUT_RETURN_URL"),
        ({"CHECKOUT_ORIGINS": "http://app.example.com"}, "CHECKOUT_ORIGINS"),
        ({"CHECKOUT_ORIGINS": "https://app.example.com/path"}, "CHECKOUT_ORIGINS"),
    ],
)
def test_what_cannot_work_or_is_not_safe_is_refused(changes: dict[str, str], name: str) -> None:
    assert problems_of(**changes) == {name}


def test_a_developers_machine_may_have_another_stripe() -> None:
    local: dict[str, Any] = {**DEVELOPMENT, "STRIPE_API_BASE": "http://127.0.0.1:1", "STRIPE_WEBHOOK_SECRET": ""}

    assert problems_of(**local) == set()
    assert rules_of(**local).handler.address.api_base == "http://127.0.0.1:1"


def test_the_rules_are_made_of_the_settings() -> None:
    rules = rules_of(STRIPE_PRICES="price_1:pro:monthly,price_0:pro", STRIPE_TRIAL_DAYS="14")

    assert rules.webhook_secrets == ("whsec_a", "whsec_b")
    assert rules.prices.on_sale[Tier.PRO, BillingCycle.MONTHLY].product_id == "price_1"
    assert (rules.trial.days, rules.handler.address.live) == (14, True)
    assert rules.redirects.home == "https://api.example.com"
    assert rules.redirects.origins == {"https://app.example.com"}
    assert LIVE["STRIPE_SECRET_KEY"] not in repr(rules)
    assert "whsec_a" not in repr(rules)


def test_own_origins_take_the_place_of_the_web_apps() -> None:
    rules = rules_of(CHECKOUT_ORIGINS="https://shop.example.com", CHECKOUT_RETURN_URL="https://app.example.com/b")

    assert rules.redirects.origins == {"https://shop.example.com"}
    assert rules.redirects.home == "https://app.example.com/b"


@pytest.mark.parametrize(("changes", "exists"), [({}, True), ({"STRIPE_SECRET_KEY": ""}, False)])
def test_without_a_key_there_is_no_route(changes: dict[str, str], exists: bool) -> None:
    changes = {**DEVELOPMENT, **changes, **({} if exists else {"STRIPE_WEBHOOK_SECRET": ""})}
    app = assemble(load_settings(environ(**changes)))
    paths = {rule.rule for rule in app.url_map.iter_rules()}
    with app.app_context():
        db.engine.dispose()

    assert ("/api/payments/stripe/create-checkout-session" in paths) is exists
    assert ("/api/payments/stripe/webhook" in paths) is exists


def test_the_plans_say_what_can_be_bought_on_the_web(database_url: str) -> None:
    prices = "price_1:pro:monthly,price_2:pro:yearly,price_0:enterprise"
    app = assemble(load_settings(environ(**DEVELOPMENT, DATABASE_URL=database_url, STRIPE_PRICES=prices)))
    plans = app.test_client().get("/api/payments/plans").get_json()["plans"]
    with app.app_context():
        db.engine.dispose()

    offers = {plan["tier"]: [(each["provider"], each["billing_cycle"]) for each in plan["offers"]] for plan in plans}
    sold = {"pro": [("stripe", "monthly"), ("stripe", "yearly")]}
    assert offers == {tier: sold.get(tier, []) for tier in ("free", "plus", "pro", "team", "enterprise")}
    assert "price_1" not in str(plans)
