"""POST /api/payments/stripe/create-checkout-session"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from auth.tiers import Tier
from payments.subscriptions.status import Provider, SubscriptionStatus
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from tests.payments.facts import fact
from tests.payments.stripe_app import ENTERPRISE, HOME, OTHER_ORIGIN, PRO, MakeStripe, RunningStripe

SESSIONS = "/v1/checkout/sessions"


def apple_subscription(stripe: RunningStripe, user: Any, **changes: Any) -> None:
    values = {"provider": Provider.APPLE, "environment": "Production", "external_id": "1000", **changes}
    stripe.record(fact(period_end=stripe.clock() + timedelta(days=20), **values), user)


def test_it_gives_a_page_for_our_price_and_this_user(stripe: RunningStripe) -> None:
    alice = stripe.user()
    answer = stripe.checkout(alice)

    assert answer.status_code == 200
    body = answer.get_json()
    assert body["checkout_url"].startswith(stripe.server.url + "/checkout/cs_test_")
    [asked] = stripe.seen(SESSIONS)
    assert asked.idempotency_key == body["payment_id"]
    assert asked.params["line_items"] == [{"price": PRO, "quantity": 1}]
    assert asked.params["customer"] == stripe.customer_of(alice)
    assert asked.params["client_reference_id"] == str(alice)
    assert asked.params["subscription_data"] == {
        "metadata": {"user_id": str(alice), "checkout_id": body["payment_id"]},
    }
    assert "payment_method_types" not in asked.params
    assert "customer_email" not in asked.params
    assert asked.params["success_url"].startswith(HOME + "?checkout=success&")
    assert asked.params["success_url"].endswith("session_id={CHECKOUT_SESSION_ID}")


def test_paying_makes_the_user_pro(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.buy(alice)

    assert stripe.tier(alice) is Tier.PRO
    assert stripe.ledger(alice) == [("free", "pro")]
    assert stripe.own(alice)["managed_by"] == "stripe"
    assert stripe.announced[-1][0] == alice


def test_the_customer_is_made_once(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.checkout(alice)
    stripe.checkout(alice, "enterprise")

    [made] = stripe.seen("/v1/customers")
    assert made.params["email"] == "alice@example.com"
    assert made.idempotency_key is not None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tier": "gold", "billing_cycle": "monthly"}, "/tier"),
        ({"tier": "free", "billing_cycle": "monthly"}, "/tier"),
        ({"tier": "pro", "billing_cycle": "weekly"}, "/billing_cycle"),
        ({"tier": "pro"}, "/billing_cycle"),
        ({"tier": "pro", "billing_cycle": "monthly", "price": "price_1"}, "/price"),
        ({"tier": "pro", "billing_cycle": "monthly", "amount": 1}, "/amount"),
    ],
)
def test_what_is_not_understood_is_named_and_stripe_not_asked(
    stripe: RunningStripe, body: dict[str, Any], pointer: str
) -> None:
    answer = stripe.post("/stripe/create-checkout-session", body, stripe.user())

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.get_json()["errors"]] == [pointer]
    assert stripe.server.seen == []


@pytest.mark.parametrize("body", [b"[]", b'"pro"', b"{"])
def test_what_is_no_object_is_refused(stripe: RunningStripe, body: bytes) -> None:
    headers = {"X-Test-User": str(stripe.user()), "Content-Type": "application/json"}
    answer = stripe.client.post("/api/payments/stripe/create-checkout-session", data=body, headers=headers)

    assert answer.status_code in {400, 422}
    assert stripe.server.seen == []


def test_nobody_buys_without_signing_in(stripe: RunningStripe) -> None:
    assert stripe.checkout(None).status_code == 401
    assert stripe.server.seen == []


@pytest.mark.parametrize(
    "address", [OTHER_ORIGIN + "/done?x=1", HOME, "https://app.example.com", "https://APP.example.com:443/a#b"]
)
def test_the_page_may_lead_to_our_own_apps(stripe: RunningStripe, address: str) -> None:
    assert stripe.checkout(stripe.user(), success_url=address, cancel_url=address).status_code == 200
    assert stripe.seen(SESSIONS)[0].params["success_url"] == address
    assert stripe.seen(SESSIONS)[0].params["cancel_url"] == address


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example.com/",
        "http://app.example.com/",
        "https://app.example.com:444/",
        "https://app.example.com.evil.example/",
        "https://app.example.com@evil.example/",
        "https://evil.example\\@app.example.com/",
        "https://evil.example\\.app.example.com/",
        "//app.example.com/",
        "javascript:alert(1)//app.example.com",
        "https:app.example.com",
        "https://app.example.com:x/",
        "https://app.example.com/\n",
        "https://[app.example.com]/",
        "app.example.com",
        " https://app.example.com/",
    ],
)
@pytest.mark.parametrize("field", ["success_url", "cancel_url"])
def test_the_page_leads_nowhere_else(stripe: RunningStripe, field: str, address: str) -> None:
    answer = stripe.checkout(stripe.user(), **{field: address})

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == f"/{field}"
    assert stripe.server.seen == []


def test_asking_again_gives_the_same_page(stripe: RunningStripe) -> None:
    alice = stripe.user()
    first, second = stripe.checkout(alice).get_json(), stripe.checkout(alice).get_json()

    assert first == second
    assert len(stripe.seen(SESSIONS)) == 1


def test_asking_for_another_plan_closes_the_first_page(stripe: RunningStripe) -> None:
    alice = stripe.user()
    first = stripe.checkout(alice).get_json()
    second = stripe.checkout(alice, "enterprise").get_json()

    assert stripe.press(first["checkout_url"], "good").status_code == 410
    assert stripe.press(second["checkout_url"], "good").status_code == 303
    stripe.deliver()
    assert stripe.tier(alice) is Tier.ENTERPRISE
    assert stripe.seen(SESSIONS)[1].params["line_items"][0]["price"] == ENTERPRISE


def test_a_page_that_has_expired_is_followed_by_a_new_one(stripe: RunningStripe) -> None:
    alice = stripe.user()
    first = stripe.checkout(alice).get_json()
    stripe.server.advance(timedelta(minutes=61))
    second = stripe.checkout(alice).get_json()

    assert first["session_id"] != second["session_id"]
    assert stripe.press(second["checkout_url"], "good").status_code == 303


def test_many_clicks_at_once_make_one_page(stripe: RunningStripe) -> None:
    alice = stripe.user()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: stripe.checkout(alice), range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.get_json()["session_id"] for answer in answers}) == 1
    assert len(list(stripe.server.books.all("checkout.session"))) == 1
    assert len(list(stripe.server.books.all("customer"))) == 1


def test_a_second_subscription_is_refused(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.buy(alice)
    answer = stripe.checkout(alice, "enterprise")

    assert answer.status_code == 409
    assert (answer.get_json()["error"], answer.get_json()["managed_by"]) == ("already_subscribed", "stripe")
    assert len(stripe.seen(SESSIONS)) == 1


def test_a_paid_page_whose_news_have_not_arrived_is_not_paid_twice(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.buy(alice, deliver=False)
    answer = stripe.checkout(alice)

    assert (answer.status_code, answer.get_json()["error"]) == (409, "already_subscribed")
    assert stripe.tier(alice) is Tier.PRO


def test_what_apple_sells_is_not_bought_again(stripe: RunningStripe) -> None:
    alice = stripe.user()
    apple_subscription(stripe, alice)
    answer = stripe.checkout(alice)

    assert (answer.status_code, answer.get_json()["managed_by"]) == (409, "apple")
    assert stripe.server.seen == []


def test_an_apple_subscription_that_has_ended_is_in_nobodys_way(stripe: RunningStripe) -> None:
    alice = stripe.user()
    apple_subscription(stripe, alice, status=SubscriptionStatus.EXPIRED)

    assert stripe.checkout(alice).status_code == 200


@pytest.mark.parametrize("card", [Card.BANK_DEBIT])
def test_a_payment_on_its_way_is_not_made_twice(stripe: RunningStripe, card: Card) -> None:
    alice = stripe.user()
    stripe.buy(alice, card=card)

    assert stripe.tier(alice) is Tier.FREE
    assert stripe.checkout(alice).status_code == 409


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_bank_debit_grants_only_when_it_has_come(stripe: RunningStripe, succeeded: bool) -> None:
    alice = stripe.user()
    stripe.buy(alice, card=Card.BANK_DEBIT)
    session = stripe.latest("checkout.session")
    assert session["payment_status"] == "unpaid"
    assert stripe.tier(alice) is Tier.FREE

    stripe.server.checkout.settle(session, succeeded=succeeded)
    stripe.deliver()
    assert stripe.tier(alice) is (Tier.PRO if succeeded else Tier.FREE)
    assert stripe.checkout(alice).status_code == (409 if succeeded else 200)


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble.LOST_ANSWER,
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (Trouble.SERVER_ERROR, Trouble.RESET, Trouble.LOCK_TIMEOUT)
        ),
    ],
)
def test_short_trouble_is_sat_out_under_one_key(stripe: RunningStripe, trouble: Trouble) -> None:
    stripe.server.faults.add(trouble, times=2, under=SESSIONS)

    assert stripe.checkout(stripe.user()).status_code == 200
    assert len({each.idempotency_key for each in stripe.seen(SESSIONS)}) == 1
    assert len(list(stripe.server.books.all("checkout.session"))) == 1


def test_when_stripe_stays_away_the_caller_may_come_again(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.server.faults.add(Trouble.LOST_ANSWER, times=3, under=SESSIONS)
    answer = stripe.checkout(alice)
    assert (answer.status_code, answer.get_json()["error"]) == (503, "payments_unavailable")
    assert int(answer.headers["Retry-After"]) > 0

    assert stripe.checkout(alice).status_code == 200
    assert len({each.idempotency_key for each in stripe.seen(SESSIONS)}) == 1
    assert len(list(stripe.server.books.all("checkout.session"))) == 1


def test_a_rate_limit_is_503_and_changes_nothing(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.server.faults.add(Trouble.RATE_LIMIT, under=SESSIONS)
    answer = stripe.checkout(alice)

    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "Traceback" not in answer.text
    assert stripe.tier(alice) is Tier.FREE


def test_an_intent_that_waited_too_long_is_replaced(stripe: RunningStripe) -> None:
    """Its request was never heard of, and as it was written down it would be refused now."""
    alice = stripe.user()
    stripe.server.faults.add(Trouble.RESET, times=3, under=SESSIONS)
    assert stripe.checkout(alice).status_code == 503
    stripe.server.advance(timedelta(minutes=45))

    assert stripe.checkout(alice).status_code == 200
    assert len(list(stripe.server.books.all("checkout.session"))) == 1


def test_a_customer_who_was_deleted_at_stripe_is_made_anew(stripe: RunningStripe) -> None:
    alice = stripe.user()
    stripe.buy(alice)
    first = stripe.customer_of(alice)
    stripe.server.books.objects[first]["deleted"] = True
    with stripe.app.app_context():
        stripe.rules.handler.cancel_subscription(stripe.latest("subscription")["id"])
    stripe.deliver()

    assert stripe.checkout(alice).status_code == 200
    assert stripe.customer_of(alice) != first


def test_an_archived_price_is_not_on_sale(stripe: RunningStripe) -> None:
    stripe.server.books.objects[PRO]["active"] = False
    answer = stripe.checkout(stripe.user())

    assert (answer.status_code, answer.get_json()["error"]) == (409, "plan_not_on_sale")


def test_a_price_that_stripe_does_not_know_is_our_mistake(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(prices="price_none:pro:monthly")
    answer = stripe.checkout(stripe.user())

    assert (answer.status_code, answer.get_json()["error"]) == (502, "payments_misconfigured")


def test_whoever_paid_in_another_currency_is_told_and_support_can_help(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(prices="price_euro:pro:monthly")
    stripe.server.catalogue.add_price("prod_pro", 1900, "eur", "month", price_id="price_euro")
    alice = stripe.user()
    stripe.checkout(alice)
    first = stripe.server.books.get("customer", stripe.customer_of(alice))
    first["currency"] = "usd"
    stripe.server.advance(timedelta(hours=2))
    answer = stripe.checkout(alice)
    assert (answer.status_code, answer.get_json()["error"]) == (409, "currency_differs")
    assert answer.get_json()["currency"] == "usd"

    cli = stripe.app.test_cli_runner()
    assert cli.invoke(args=["stripe", "new-customer", str(alice)]).exit_code == 0
    assert stripe.checkout(alice).status_code == 200
    assert stripe.customer_of(alice) != first["id"]


def test_a_new_billing_account_is_not_begun_beside_a_subscription(stripe: RunningStripe) -> None:
    alice = stripe.user()
    cli = stripe.app.test_cli_runner()
    assert "not a customer at Stripe" in cli.invoke(args=["stripe", "new-customer", str(alice)]).output
    stripe.buy(alice)

    assert "End it first" in cli.invoke(args=["stripe", "new-customer", str(alice)]).output
    assert stripe.customer_of(alice) != "None"


def test_an_address_that_stripe_refuses_keeps_nobody_from_buying(stripe: RunningStripe) -> None:
    stripe.server.customers.refused_emails.add("alice@example.com")
    alice = stripe.user()
    stripe.buy(alice)

    assert stripe.tier(alice) is Tier.PRO
    assert stripe.server.books.get("customer", stripe.customer_of(alice))["email"] is None
    stripe.query("UPDATE users SET email = 'alice@new.example.com', email_key = 'alice@new.example.com'")
    assert stripe.cli("reconcile").exit_code == 0
    assert stripe.server.books.get("customer", stripe.customer_of(alice))["email"] == "alice@new.example.com"


def test_a_refusal_that_was_our_mistake_is_no_reason_to_repeat_it_for_ever(stripe: RunningStripe) -> None:
    alice, key = stripe.user(), stripe.server.secret_key
    stripe.server._api.secret_key = "sk_test_other"
    assert stripe.checkout(alice).status_code == 502
    stripe.server._api.secret_key = key
    stripe.query("UPDATE users SET email = 'alice@new.example.com', email_key = 'alice@new.example.com'")

    assert stripe.checkout(alice).status_code == 200
    assert stripe.server.books.get("customer", stripe.customer_of(alice))["email"] == "alice@new.example.com"


@pytest.mark.parametrize(("trouble", "made"), [(Trouble.LOST_ANSWER, True), (Trouble.RESET, False)])
def test_a_customer_whose_making_was_not_answered_days_ago_is_found_or_made_anew(
    stripe: RunningStripe, trouble: Trouble, made: bool
) -> None:
    """Stripe has forgotten the key by then."""
    alice = stripe.user()
    stripe.server.faults.add(trouble, times=3, under="/v1/customers")
    assert stripe.checkout(alice).status_code == 503
    before = [each["id"] for each in stripe.server.books.all("customer")]
    assert bool(before) is made
    stripe.server.advance(timedelta(days=3))
    stripe.server._api.switch_key(stripe.server.secret_key)  # its keys are forgotten

    assert stripe.checkout(alice).status_code == 200
    assert len(list(stripe.server.books.all("customer"))) == 1
    assert [stripe.customer_of(alice)] == (before or [stripe.customer_of(alice)])


def test_a_wrong_key_is_our_mistake_and_is_not_shown(stripe: RunningStripe) -> None:
    stripe.server.switch_mode("sk_test_other")
    answer = stripe.checkout(stripe.user())

    assert answer.status_code == 502
    assert stripe.server.secret_key not in answer.text


def test_a_plan_without_a_price_is_not_on_sale(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(prices=f"{PRO}:pro:monthly,price_old:pro")
    answer = stripe.checkout(stripe.user(), "enterprise", "yearly")

    assert (answer.status_code, answer.get_json()["error"]) == (409, "plan_not_on_sale")


def test_a_trial_is_given_once(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(trial_days=14)
    alice = stripe.user()
    first = stripe.buy(alice)
    assert stripe.seen(SESSIONS)[0].params["subscription_data"]["trial_period_days"] == 14
    assert (first["status"], stripe.tier(alice)) == ("trialing", Tier.PRO)

    with stripe.app.app_context():
        stripe.rules.handler.cancel_subscription(first["id"])
    stripe.deliver()
    assert stripe.buy(alice)["status"] == "active"
    assert "trial_period_days" not in stripe.seen(SESSIONS)[1].params["subscription_data"]


def test_a_trial_at_apple_was_the_trial(make_stripe: MakeStripe) -> None:
    stripe = make_stripe(trial_days=14)
    alice = stripe.user()
    apple_subscription(stripe, alice, status=SubscriptionStatus.EXPIRED, trial=True)

    assert stripe.buy(alice)["status"] == "active"
