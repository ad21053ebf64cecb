"""POST /api/payments/apple/notifications: what Apple tells us, over HTTP, in any order, any number of times"""

import uuid
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from threading import Barrier, Thread

import pytest

from auth.tiers import Tier
from payments.apple.notifications import apple_events
from payments.product_table import ProductTable
from payments.subscriptions.entitlement import RENEWAL_LEEWAY
from payments.subscriptions.status import Provider
from sandbox.apple_server.subscriptions import Subscription
from tests.payments.apple_app import ENTERPRISE, PRO, PRO_YEARLY, PRODUCTS, REVIEWER, RunningApple
from tests.payments.conftest import MakeApple

INSTANT = timedelta(microseconds=1)


@pytest.fixture
def alice(apple: RunningApple) -> uuid.UUID:
    return apple.user("alice")


def ends_at(apple: RunningApple, user: uuid.UUID) -> object:
    return apple.query("SELECT tier_expires_at FROM users WHERE id = :u", u=user)[0].tier_expires_at


def whole_milliseconds(bought: Subscription) -> object:
    end = bought.latest.expires_at
    return end.replace(microsecond=end.microsecond // 1000 * 1000)


def own(apple: RunningApple, user: uuid.UUID) -> dict[str, object]:
    body: dict[str, object] = apple.get("/subscription", user).get_json()
    return body


def test_a_purchase_is_bound_by_the_token_before_the_app_says_anything(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    assert [attempt.http_status for attempt in apple.deliver()] == [200]
    assert apple.tier(alice) is Tier.PRO
    assert (apple.events()[0]["kind"], apple.events()[0]["state"]) == ("SUBSCRIBED/INITIAL_BUY", "done")


def test_without_a_token_it_waits_for_its_owner(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.deliver()
    assert apple.subscriptions()[0]["user_id"] is None
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.deliver()
    assert apple.hand_in(apple.signed(bought), alice).get_json()["subscription"]["renews_at"] is None
    assert apple.tier(alice) is Tier.PRO


def test_a_repetition_has_one_effect(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    apple.production.notifications.copies = 5
    assert [attempt.http_status for attempt in apple.deliver()] == [200] * 5
    assert len(apple.events()) == 1
    assert apple.ledger(alice) == [("free", "pro")]


def test_a_renewal_extends(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.pass_time(days=32)
    assert len(bought.transactions) == 2
    assert apple.tier(alice) is Tier.PRO
    assert ends_at(apple, alice) == whole_milliseconds(bought) + RENEWAL_LEEWAY  # type: ignore[operator]


@pytest.mark.slow
def test_every_order_ends_in_the_same_state(make_apple: MakeApple) -> None:
    """Bought, switched off, switched on, upgraded, each told twice: what came last at Apple is what counts."""
    apple = make_apple()
    states = set()
    for number, order in enumerate(permutations(range(4))):
        user = apple.user(f"user{number}")
        bought = apple.buy(user, customer=f"customer{number}")
        store, original_id = apple.production.store, bought.original_transaction_id
        store.set_auto_renew(original_id, renews=False)
        store.set_auto_renew(original_id, renews=True)
        store.change_product(original_id, ENTERPRISE)
        apple.deliver((*order, *reversed(order)))
        row = apple.subscriptions()[-1]
        states.add((apple.tier(user), row["status"], row["cancel_at"], row["pending_tier"]))
    assert states == {(Tier.ENTERPRISE, "active", None, None)}


def test_an_end_that_arrives_after_the_next_beginning(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.deliver()
    apple.app_store.advance(timedelta(days=32))
    apple.buy(alice)
    assert [news.kind for news in apple.production.notifications.pending()] == ["EXPIRED", "SUBSCRIBED"]
    apple.deliver((1, 0))
    assert apple.subscriptions()[0]["status"] == "active"
    assert apple.tier(alice) is Tier.PRO


def test_switching_renewal_off_leaves_access_and_shows_the_end(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.deliver()
    assert apple.tier(alice) is Tier.PRO
    assert own(apple, alice)["renews_at"] is None
    assert ends_at(apple, alice) == whole_milliseconds(bought)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=True)
    apple.deliver()
    assert own(apple, alice)["renews_at"] is not None


def test_a_voluntary_end(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.pass_time(days=32)
    assert apple.tier(alice) is Tier.FREE
    assert apple.subscriptions()[0]["status"] == "expired"


def test_buying_again_after_the_end(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.pass_time(days=60)
    apple.buy(alice)
    apple.deliver()
    assert apple.tier(alice) is Tier.PRO
    assert len(apple.subscriptions()) == 1


def test_a_grace_period_holds_until_its_end(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.production.store.grace_period = timedelta(days=16)
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.break_card(bought.original_transaction_id)
    apple.pass_time(days=32)
    assert own(apple, alice)["status"] == "grace"
    assert apple.tier(alice) is Tier.PRO
    end = whole_milliseconds(bought) + timedelta(days=16)  # type: ignore[operator]
    assert ends_at(apple, alice) == end
    apple.pass_time(days=16)
    assert apple.tier(alice) is Tier.FREE


def test_without_a_grace_period_access_ends_with_the_period(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.break_card(bought.original_transaction_id)
    apple.pass_time(days=31)
    assert apple.tier(alice) is Tier.FREE
    assert apple.subscriptions()[0]["status"] == "billing_retry"
    assert apple.subscriptions()[0]["period_end"] == whole_milliseconds(bought)


@pytest.mark.parametrize("grace_days", [None, 16])
def test_a_repaired_card_brings_it_back(apple: RunningApple, alice: uuid.UUID, grace_days: int | None) -> None:
    apple.production.store.grace_period = None if grace_days is None else timedelta(days=grace_days)
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.break_card(bought.original_transaction_id)
    apple.pass_time(days=33)
    apple.production.store.repair_card(bought.original_transaction_id)
    apple.deliver()
    assert apple.tier(alice) is Tier.PRO
    row = apple.subscriptions()[0]
    assert (row["status"], row["grace_end"], row["payment_failed_at"]) == ("active", None, None)


def test_what_apple_gives_up_after_sixty_days_ends(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.break_card(bought.original_transaction_id)
    apple.pass_time(days=95)
    assert apple.subscriptions()[0]["status"] == "expired"
    assert apple.tier(alice) is Tier.FREE


def test_an_upgrade_counts_at_once(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.pass_time(days=3)
    apple.production.store.change_product(bought.original_transaction_id, ENTERPRISE)
    apple.deliver()
    assert apple.tier(alice) is Tier.ENTERPRISE
    assert len(apple.subscriptions()) == 1


def test_a_downgrade_waits_for_the_renewal(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice, ENTERPRISE)
    apple.production.store.change_product(bought.original_transaction_id, PRO)
    apple.deliver()
    assert (apple.tier(alice), own(apple, alice)["pending_tier"]) == (Tier.ENTERPRISE, "pro")
    apple.pass_time(days=32)
    assert (apple.tier(alice), own(apple, alice)["pending_tier"]) == (Tier.PRO, None)


def test_another_cycle_of_the_same_tier_is_no_pending_tier(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.change_product(bought.original_transaction_id, PRO_YEARLY)
    apple.deliver()
    assert own(apple, alice)["pending_tier"] is None


def test_a_refund_ends_access_and_its_reversal_brings_it_back(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.refund(bought.latest.transaction_id)
    apple.deliver()
    assert apple.tier(alice) is Tier.FREE
    apple.production.store.reverse_refund(bought.latest.transaction_id)
    apple.deliver()
    assert apple.tier(alice) is Tier.PRO
    assert apple.ledger(alice) == [("free", "pro"), ("pro", "free"), ("free", "pro")]


def test_a_refund_of_an_earlier_period_leaves_the_present_one(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.pass_time(days=32)
    apple.production.store.refund(bought.transactions[0].transaction_id)
    apple.deliver()
    assert apple.tier(alice) is Tier.PRO
    assert apple.subscriptions()[0]["revoked_at"] is None


def test_a_family_member_loses_access_and_the_buyer_does_not(apple: RunningApple, alice: uuid.UUID) -> None:
    bob = apple.user("bob")
    bought = apple.buy_and_hand_in(alice)
    shared = apple.production.store.share_with_family(bought.original_transaction_id, "bob")
    apple.hand_in(apple.signed(shared), bob)
    apple.deliver()
    apple.production.store.stop_sharing(shared.original_transaction_id)
    apple.deliver()
    assert (apple.tier(alice), apple.tier(bob)) == (Tier.PRO, Tier.FREE)


def test_days_given_for_nothing_extend_it(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.extend(bought.original_transaction_id, days=10)
    apple.deliver()
    assert apple.subscriptions()[0]["period_end"] == whole_milliseconds(bought)


def test_a_type_that_nobody_knows_is_kept_and_counted(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.announce(bought, "SOMETHING_NEW", "UNHEARD_OF")
    assert [attempt.http_status for attempt in apple.deliver()] == [200, 200]
    assert apple.events()[-1]["kind"].startswith("SOMETHING_NEW")
    assert apple.counted("apple_notification_unknown") == 1
    assert apple.tier(alice) is Tier.PRO


def test_a_parents_consent_taken_back_is_counted(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.announce(bought, "RESCIND_CONSENT")
    apple.deliver()
    assert apple.counted("apple_consent_rescinded") == 1
    assert apple.tier(alice) is Tier.PRO


def test_a_test_notification_is_kept_and_changes_nothing(apple: RunningApple) -> None:
    apple.production.store.announce_test()
    assert [attempt.http_status for attempt in apple.deliver()] == [200]
    assert (apple.events()[0]["kind"], apple.events()[0]["state"]) == ("TEST", "ignored")


def test_forgeries_are_refused_counted_and_stored_nowhere(apple: RunningApple, alice: uuid.UUID) -> None:
    bought = apple.buy(alice)
    signer, forger = apple.production.store.signer, apple.app_store.forger
    payload = signer.notification_payload("DID_RENEW", subscription=bought)
    forged = {**forger.all_of(payload), "inside": forger.forged_inside(payload), "backdated": forger.backdated(payload)}
    forged |= {"rubbish": "a.b.c", "not even that": "rubbish"}
    for name, data in forged.items():
        answer = apple.post("/apple/notifications", {"signedPayload": data})
        assert (answer.status_code, answer.get_json()["error"]) == (400, "notification_not_valid"), name
    assert apple.counted("apple_forgery") == len(forged)
    assert (apple.events(), apple.subscriptions()) == ([], [])


def test_transaction_and_renewal_of_different_purchases_do_not_pass(apple: RunningApple, alice: uuid.UUID) -> None:
    """Each is signed by Apple; together they would be a lie."""
    bought, other = apple.buy(alice), apple.production.store.subscribe("mallory", PRO)
    payload = apple.production.store.signer.notification_payload("DID_RENEW", subscription=bought)
    data = payload["data"]
    assert isinstance(data, dict)
    mixed = {**payload, "data": {**data, "signedRenewalInfo": apple.production.store.signer.renewal_info(other)}}
    answer = apple.post("/apple/notifications", {"signedPayload": apple.app_store.chain.sign(mixed)})
    assert answer.status_code == 400


@pytest.mark.parametrize("body", [{}, {"signedPayload": 7}, {"signedPayload": ""}, [], "text"])
def test_a_body_that_is_none_of_apples_is_named(apple: RunningApple, body: object) -> None:
    assert apple.post("/apple/notifications", body).status_code == 422


def test_members_that_apple_may_add_are_let_through(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    news = apple.production.notifications.pending()[0]
    answer = apple.post("/apple/notifications", {"signedPayload": news.signed_payload, "somethingNew": 1})
    assert answer.status_code == 200


def test_a_sandbox_notification_changes_nothing_in_production(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.app_store.sandbox.store.subscribe("alice", PRO, apple.token(alice))
    assert [attempt.http_status for attempt in apple.deliver()] == [200]
    assert (apple.tier(alice), apple.events()[0]["state"]) == (Tier.FREE, "ignored")
    assert apple.subscriptions() == []


def test_the_reviewers_sandbox_notifications_count(apple: RunningApple) -> None:
    reviewer = apple.user(REVIEWER.partition("@")[0])
    apple.app_store.sandbox.store.subscribe("reviewer", PRO, apple.token(reviewer))
    apple.deliver()
    assert apple.tier(reviewer) is Tier.PRO


def test_an_unknown_product_is_counted_and_replayed_when_the_table_has_it(make_apple: MakeApple) -> None:
    apple = make_apple(products=f"{PRO}:pro:monthly")
    alice = apple.user()
    apple.buy(alice, ENTERPRISE)
    apple.deliver()
    event = apple.events()[0]
    assert (event["state"], event["last_error"]) == ("ignored", "product unknown")
    assert apple.counted("apple_product_unknown") == 1

    complete = replace(apple.apple, products=ProductTable.read(PRODUCTS))
    corrected = replace(apple.payments.inbox, handlers={Provider.APPLE: apple_events(complete)})
    apple.payments = replace(apple.payments, inbox=corrected)
    assert apple.cli("replay", "--event", str(event["id"])).exit_code == 0
    apple.work()
    assert apple.tier(alice) is Tier.ENTERPRISE


def test_after_the_account_is_deleted_nothing_happens_and_nothing_fails(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy_and_hand_in(alice)
    apple.query("DELETE FROM users WHERE id = :alice", alice=alice)
    apple.pass_time(days=32)
    assert {event["state"] for event in apple.events()} == {"done"}
    assert apple.events()[-1]["last_error"] == "account deleted"
    assert len(apple.ledger(alice)) == 1


def test_while_postgres_is_away_apple_is_asked_to_come_again(apple: RunningApple, alice: uuid.UUID) -> None:
    apple.buy(alice)
    apple.query("ALTER TABLE billing_events RENAME TO away")
    first = apple.production.notifications.deliver_pending()
    apple.query("ALTER TABLE away RENAME TO billing_events")
    assert first[0].http_status is not None and first[0].http_status >= 500
    apple.app_store.advance(timedelta(hours=1))
    apple.deliver()
    assert apple.tier(alice) is Tier.PRO


def test_certificates_that_cannot_be_checked_online_make_apple_come_again(make_apple: MakeApple) -> None:
    apple = make_apple(online_checks=True)
    apple.buy(apple.user())
    attempts = apple.deliver()
    assert [attempt.http_status for attempt in attempts] == [503]
    assert apple.events() == []


def test_everything_at_once_on_one_purchase_ends_in_one_entry(apple: RunningApple, alice: uuid.UUID) -> None:
    """Apple's notification, applied by several workers, and the app handing in the same purchase: nobody waits for ever."""
    bought = apple.buy(alice)
    signed = apple.signed(bought)
    apple.production.notifications.deliver_pending()
    event = uuid.UUID(str(apple.events()[0]["id"]))
    start = Barrier(8)
    answers: list[int] = []

    def hand_in() -> None:
        start.wait()
        answers.append(apple.hand_in(signed, alice).status_code)

    def apply() -> None:
        start.wait()
        with apple.app.app_context():
            apple.payments.inbox.apply(event)

    threads = [Thread(target=work) for work in (hand_in, apply) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    assert apple.events()[0]["state"] == "done"
    assert apple.ledger(alice) == [("free", "pro")]
