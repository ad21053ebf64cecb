"""Each batch job of payments with one row that fails among others that do not: the others are done, and operators see which
one it was.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from auth.tiers import Tier
from payments.inbox.inbox import EventHandler
from sandbox.http_listener import Reply
from sandbox.stripe_server.protocol.faults import Trouble
from tests.payments.apple_app import PRO, RunningApple
from tests.payments.conftest import MakePayments
from tests.payments.facts import fact
from tests.payments.payments_app import MovableClock, RunningPayments, write_nothing
from tests.payments.stripe_app import RunningStripe

OVER = timedelta(minutes=30)


def refuse(running: RunningPayments, doing: str, table: str, row: str) -> None:
    """Let the database refuse one row, as an unexpected key or a full partition would."""
    running.query(f"""
        CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF OLD.{row} THEN RAISE EXCEPTION 'refused'; END IF;
            RETURN OLD;
        END $$;
        CREATE TRIGGER refuse_row BEFORE {doing} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_row()
    """.replace("OLD", "NEW" if doing != "DELETE" else "OLD"))


def passed_over(running: RunningPayments) -> list[tuple[str, str, str, int]]:
    rows = running.query("SELECT batch, item, reason, times FROM passed_over_items ORDER BY batch, item")
    return [tuple(row) for row in rows]


def named(run: Callable[[], object]) -> list[tuple[str, str]]:
    """Which rows the log says were passed over."""
    with capture_logs() as logs:
        run()
    return [(line["batch"], line["item"]) for line in logs if line["event"] == "item_passed_over"]


def buyers(stripe: RunningStripe, *names: str) -> list[Any]:
    """Each ordered one of five, a second after the one before."""
    stripe.item(stock=5)
    for name in names:
        assert stripe.post("/stripe/create-intent", {"item": "pass"}, stripe.user(name)).status_code == 200
        stripe.server.advance(timedelta(seconds=1))
    return list(stripe.query("SELECT id, user_id, external_id FROM payments ORDER BY id"))


def test_a_payment_that_stripe_does_not_know_is_given_up_and_the_others_are_released(stripe: RunningStripe) -> None:
    first, _ = buyers(stripe, "alice", "bob")
    del stripe.server.books.objects[first.external_id]
    stripe.server.advance(OVER)

    assert stripe.run_job("release_reservations") == 2

    assert [row.status for row in stripe.query("SELECT status FROM payments")] == ["canceled", "canceled"]
    assert stripe.stock() == 5
    assert stripe.counted("stripe_missing") == 1
    assert passed_over(stripe) == []
    assert stripe.post("/stripe/create-intent", {"item": "pass"}, first.user_id).status_code == 200


def test_a_payment_that_stripe_stumbles_over_keeps_nobody_elses_stock(stripe: RunningStripe) -> None:
    first, _ = buyers(stripe, "alice", "bob")
    stripe.server.advance(OVER)
    stripe.server.faults.add(Trouble.SERVER_ERROR, times=3, under=f"/v1/payment_intents/{first.external_id}")

    assert named(lambda: stripe.run_job("release_reservations")) == [("release_reservations", str(first.id))]

    assert stripe.stock() == 4
    assert passed_over(stripe) == [("release_reservations", str(first.id), "StripeUnavailable", 1)]
    assert stripe.run_job("release_reservations") == 1
    assert stripe.stock() == 5


def test_while_stripe_is_away_no_payment_is_blamed(stripe: RunningStripe) -> None:
    buyers(stripe, "alice", "bob")
    stripe.server.advance(OVER)
    stripe.server.faults.add(Trouble.RATE_LIMIT)

    with pytest.raises(Exception, match="cannot be reached"):
        stripe.run_job("release_reservations")

    assert passed_over(stripe) == []
    assert stripe.run_job("release_reservations") == 2


def test_no_number_of_payments_that_fail_keeps_those_behind_them(stripe: RunningStripe) -> None:
    [last] = buyers(stripe, "alice")
    stripe.query("UPDATE payments SET external_id = NULL")
    stripe.query("""
        INSERT INTO payments (id, user_id, provider, amount, currency, purchase_kind, purchase_id, quantity,
                              reserved_until, status, created_at, updated_at)
        SELECT gen_random_uuid(), NULL, provider, amount, currency, purchase_kind, purchase_id, 7,
               reserved_until - interval '1 hour', status, created_at, updated_at
        FROM payments, generate_series(1, 101)
    """)
    refuse(stripe, "UPDATE", "payments", "quantity = 7")
    stripe.server.advance(OVER)

    assert len(named(lambda: stripe.run_job("release_reservations"))) == 101

    assert stripe.query("SELECT status FROM payments WHERE id = :id", id=last.id)[0].status == "canceled"


def test_a_user_whose_tier_cannot_be_computed_keeps_nobody_elses(running: RunningPayments) -> None:
    clock = running.clock
    assert isinstance(clock, MovableClock)
    alice, bob = running.user("alice"), running.user("bob")
    for user, name, days in ((alice, "sub_1", 1), (bob, "sub_2", 2)):
        end = clock.now + timedelta(days=days)
        running.record(fact(external_id=name, period_end=end, cancel_at=end), user)
    running.query("UPDATE subscriptions SET status = 'a word of another release' WHERE user_id = :user", user=alice)
    clock.advance(days=3)

    assert named(lambda: running.run_job("hand_over_tiers")) == [("hand_over_tiers", str(alice))]

    assert running.ledger(bob) == [("free", "pro"), ("pro", "free")]
    assert passed_over(running) == [("hand_over_tiers", str(alice), "ValueError", 1)]


def three_events(make_payments: MakePayments) -> tuple[RunningPayments, list[UUID]]:
    running = make_payments(handler=EventHandler(lambda event: None, write_nothing))
    events = [running.store(f"evt_{number}") for number in range(3)]
    running.query("DELETE FROM procrastinate_jobs")
    return running, [each for each in events if each is not None]


def test_an_event_that_cannot_be_enqueued_keeps_no_other(make_payments: MakePayments) -> None:
    running, events = three_events(make_payments)
    assert isinstance(running.clock, MovableClock)
    refuse(running, "UPDATE", "billing_events", "external_id = 'evt_0'")
    running.clock.advance(minutes=6)

    assert named(lambda: running.run_job("sweep_billing_events")) == [("sweep_billing_events", str(events[0]))]

    assert len(running.query("SELECT 1 FROM procrastinate_jobs")) == 2
    assert passed_over(running) == [("sweep_billing_events", str(events[0]), "InternalError", 1)]


def test_an_event_that_cannot_be_started_anew_keeps_no_other(make_payments: MakePayments) -> None:
    running, events = three_events(make_payments)
    running.query("UPDATE billing_events SET state = 'dead'")
    refuse(running, "UPDATE", "billing_events", "external_id = 'evt_0'")

    assert named(lambda: running.cli("replay", "--dead")) == [("replay_billing_events", str(events[0]))]

    assert len(running.query("SELECT 1 FROM procrastinate_jobs")) == 2
    assert passed_over(running) == [("replay_billing_events", str(events[0]), "InternalError", 1)]


def test_an_event_that_cannot_be_deleted_keeps_no_other(make_payments: MakePayments) -> None:
    running, events = three_events(make_payments)
    assert isinstance(running.clock, MovableClock)
    running.query("UPDATE billing_events SET state = 'done', settled_at = received_at")
    refuse(running, "DELETE", "billing_events", "external_id = 'evt_0'")
    running.clock.advance(days=181)

    assert named(lambda: running.run_job("forget_billing_events")) == [("forget_billing_events", str(events[0]))]

    assert [event["id"] for event in running.events()] == events[:1]
    assert passed_over(running) == [("forget_billing_events", str(events[0]), "InternalError", 1)]


def overdue(apple: RunningApple) -> list[Any]:
    """Two subscriptions that were renewed at Apple without a word, the first one first."""
    for name in ("alice", "bob"):
        apple.buy_and_hand_in(apple.user(name), PRO, customer=name)
    apple.app_store.notify(None)
    apple.app_store.advance(timedelta(days=32))
    seen = f'{{"since": {int(apple.clock().timestamp() * 1000)}}}'
    apple.query("INSERT INTO reconcile_cursors VALUES ('apple_notifications_production', :p, now())", p=seen)
    apple.query("INSERT INTO reconcile_cursors VALUES ('apple_notifications_sandbox', :p, now())", p=seen)
    return list(apple.query("SELECT id, user_id FROM subscriptions ORDER BY id"))


FORGED = Reply(200, {"data": [{"lastTransactions": [{"signedTransactionInfo": "not.signed.data"}]}]})


def api_error(code: int) -> Reply:
    return Reply(code // 10_000, {"errorCode": code, "errorMessage": "On demand."})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (FORGED, "SignedDataForged"),
        (api_error(4040006), "AppleUnavailable"),
        (api_error(5000000), "AppleUnavailable"),
        (Reply(200, "no JSON"), "AppleUnavailable"),
    ],
    ids=["forged", "404", "500", "unreadable"],
)
def test_a_subscription_that_apple_stumbles_over_keeps_no_other(
    apple: RunningApple, answer: Reply, reason: str
) -> None:
    first, second = overdue(apple)
    # The histories of both environments are asked for first.
    apple.production.faults.api.extend([Reply(200, {"notificationHistory": [], "hasMore": False}), answer])

    assert named(lambda: apple.cli("reconcile")) == [("reconcile:apple_overdue", str(first.id))]

    assert (apple.tier(first.user_id), apple.tier(second.user_id)) == (Tier.FREE, Tier.PRO)
    assert passed_over(apple) == [("reconcile:apple_overdue", str(first.id), reason, 1)]
    assert apple.cli("reconcile").exit_code == 0
    assert apple.tier(first.user_id) is Tier.PRO


@pytest.mark.parametrize("answer", [api_error(4290000), Reply(401, "Unauthenticated")], ids=["too many", "key"])
def test_while_apple_answers_nothing_no_subscription_is_blamed(apple: RunningApple, answer: Reply) -> None:
    overdue(apple)
    apple.production.faults.api.extend([Reply(200, {"notificationHistory": [], "hasMore": False}), answer])

    result = apple.cli("reconcile")

    assert (result.exit_code, "apple_overdue" in result.output) == (1, True)
    assert passed_over(apple) == []
    assert apple.cli("reconcile").output.splitlines()[-1].endswith("2 corrected.")


def test_a_notification_that_cannot_be_kept_holds_up_no_other(apple: RunningApple) -> None:
    for number in range(3):
        apple.production.store.subscribe(f"customer{number}", PRO)
    first = apple.production.notifications.history[0]
    refuse(apple, "INSERT", "billing_events", f"external_id = '{first.uuid}'")

    [(batch, item)] = named(lambda: apple.cli("reconcile"))

    assert batch == "reconcile:apple_notifications_production"
    assert passed_over(apple) == [(batch, item, "RaiseException", 1)]
    assert first.uuid not in {event["external_id"] for event in apple.events()}
    assert len(apple.events()) == 2
