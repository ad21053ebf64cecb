"""Reconciling with Apple: what never arrived, and what ended without a word"""

import uuid
from datetime import timedelta

import pytest

from auth.tiers import Tier
from database import reading
from payments.subscriptions.before_a_sale import present_seller
from tests.payments.apple_app import PRO, RunningApple
from tests.payments.conftest import MakeApple

DAY = timedelta(days=1)


@pytest.fixture
def alice(apple: RunningApple) -> uuid.UUID:
    return apple.user("alice")


def reconcile(apple: RunningApple) -> str:
    output: str = apple.cli("reconcile").output
    apple.work()
    return output.splitlines()[-1]


def test_what_was_missed_while_we_were_down_is_fetched(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    apple.production.notifications.drop_next()
    upgraded = apple.production.store.subscribe("somebody else", PRO)
    apple.production.store.set_auto_renew(upgraded.original_transaction_id, renews=False)
    apple.app_store.notify(None)
    apple.app_store.advance(timedelta(days=3))
    assert apple.tier(alice) is Tier.FREE
    assert reconcile(apple) == "3 checked, 3 corrected."
    assert apple.tier(alice) is Tier.PRO
    assert apple.counted("drift:apple_notifications_production") == 3


def test_nothing_is_corrected_when_everything_arrived(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    apple.deliver()
    assert reconcile(apple) == "1 checked, 0 corrected."
    assert apple.ledger(alice) == [("free", "pro")]


def test_the_next_run_goes_on_where_the_last_one_stopped(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    apple.deliver()
    reconcile(apple)
    apple.app_store.advance(timedelta(hours=5))
    assert reconcile(apple) == "1 checked, 0 corrected."  # the hour before the last run is looked at again
    assert reconcile(apple) == "0 checked, 0 corrected."


def test_many_pages_are_read_to_their_end(apple: RunningApple) -> None:
    for number in range(45):
        apple.production.store.subscribe(f"customer{number}", PRO)
    assert reconcile(apple) == "45 checked, 45 corrected."
    assert len(apple.subscriptions()) == 45


def test_a_page_token_that_apple_forgot_begins_anew(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    since = int((apple.clock() - timedelta(days=1)).timestamp() * 1000)
    position = f'{{"since": {since}, "until": {since + 1}, "token": "forgotten"}}'
    apple.query(
        "INSERT INTO reconcile_cursors VALUES ('apple_notifications_production', :position, now())", position=position
    )
    assert reconcile(apple) == "1 checked, 1 corrected."
    assert apple.tier(alice) is Tier.PRO


def test_a_renewal_of_which_no_word_came_is_found(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy_and_hand_in(alice)
    apple.app_store.notify(None)
    apple.app_store.advance(timedelta(days=40))
    apple.query("INSERT INTO reconcile_cursors VALUES ('apple_notifications_production', :p, now())", p=just_now(apple))
    assert apple.tier(alice) is Tier.FREE
    assert reconcile(apple) == "1 checked, 1 corrected."
    assert apple.tier(alice) is Tier.PRO
    assert apple.counted("drift:apple_overdue") == 1
    assert apple.query("SELECT cause FROM entitlement_ledger ORDER BY id DESC LIMIT 1")[0].cause == "reconcile"


def just_now(apple: RunningApple) -> str:
    """As if the history had been read a moment ago, so that only the other reconciler has something to find."""
    return f'{{"since": {int(apple.clock().timestamp() * 1000)}}}'


def test_a_failed_payment_of_which_no_word_came_is_found(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.production.store.grace_period = timedelta(days=16)
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.break_card(bought.original_transaction_id)
    apple.app_store.notify(None)
    apple.app_store.advance(timedelta(days=33))
    assert apple.tier(alice) is Tier.FREE
    apple.query("INSERT INTO reconcile_cursors VALUES ('apple_notifications_production', :p, now())", p=just_now(apple))
    reconcile(apple)
    assert apple.tier(alice) is Tier.PRO
    assert apple.subscriptions()[0]["status"] == "grace"


def test_what_runs_is_not_asked_about(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy_and_hand_in(alice)
    apple.deliver()
    assert reconcile(apple) == "1 checked, 0 corrected."


def test_apple_being_away_is_said_and_the_next_run_finds_it(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    apple.production.faults.fail_api(5000000)
    result = apple.cli("reconcile")
    assert result.exit_code == 1
    assert "apple_notifications_production" in result.output
    assert reconcile(apple) == "1 checked, 1 corrected."
    assert apple.tier(alice) is Tier.PRO


def seller(apple: RunningApple, user: uuid.UUID) -> object:
    with apple.app.app_context(), reading() as session:
        return present_seller(session, user, "test", apple.clock())


def test_what_apple_does_not_know_is_over_and_keeps_nobody_from_buying_elsewhere(
    apple: RunningApple, alice: uuid.UUID
) -> None:
    apple.buy_and_hand_in(alice)
    apple.query("INSERT INTO reconcile_cursors VALUES ('apple_notifications_production', :p, now())", p=just_now(apple))
    apple.query(
        "UPDATE subscriptions SET apple_transaction_id = '999', status = 'billing_retry', period_end = :day",
        day=apple.clock() - DAY,
    )
    assert seller(apple, alice) is not None

    assert reconcile(apple) == "1 checked, 1 corrected."

    [row] = apple.subscriptions()
    assert (row["status"], row["provider_status"]) == ("expired", "missing at Apple")
    assert apple.tier(alice) is Tier.FREE
    assert seller(apple, alice) is None
    assert apple.counted("apple_missing") == 1


def test_what_apple_does_not_know_today_is_not_taken_away_while_it_runs(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy_and_hand_in(alice)
    apple.query(
        "UPDATE subscriptions SET apple_transaction_id = '999', status = 'grace', period_end = :day, grace_end = :end",
        day=apple.clock() - DAY,
        end=apple.clock() + DAY,
    )
    reconcile(apple)

    assert {row["status"] for row in apple.subscriptions() if row["apple_transaction_id"] == "999"} == {"grace"}
    assert apple.counted("apple_missing") == 0


def test_a_later_period_brings_back_what_was_missing(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.query("UPDATE subscriptions SET status = 'expired', provider_status = 'missing at Apple'")
    apple.app_store.advance(timedelta(days=32))

    assert apple.hand_in(apple.signed(bought), alice).status_code == 200
    assert apple.subscriptions()[0]["status"] == "active"
    assert apple.tier(alice) is Tier.PRO


def test_without_a_key_nothing_is_reconciled(make_apple: MakeApple) -> None:
    apple = make_apple(api=False)
    apple.buy(apple.user())
    assert reconcile(apple) == "0 checked, 0 corrected."
