"""A process is killed at any step of a purchase. Whoever goes on afterwards ends in the same place: nothing twice, nothing lost."""

import json
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from auth.tiers import Tier
from database import db
from payments.inbox.inbox import CLAIMED_FOR
from payments.stripe.jobs import end_doubles
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from tests.payments.stripe_app import PRO, RunningStripe

LONG = 60.0
PATIENCE_SECONDS = 30


def kill_while(stripe: RunningStripe, act: Callable[[], object], until: Callable[[], object] | None = None) -> None:
    """Do it in another process, which is killed when `until` says so, or right after it was done."""
    child = os.fork()
    if child == 0:
        try:
            with stripe.app.app_context():
                db.engine.dispose(close=False)
                act()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    if until is not None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def stall(stripe: RunningStripe, path: str, verb: str) -> Callable[[], bool]:
    """Stripe does what the next such request asks, and says nothing. Gives whether it has come."""
    before = len(stripe.seen(path, verb))
    stripe.server.faults.add(Trouble.STALL, under=path, verb=verb, stall_seconds=LONG)
    return lambda: len(stripe.seen(path, verb)) > before


@pytest.fixture
def alice(stripe: RunningStripe) -> UUID:
    return stripe.user()


@pytest.mark.parametrize("path", ["/v1/customers", "/v1/checkout/sessions"])
def test_while_the_page_is_made(stripe: RunningStripe, alice: UUID, path: str) -> None:
    kill_while(stripe, lambda: stripe.checkout(alice), stall(stripe, path, "post"))
    answer = stripe.checkout(alice)

    assert answer.status_code == 200
    assert len(list(stripe.server.books.all("customer"))) == 1
    assert len(list(stripe.server.books.all("checkout.session"))) == 1
    assert len({each.idempotency_key for each in stripe.seen(path)}) == 1


def purchase(stripe: RunningStripe, alice: UUID) -> UUID:
    """Alice has bought, one event of it has been stored, and its job waits."""
    stripe.buy(alice, deliver=False)
    kinds = [each.kind for each in stripe.server.outbox.pending()]
    stripe.server.outbox.deliver_pending([kinds.index("customer.subscription.updated")])
    stripe.server.outbox.forget_pending()
    [event] = stripe.events()
    event_id: UUID = event["id"]
    return event_id


def go_on(stripe: RunningStripe) -> None:
    """The worker's jobs are taken over, and what it had claimed becomes due again."""
    stripe.server.advance(CLAIMED_FOR)
    stripe.run_job("sweep_billing_events")
    stripe.work()


@pytest.fixture
def news(stripe: RunningStripe, alice: UUID) -> tuple[bytes, str]:
    """Alice has bought, and the event that says so is on its way."""
    stripe.buy(alice, deliver=False)
    found = next(each for each in stripe.server.outbox.deliveries if each.kind == "customer.subscription.updated")
    body = json.dumps(found.event)
    return body.encode(), stripe.server.outbox.signature(body)


def ends_with_pro_once(stripe: RunningStripe, alice: UUID, news: tuple[bytes, str]) -> None:
    """Stripe got no answer, so it sends the event again."""
    assert stripe.send(*news).status_code == 200
    stripe.work()
    assert stripe.ledger(alice) == [("free", "pro")]
    assert [each["state"] for each in stripe.events()] == ["done"]


def test_while_an_event_is_being_stored(stripe: RunningStripe, alice: UUID, news: tuple[bytes, str]) -> None:
    waits = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with stripe.app.app_context(), db.engine.connect() as holder, db.engine.connect() as connection:
        holder.execute(text("LOCK TABLE billing_events"))
        watcher = connection.execution_options(isolation_level="AUTOCOMMIT")
        kill_while(stripe, lambda: stripe.send(*news), lambda: watcher.execute(waits).scalar_one())
        holder.rollback()
    ends_with_pro_once(stripe, alice, news)


def test_when_an_event_was_stored_and_before_the_answer(
    stripe: RunningStripe, alice: UUID, news: tuple[bytes, str]
) -> None:
    kill_while(stripe, lambda: stripe.send(*news))
    assert [each["state"] for each in stripe.events()] == ["received"]
    ends_with_pro_once(stripe, alice, news)


def test_while_stripe_is_asked_for_what_an_event_is_about(stripe: RunningStripe, alice: UUID) -> None:
    event = purchase(stripe, alice)
    stripe.query("DELETE FROM procrastinate_jobs")
    asked = stall(stripe, f"/v1/subscriptions/{stripe.latest('subscription')['id']}", "get")
    kill_while(stripe, lambda: stripe.payments.inbox.apply(event), asked)
    assert stripe.tier(alice) is Tier.FREE

    go_on(stripe)
    assert stripe.ledger(alice) == [("free", "pro")]
    assert stripe.events()[0]["state"] == "done"


def test_after_the_effect_and_before_the_job_is_acknowledged(stripe: RunningStripe, alice: UUID) -> None:
    event = purchase(stripe, alice)
    kill_while(stripe, lambda: stripe.payments.inbox.apply(event))
    assert stripe.tier(alice) is Tier.PRO

    assert stripe.work() == 0
    go_on(stripe)
    assert stripe.ledger(alice) == [("free", "pro")]


def test_while_a_plan_is_changed(stripe: RunningStripe, alice: UUID) -> None:
    bought = stripe.buy(alice)
    changed = stall(stripe, f"/v1/subscriptions/{bought['id']}", "post")
    kill_while(stripe, lambda: stripe.change(alice, "enterprise"), changed)
    assert stripe.change(alice, "enterprise").get_json()["tier"] == "enterprise"

    updates = [each for each in stripe.server.books.all("invoice") if each["billing_reason"] == "subscription_update"]
    assert len(updates) == 1


@pytest.mark.parametrize("path", ["/v1/refunds", "/v1/subscriptions"])
def test_while_a_second_subscription_is_given_back(stripe: RunningStripe, alice: UUID, path: str) -> None:
    stripe.buy(alice)
    stripe.server.advance(timedelta(minutes=1))
    price = stripe.server.books.get("price", PRO)
    second = stripe.server.subscriptions.begin(stripe.customer_of(alice), price, card=Card.GOOD, metadata={})
    stripe.server.outbox.deliver_pending()
    stripe.work()
    verb = "post" if path == "/v1/refunds" else "delete"
    under = path if verb == "post" else f"{path}/{second['id']}"
    kill_while(stripe, lambda: end_doubles(stripe.rules, alice), stall(stripe, under, verb))
    stripe.deliver()

    assert second["status"] == "canceled"
    assert [each["amount"] for each in stripe.server.books.all("refund")] == [1900]
    assert stripe.tier(alice) is Tier.PRO


def test_while_something_is_ordered(stripe: RunningStripe, alice: UUID) -> None:
    stripe.item(stock=5)
    order = {"item": "pass", "quantity": 2}
    made = stall(stripe, "/v1/payment_intents", "post")
    kill_while(stripe, lambda: stripe.post("/stripe/create-intent", order, alice), made)
    answer = stripe.post("/stripe/create-intent", order, alice)

    assert answer.status_code == 200
    assert len(list(stripe.server.books.all("payment_intent"))) == 1
    assert stripe.stock() == 3


def test_while_it_is_paid(stripe: RunningStripe, alice: UUID) -> None:
    stripe.item(stock=5)
    payment = stripe.post("/stripe/create-intent", {"item": "pass"}, alice).get_json()["id"]
    body = {"payment_id": payment, "payment_method": "pm_card_visa"}
    paid = stall(stripe, f"/v1/payment_intents/{stripe.latest('payment_intent')['id']}/confirm", "post")
    kill_while(stripe, lambda: stripe.post("/stripe/confirm", body, alice), paid)
    answer = stripe.post("/stripe/confirm", body, alice)

    assert (answer.status_code, answer.get_json()["status"]) == (200, "succeeded")
    assert len(list(stripe.server.books.all("charge"))) == 1
    assert stripe.stock() == 4
