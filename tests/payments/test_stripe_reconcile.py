"""What Stripe's events did not tell is asked for: missed events, subscriptions, payments that nobody came back from."""

from datetime import timedelta
from uuid import UUID

import pytest

from auth.tiers import Tier
from sandbox.stripe_server.protocol.faults import Trouble
from sandbox.stripe_server.protocol.response_shapes import Object
from tests.payments.stripe_app import PRO, MakeStripe, RunningStripe


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    return stripe.user()


def test_a_purchase_that_was_never_told_is_found(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice, deliver=False)
    stripe.server.outbox.forget_pending()
    result = stripe.cli("reconcile")

    assert result.exit_code == 0, result.output
    assert stripe.tier(alice) is Tier.PRO
    assert stripe.counted("drift:stripe_subscriptions") == 1


def test_an_end_that_was_never_told_is_found(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.subscriptions.end(bought)
    stripe.server.outbox.forget_pending()
    stripe.cli("reconcile")

    assert stripe.tier(alice) is Tier.FREE


def test_when_nothing_differs_nothing_is_corrected(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.cli("reconcile")
    stripe.work()
    before = stripe.ledger(alice)

    assert "0 corrected" in stripe.cli("reconcile").output
    assert stripe.ledger(alice) == before


def test_events_that_were_not_accepted_go_into_the_inbox_once(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.outbox.drop_next(100)
    stripe.buy(alice)
    assert stripe.events() == []
    for _ in range(2):
        stripe.cli("reconcile")
        stripe.work()

    kinds = [row["kind"] for row in stripe.events()]
    assert kinds.count("checkout.session.completed") == 1
    assert len(kinds) == len({row["external_id"] for row in stripe.events()})
    assert {row["state"] for row in stripe.events()} <= {"done", "ignored"}
    assert stripe.ledger(alice) == [("free", "pro")]


def test_an_open_checkout_is_followed_to_its_end(stripe: RunningStripe, alice: UUID) -> None:
    stripe.checkout(alice)
    stripe.server.advance(timedelta(hours=2))
    stripe.server.outbox.forget_pending()
    stripe.cli("reconcile")

    assert stripe.query("SELECT state FROM checkout_intents WHERE kind = 'checkout'")[0].state == "expired"


def test_a_checkout_that_stripe_never_heard_of_is_given_up(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.faults.add(Trouble.RESET, times=3, under="/v1/checkout")
    assert stripe.checkout(alice).status_code == 503
    stripe.server.advance(timedelta(hours=2))
    stripe.cli("reconcile")

    assert stripe.query("SELECT state FROM checkout_intents WHERE kind = 'checkout'")[0].state == "failed"


def test_a_payment_that_was_made_on_the_device_is_found(stripe: RunningStripe, alice: UUID) -> None:
    stripe.item()
    stripe.post("/stripe/create-intent", {"item": "pass"}, alice)
    with stripe.app.app_context():
        stripe.rules.handler.confirm_intent(stripe.latest("payment_intent")["id"], "pm_card_visa")
    stripe.server.outbox.forget_pending()
    stripe.server.advance(timedelta(minutes=11))
    stripe.cli("reconcile")

    assert stripe.query("SELECT status FROM payments")[0].status == "succeeded"


def test_many_customers_are_followed_step_by_step(stripe: RunningStripe) -> None:
    price = stripe.server.books.get("price", PRO)
    users = [stripe.user(f"user{number}") for number in range(21)]
    for user in users:
        customer = stripe.server.customers.add(email="user@example.com")["id"]
        stripe.query(
            "INSERT INTO billing_customers (id, user_id, stripe_customer_id, apple_account_token, created_at)"
            " VALUES (gen_random_uuid(), :user, :customer, gen_random_uuid(), now())",
            user=user,
            customer=customer,
        )
        stripe.server.subscriptions.begin(customer, price, card=None, metadata={})
        stripe.server.subscriptions.change(stripe.latest("subscription"), status="active")
        stripe.latest("invoice").update(status="paid")
    stripe.server.outbox.forget_pending()
    stripe.cli("reconcile")

    assert all(stripe.tier(user) is Tier.PRO for user in users)


def test_receipts_follow_the_user_to_a_new_address(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.query("UPDATE users SET email = 'alice@new.example.com', email_key = 'alice@new.example.com'")
    stripe.cli("reconcile")

    assert stripe.server.books.get("customer", stripe.customer_of(alice))["email"] == "alice@new.example.com"
    asked = len(stripe.seen(f"/v1/customers/{stripe.customer_of(alice)}"))
    stripe.cli("reconcile")
    assert len(stripe.seen(f"/v1/customers/{stripe.customer_of(alice)}")) == asked == 1


def test_an_address_that_stripe_refuses_holds_up_nobody(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    bob = stripe.user("bob")
    bought = stripe.buy(bob)
    stripe.query("UPDATE users SET email = 'alice@new.example.com', email_key = 'k' WHERE id = :user", user=alice)
    stripe.server.customers.refused_emails.add("alice@new.example.com")
    end_for_nothing(stripe, bought)
    result = stripe.cli("reconcile")

    assert result.exit_code == 0, result.output
    assert stripe.tier(bob) is Tier.FREE
    assert passed_over(stripe) == []


def end_for_nothing(stripe: RunningStripe, subscription: Object) -> None:
    """Its event was accepted and came to nothing, so Stripe does not list it as undelivered."""
    stripe.server.subscriptions.end(subscription)
    for delivery in stripe.server.outbox.forget_pending():
        stripe.server.books.objects.pop(delivery.event["id"])


def passed_over(stripe: RunningStripe) -> list[tuple[str, str, str]]:
    rows = stripe.query("SELECT batch, item, reason FROM passed_over_items ORDER BY batch, item")
    return [tuple(row) for row in rows]


def test_a_customer_and_a_row_that_cannot_be_read_hold_up_nobody(stripe: RunningStripe, alice: UUID) -> None:
    bad = stripe.buy(alice)
    bob = stripe.user("bob")
    good = stripe.buy(bob)
    del bad["cancel_at_period_end"]
    end_for_nothing(stripe, good)
    result = stripe.cli("reconcile")

    assert result.exit_code == 0, result.output
    assert stripe.tier(bob) is Tier.FREE
    assert stripe.tier(alice) is Tier.PRO
    row, customer = stripe.subscriptions()[0], stripe.query("SELECT id FROM billing_customers ORDER BY id")[0]
    assert passed_over(stripe) == [
        ("reconcile:stripe_rows", str(row["id"]), "ValidationError"),
        ("reconcile:stripe_subscriptions", str(customer.id), "ValidationError"),
    ]


def test_a_row_whose_customer_is_forgotten_is_asked_for_by_itself(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.query("UPDATE billing_customers SET stripe_customer_id = NULL")
    end_for_nothing(stripe, bought)
    stripe.cli("reconcile")

    assert stripe.tier(alice) is Tier.FREE
    assert stripe.counted("drift:stripe_rows") == 1


def test_an_event_that_cannot_be_stored_holds_up_no_other(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.outbox.drop_next(100)
    stripe.buy(alice)
    bad = next(each for each in stripe.server.books.all("event") if each["type"] == "invoice.paid")
    del bad["livemode"]
    assert stripe.cli("reconcile").exit_code == 0
    stripe.work()

    assert stripe.tier(alice) is Tier.PRO
    assert passed_over(stripe) == [("reconcile:stripe_events", bad["id"], "KeyError")]


def test_an_open_page_or_payment_that_cannot_be_followed_holds_up_no_other(stripe: RunningStripe, alice: UUID) -> None:
    stripe.item()
    bob = stripe.user("bob")
    stripe.checkout(alice)
    bad = stripe.latest("checkout.session")
    stripe.post("/stripe/create-intent", {"item": "pass"}, bob)
    with stripe.app.app_context():
        stripe.rules.handler.confirm_intent(stripe.latest("payment_intent")["id"], "pm_card_visa")
    stripe.server.outbox.forget_pending()
    stripe.server.advance(timedelta(minutes=11))
    bad["url"] = 7
    result = stripe.cli("reconcile")

    assert result.exit_code == 0, result.output
    assert stripe.query("SELECT status FROM payments")[0].status == "succeeded"
    [(batch, _, reason)] = passed_over(stripe)
    assert (batch, reason) == ("reconcile:stripe_open_payments", "ValidationError")


def test_a_page_that_stripe_does_not_know_any_more_is_given_up(stripe: RunningStripe, alice: UUID) -> None:
    stripe.checkout(alice)
    del stripe.server.books.objects[stripe.latest("checkout.session")["id"]]
    stripe.server.advance(timedelta(minutes=11))
    stripe.cli("reconcile")

    assert stripe.query("SELECT state FROM checkout_intents WHERE kind = 'checkout'")[0].state == "failed"


def test_with_a_key_that_stripe_refuses_the_run_fails_and_nobody_is_passed_over(
    stripe: RunningStripe, alice: UUID
) -> None:
    stripe.buy(alice)
    stripe.server._api.secret_key = "sk_test_other"
    result = stripe.cli("reconcile")

    assert result.exit_code == 1
    assert "stripe_subscriptions" in result.output
    assert passed_over(stripe) == []


def test_while_stripe_is_away_nothing_is_taken_from_anybody(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    stripe.server.faults.add(Trouble.RATE_LIMIT, times=20)
    result = stripe.cli("reconcile")

    assert result.exit_code == 1
    assert "stripe_subscriptions" in result.output
    assert stripe.tier(alice) is Tier.PRO


def test_the_prices_can_be_checked_against_stripe(stripe: RunningStripe) -> None:
    result = stripe.app.test_cli_runner().invoke(args=["stripe", "check-prices"])

    assert (result.exit_code, result.output) == (0, "4 prices are on sale and match STRIPE_PRICES.\n")


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ("price_none:pro:monthly", "does not have this price"),
        (f"{PRO}:pro:yearly", "every 1 month, not every year"),
        ("price_pro_2024:pro:monthly", "not active"),
    ],
)
def test_a_price_that_is_not_as_configured_is_named(make_stripe: MakeStripe, prices: str, words: str) -> None:
    stripe = make_stripe(prices=prices)
    stripe.server.books.objects["price_pro_2024"]["active"] = False
    result = stripe.app.test_cli_runner().invoke(args=["stripe", "check-prices"])

    assert result.exit_code == 1
    assert words in result.output
