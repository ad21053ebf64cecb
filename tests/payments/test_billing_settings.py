"""The settings of statements: what holds unless it is set, and what a server refuses to start with."""

from datetime import timedelta

import pytest

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from config import Settings, SettingsInvalid, load_settings
from payments.billing.rules import PeriodRules
from tests.whole.environment import production_environment

NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"
PAY = "/api/payments/billing-periods/<uuid:billing_period_id>/pay"


def settings(**changes: str) -> Settings:
    return load_settings({**production_environment(NOWHERE, "https://predict.example.com"), **changes})


def assembled(**changes: str) -> tuple[PeriodRules, set[str]]:
    """With the routes that there are."""
    app = assemble(settings(**changes))
    made: Assembled = app.extensions[ASSEMBLED]
    return made.payments.periods, {str(rule) for rule in app.url_map.iter_rules()}


def test_what_holds_unless_it_is_set() -> None:
    made, routes = assembled()
    assert (made.max_open_cents, made.due, made.overdue_blocks, made.currency) == (
        2_000,
        timedelta(days=14),
        True,
        "usd",
    )
    assert made.pay_url == f"{settings().public_base_url}/portal"
    assert PAY not in routes


def test_what_is_set_holds_and_statements_are_paid_where_stripe_is_set_up() -> None:
    made, routes = assembled(
        BILLING_MAX_OPEN_CENTS="none",
        BILLING_DUE_DAYS="30",
        BILLING_OVERDUE_BLOCKS="false",
        BILLING_CURRENCY="eur",
        STRIPE_SECRET_KEY="sk_test_x",
        STRIPE_WEBHOOK_SECRET="whsec_x",
    )
    assert (made.max_open_cents, made.due, made.overdue_blocks, made.currency) == (
        None,
        timedelta(days=30),
        False,
        "eur",
    )
    assert PAY in routes
    assert settings(BILLING_MAX_OPEN_CENTS="0").billing_max_open_cents == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BILLING_MAX_OPEN_CENTS", "-1"),
        ("BILLING_MAX_OPEN_CENTS", "19.99"),
        ("BILLING_DUE_DAYS", "0"),
        ("BILLING_OVERDUE_BLOCKS", "perhaps"),
        ("BILLING_CURRENCY", "USD"),
        ("BILLING_CURRENCY", "dollar"),
        ("BILLING_CURRENCY", "jpy"),
        ("BILLING_CURRENCY", "kwd"),
    ],
)
def test_what_is_refused(name: str, text: str) -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        settings(**{name: text})
    assert [problem.partition(" ")[0] for problem in refusal.value.problems] == [name]
