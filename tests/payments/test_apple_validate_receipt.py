"""POST /api/payments/apple/validate-receipt with signed transactions (StoreKit 2)"""

import uuid
from datetime import datetime, timedelta
from threading import Barrier, Thread

from werkzeug.test import TestResponse

from auth.tiers import Tier
from tests.payments.apple_app import ENTERPRISE, PRO, REVIEWER, RunningApple
from tests.payments.conftest import MakeApple


def error(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["error"]


def test_nobody_is_asked_to_sign_in(apple: RunningApple) -> None:
    assert apple.post("/apple/validate-receipt", {"receipt_data": "x"}).status_code == 401


def test_a_purchase_with_the_callers_token_gives_the_tier(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    answer = apple.hand_in(apple.signed(bought), alice)
    body = answer.get_json()
    assert (answer.status_code, body["tier"], body["subscription"]["status"]) == (200, "pro", "active")
    assert datetime.fromisoformat(body["subscription"]["renews_at"]) == bought.latest.expires_at.replace(
        microsecond=bought.latest.expires_at.microsecond // 1000 * 1000
    )
    assert apple.tier(alice) is Tier.PRO
    assert apple.announced == [(alice, 2)]
    row = apple.subscriptions()[0]
    assert (row["apple_transaction_id"], row["environment"]) == (bought.original_transaction_id, "Production")


def test_without_a_token_the_first_account_that_hands_it_in_has_it(apple: RunningApple) -> None:
    alice, bob = apple.user("alice"), apple.user("bob")
    bought = apple.production.store.subscribe("alice", PRO)
    assert apple.hand_in(apple.signed(bought), alice).status_code == 200
    assert error(apple.hand_in(apple.signed(bought), bob)) == (409, "receipt_in_use")
    assert apple.tier(bob) is Tier.FREE


def test_a_purchase_of_another_account_is_refused_and_tells_nothing_of_it(apple: RunningApple) -> None:
    alice, bob = apple.user("alice"), apple.user("bob")
    signed = apple.signed(apple.buy(alice))
    answer = apple.hand_in(signed, bob)
    assert error(answer) == (409, "receipt_in_use")
    assert str(alice) not in answer.text
    assert apple.subscriptions() == []


def test_of_two_accounts_at_once_exactly_one_wins(apple: RunningApple) -> None:
    users = [apple.user("alice"), apple.user("bob")]
    signed = apple.signed(apple.production.store.subscribe("somebody", PRO))
    start = Barrier(2)
    answers: list[int] = []

    def hand_in(user: uuid.UUID) -> None:
        start.wait()
        answers.append(apple.hand_in(signed, user).status_code)

    threads = [Thread(target=hand_in, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 409]
    assert sorted(apple.tier(user) for user in users) == [Tier.FREE, Tier.PRO]


def test_handing_it_in_again_changes_nothing(apple: RunningApple) -> None:
    alice = apple.user()
    signed = apple.signed(apple.buy(alice))
    assert {apple.hand_in(signed, alice).status_code for _ in range(25)} == {200}
    assert len(apple.subscriptions()) == 1
    assert apple.ledger(alice) == [("free", "pro")]


def test_an_expired_purchase_is_told_as_expired_and_gives_nothing(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.app_store.advance(timedelta(days=40))
    body = apple.hand_in(apple.signed(bought), alice).get_json()
    assert (body["tier"], body["subscription"]["status"]) == ("free", "expired")


def test_an_old_transaction_replayed_never_replaces_a_newer_one(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    old = bought.transactions[0]
    apple.app_store.advance(timedelta(days=32))
    assert len(bought.transactions) == 2
    assert apple.hand_in(apple.signed(bought), alice).status_code == 200
    replayed = apple.hand_in(apple.production.signed_transaction(old), alice).get_json()
    assert (replayed["tier"], replayed["subscription"]["status"]) == ("pro", "active")


def test_a_transaction_from_before_a_refund_does_not_bring_it_back(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    before = apple.signed(bought)
    assert apple.hand_in(before, alice).status_code == 200
    apple.production.store.refund(bought.latest.transaction_id)
    assert apple.hand_in(apple.signed(bought), alice).get_json()["tier"] == "free"
    assert apple.hand_in(before, alice).get_json()["tier"] == "free"


FORGERIES = [
    "foreign root",
    "tampered payload",
    "wrong key",
    "alg none",
    "HS256",
    "no certificates",
    "two certificates",
    "wrong leaf marker",
    "wrong intermediate marker",
    "wrong bundle",
    "Xcode",
    "expired leaf",
]


def test_every_forgery_is_counted_and_stored_nowhere(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    payload = apple.production.store.signer.transaction_payload(bought.latest)
    forged = apple.app_store.forger.all_of(payload)
    assert sorted(forged) == sorted(FORGERIES)
    for name, data in forged.items():
        assert error(apple.hand_in(data, alice)) == (400, "receipt_not_valid"), name
    assert apple.counted("apple_forgery") == len(FORGERIES)
    assert (apple.subscriptions(), apple.events(), apple.tier(alice)) == ([], [], Tier.FREE)


def test_a_forger_who_lies_about_the_date_is_refused(make_apple: MakeApple) -> None:
    """With an expired certificate of Apple's, and the library believing the date that the data names."""
    apple = make_apple(api=False)
    alice = apple.user()
    payload = apple.production.store.signer.transaction_payload(apple.buy(alice).latest)
    assert error(apple.hand_in(apple.app_store.forger.backdated(payload), alice)) == (400, "receipt_stale")


def test_a_date_in_the_future_is_refused(apple: RunningApple) -> None:
    alice = apple.user()
    payload = apple.production.store.signer.transaction_payload(apple.buy(alice).latest)
    signed_at = payload["signedDate"]
    assert isinstance(signed_at, int)
    later = apple.app_store.chain.sign({**payload, "signedDate": signed_at + 3_600_000})
    assert error(apple.hand_in(later, alice)) == (400, "receipt_not_valid")


def test_a_stale_transaction_is_read_anew_at_apple(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.buy(alice)
    stale = apple.signed(bought)
    apple.app_store.advance(timedelta(days=2))
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    body = apple.hand_in(stale, alice).get_json()
    assert (body["tier"], body["subscription"]["renews_at"]) == ("pro", None)


def test_a_stale_transaction_of_an_app_without_a_key_has_to_be_renewed(make_apple: MakeApple) -> None:
    apple = make_apple(api=False)
    alice = apple.user()
    bought = apple.buy(alice)
    stale = apple.signed(bought)
    apple.app_store.advance(timedelta(days=2))
    assert error(apple.hand_in(stale, alice)) == (400, "receipt_stale")
    assert apple.hand_in(apple.signed(bought), alice).status_code == 200


def test_a_backdated_forgery_that_apple_does_not_know_is_refused(apple: RunningApple) -> None:
    alice = apple.user()
    payload = apple.production.store.signer.transaction_payload(apple.buy(alice).latest)
    invented = {**payload, "transactionId": "999", "originalTransactionId": "999"}
    assert error(apple.hand_in(apple.app_store.forger.backdated(invented), alice)) == (400, "receipt_not_valid")


def test_certificates_that_cannot_be_checked_online_are_not_a_verdict(make_apple: MakeApple) -> None:
    apple = make_apple(online_checks=True)
    alice = apple.user()
    answer = apple.hand_in(apple.signed(apple.buy(alice)), alice)
    assert error(answer) == (503, "apple_unavailable")
    assert apple.subscriptions() == []


def test_a_sandbox_purchase_does_not_count_in_production(apple: RunningApple) -> None:
    alice = apple.user()
    bought = apple.app_store.sandbox.store.subscribe("alice", PRO, apple.token(alice))
    assert error(apple.hand_in(apple.signed(bought, apple.app_store.sandbox), alice)) == (403, "sandbox_purchase")
    assert apple.subscriptions() == []


def test_the_reviewers_sandbox_purchase_counts_for_a_day_and_is_marked(apple: RunningApple) -> None:
    reviewer = apple.user(REVIEWER.partition("@")[0])
    bought = apple.app_store.sandbox.store.subscribe("reviewer", PRO, apple.token(reviewer))
    body = apple.hand_in(apple.signed(bought, apple.app_store.sandbox), reviewer).get_json()
    assert (body["tier"], body["subscription"]["environment"]) == ("pro", "Sandbox")
    end = apple.query("SELECT tier_expires_at FROM users WHERE id = :u", u=reviewer)[0].tier_expires_at
    assert end <= apple.clock() + timedelta(days=1)


def test_outside_production_the_sandbox_counts(make_apple: MakeApple) -> None:
    apple = make_apple(production=False)
    alice = apple.user()
    bought = apple.app_store.sandbox.store.subscribe("alice", PRO, apple.token(alice))
    assert apple.hand_in(apple.signed(bought, apple.app_store.sandbox), alice).get_json()["tier"] == "pro"


def test_a_product_that_is_not_in_the_table_gives_nothing(make_apple: MakeApple) -> None:
    apple = make_apple(products=f"{PRO}:pro:monthly")
    alice = apple.user()
    assert error(apple.hand_in(apple.signed(apple.buy(alice, ENTERPRISE)), alice)) == (400, "no_subscription")


def test_a_family_member_has_a_subscription_of_their_own(apple: RunningApple) -> None:
    alice, bob = apple.user("alice"), apple.user("bob")
    bought = apple.buy_and_hand_in(alice)
    shared = apple.production.store.share_with_family(bought.original_transaction_id, "bob")
    assert apple.hand_in(apple.signed(shared), bob).get_json()["tier"] == "pro"
    assert apple.tier(alice) is Tier.PRO


def test_after_an_account_is_deleted_the_purchase_belongs_to_nobody(apple: RunningApple) -> None:
    alice, bob = apple.user("alice"), apple.user("bob")
    bought = apple.production.store.subscribe("alice", PRO)
    apple.hand_in(apple.signed(bought), alice)
    apple.query("DELETE FROM users WHERE id = :alice", alice=alice)
    assert error(apple.hand_in(apple.signed(bought), bob)) == (409, "receipt_in_use")


def test_who_buys_again_for_a_new_account_has_it_there(apple: RunningApple) -> None:
    """The original transaction id stays with the Apple account, and Apple's word names the new buyer."""
    alice = apple.user("alice")
    bought = apple.buy_and_hand_in(alice)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.query("DELETE FROM users WHERE id = :alice", alice=alice)
    apple.app_store.advance(timedelta(days=40))
    again = apple.user("alice")
    assert apple.buy(again).original_transaction_id == bought.original_transaction_id
    assert apple.hand_in(apple.signed(bought), again).get_json()["tier"] == "pro"


def test_the_account_token_is_always_the_same_and_everybody_has_another(apple: RunningApple) -> None:
    alice, bob = apple.user("alice"), apple.user("bob")
    assert apple.token(alice) == apple.token(alice)
    assert len({apple.token(alice), apple.token(bob), alice, bob}) == 4


def test_a_trial_is_remembered(apple: RunningApple) -> None:
    alice = apple.user()
    apple.buy_and_hand_in(alice, free_trial=True)
    row = apple.subscriptions()[0]
    assert (row["trial"], row["status"]) == (True, "trialing")
