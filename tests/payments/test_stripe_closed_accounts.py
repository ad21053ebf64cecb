"""Closing an account closes what could still be charged or bought for it, and what is paid all the same goes back."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from auth.tiers import Tier
from database import transaction
from payments.subscriptions.close_account import end_subscriptions, let_go_of_subscriptions
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from tests.payments.stripe_app import RunningStripe


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    return stripe.user()


def close(stripe: RunningStripe, user: UUID) -> None:
    """As auth does it: the account is switched off and this runs, in one transaction."""
    stripe.query("UPDATE users SET is_active = false, delete_after = now() WHERE id = :user", user=user)
    with stripe.app.app_context(), transaction() as session:
        end_subscriptions(session, user, stripe.clock())


def restore(stripe: RunningStripe, user: UUID) -> None:
    stripe.query("UPDATE users SET is_active = true, delete_after = NULL WHERE id = :user", user=user)


def delete(stripe: RunningStripe, user: UUID) -> None:
    with stripe.app.app_context(), transaction() as session:
        let_go_of_subscriptions(session, user)


def checkout_state(stripe: RunningStripe) -> str:
    return str(stripe.query("SELECT state FROM checkout_intents WHERE kind = 'checkout'")[0].state)


def test_an_open_page_is_closed(stripe: RunningStripe, alice: UUID) -> None:
    page = stripe.checkout(alice).get_json()["checkout_url"]
    close(stripe, alice)
    stripe.deliver()

    assert stripe.press(page, "good").status_code == 410
    assert checkout_state(stripe) == "expired"


def test_a_page_that_may_or_may_not_have_been_made_is_closed(stripe: RunningStripe, alice: UUID) -> None:
    stripe.server.faults.add(Trouble.LOST_ANSWER, times=3, under="/v1/checkout/sessions")
    assert stripe.checkout(alice).status_code == 503
    close(stripe, alice)
    stripe.deliver()

    [session] = list(stripe.server.books.all("checkout.session"))
    assert session["status"] == "expired"


def switch_off(stripe: RunningStripe, user: UUID) -> None:
    stripe.query("UPDATE users SET is_active = false WHERE id = :user", user=user)


@pytest.mark.parametrize("leave", [close, switch_off], ids=["closed", "switched off"])
def test_what_is_paid_all_the_same_goes_back(
    stripe: RunningStripe, alice: UUID, leave: Callable[[RunningStripe, UUID], None]
) -> None:
    page = stripe.checkout(alice).get_json()["checkout_url"]
    leave(stripe, alice)
    assert stripe.press(page, "good").status_code == 303
    stripe.deliver()

    assert stripe.latest("subscription")["status"] == "canceled"
    [refund] = list(stripe.server.books.all("refund"))
    assert refund["amount"] == 1900
    assert stripe.tier(alice) is Tier.FREE
    assert stripe.counted("stripe_bought_for_closed_account") == 1


def test_a_bank_debit_that_comes_after_the_end_goes_back(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice, card=Card.BANK_DEBIT)
    close(stripe, alice)
    stripe.deliver()
    assert stripe.latest("subscription")["status"] == "canceled"
    stripe.server.advance(timedelta(days=3))
    stripe.server.checkout.settle(stripe.latest("checkout.session"), succeeded=True)
    stripe.deliver()

    assert [refund["amount"] for refund in stripe.server.books.all("refund")] == [1900]
    late = stripe.cli("late")
    assert (late.exit_code, late.output) == (0, "")


def test_a_paid_year_is_still_there_when_the_account_comes_back(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice, cycle="yearly")
    close(stripe, alice)
    stripe.deliver()
    assert (bought["status"], bought["cancel_at_period_end"]) == ("active", True)
    stripe.pass_time(days=20)
    restore(stripe, alice)

    assert stripe.tier(alice) is Tier.PRO
    assert stripe.own(alice)["ends_at"].startswith("2027-03-10")
    assert stripe.act(alice, "resume").get_json()["renews_at"].startswith("2027-03-10")


def test_nothing_is_charged_after_closing(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    close(stripe, alice)
    stripe.deliver()
    charges = len(list(stripe.server.books.all("charge")))
    stripe.pass_time(days=40)

    assert stripe.latest("subscription")["status"] == "canceled"
    assert len(list(stripe.server.books.all("charge"))) == charges


def test_what_is_not_paid_ends_at_once(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.card_of(alice, Card.DECLINED)
    stripe.pass_time(days=31)
    close(stripe, alice)
    stripe.deliver()

    assert bought["status"] == "canceled"


def test_when_the_account_is_deleted_what_was_used_is_not_given_back(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    close(stripe, alice)
    stripe.deliver()
    delete(stripe, alice)
    stripe.server.subscriptions.change(bought, metadata={"note": "an event before the job has run"})
    stripe.server.outbox.deliver_pending()
    stripe.work()
    stripe.deliver()

    assert bought["status"] == "canceled"
    assert list(stripe.server.books.all("refund")) == []
