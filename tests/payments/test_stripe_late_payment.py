"""Money that comes for a subscription after its end buys nothing: an operator is told, and can give it back."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from auth.tiers import Tier
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from sandbox.stripe_server.protocol.response_shapes import Object
from tests.payments.stripe_app import RunningStripe


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    return stripe.user()


def paid_late(stripe: RunningStripe, user: UUID) -> Object:
    """The invoice of a renewal that failed until the subscription was cancelled, and is paid then from its e-mail."""
    bought = stripe.buy(user)
    stripe.card_of(user, Card.DECLINED)
    stripe.pass_time(days=31)
    stripe.pass_time(days=20)
    assert bought["status"] == "canceled"
    invoice = stripe.server.books.get("invoice", bought["latest_invoice"])
    stripe.server.invoices.collect(invoice, Card.GOOD)
    stripe.deliver()
    assert (invoice["status"], bought["status"]) == ("paid", "canceled")
    return invoice


def test_an_operator_is_told_and_gives_it_back(stripe: RunningStripe, alice: UUID) -> None:
    invoice = paid_late(stripe, alice)
    assert stripe.tier(alice) is Tier.FREE
    assert stripe.counted("stripe_paid_after_end") == 1
    [line] = stripe.cli("late").output.splitlines()
    event, *_, invoice_id = line.split()
    assert invoice_id == invoice["id"]
    assert list(stripe.server.books.all("refund")) == []

    for _ in range(2):
        assert stripe.cli("give-back", event).output == "Refunded.\n"
    [refund] = list(stripe.server.books.all("refund"))
    assert refund["amount"] == 1900
    assert stripe.cli("late").output == ""


def test_what_was_paid_in_time_is_not_late_however_late_its_event_comes(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    stripe.server.advance(timedelta(days=1))
    stripe.server.subscriptions.end(bought)
    stripe.deliver()
    [paid] = [row for row in stripe.events() if row["kind"] == "invoice.paid"]
    stripe.cli("replay", "--event", str(paid["id"]))
    stripe.work()

    late = stripe.cli("late")
    assert (late.exit_code, late.output) == (0, "")
    assert stripe.counted("stripe_paid_after_end") == 0


def test_what_is_not_a_late_payment_is_not_given_back(stripe: RunningStripe, alice: UUID) -> None:
    stripe.buy(alice)
    for event in (uuid4(), stripe.events()[0]["id"]):
        result = stripe.cli("give-back", str(event))
        assert result.exit_code == 1
        assert "no late payment" in result.output
    assert list(stripe.server.books.all("refund")) == []


def test_while_stripe_is_away_it_stays_on_the_list(stripe: RunningStripe, alice: UUID) -> None:
    paid_late(stripe, alice)
    event = stripe.cli("late").output.split()[0]
    stripe.server.faults.add(Trouble.RATE_LIMIT, under="/v1/refunds")

    assert stripe.cli("give-back", event).exit_code == 1
    assert stripe.cli("late").output.startswith(event)
