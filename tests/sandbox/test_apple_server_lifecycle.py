"""What customers and time do to subscriptions, and what our server is told of it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from sandbox.apple_server.app_store import AlreadySubscribed, AppStore, NoSuchTransaction, NotForSale, NotPossible
from sandbox.apple_server.products import PRODUCTS, Product
from sandbox.apple_server.server import AppleServer
from sandbox.apple_server.subscriptions import Ownership, Status

PRO, PRO_YEARLY = "com.mirroros.pro.monthly", "com.mirroros.pro.yearly"
ENTERPRISE = "com.mirroros.enterprise.monthly"
STUDIO = "com.mirroros.studio.monthly"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def apple() -> AppleServer:
    """Not started: nothing here needs a socket. Its time stands still until it is moved."""
    return AppleServer(clock=lambda: START)


@pytest.fixture
def store(apple: AppleServer) -> AppStore:
    return apple.production.store


def news(apple: AppleServer) -> list[tuple[str, str | None]]:
    return [(told.kind, told.subtype) for told in apple.production.notifications.history]


def test_a_month_from_the_last_of_january_ends_in_february() -> None:
    monthly = Product("monthly", "group", level=1, months=1, price=1)

    assert monthly.ends(START) == datetime(2026, 2, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.product_id)
def test_every_product_can_be_bought(store: AppStore, product: Product) -> None:
    assert store.subscribe("alice", product.product_id).latest.expires_at == product.ends(START)


def test_the_first_purchase_is_told(apple: AppleServer, store: AppStore) -> None:
    assert store.subscribe("alice", PRO).status() is Status.ACTIVE
    assert news(apple) == [("SUBSCRIBED", "INITIAL_BUY")]


def test_a_later_start_gives_none_of_the_ids_of_an_earlier_one(store: AppStore) -> None:
    """The API's database outlives the stand-in, and would take a new customer's purchase for the old one's."""
    sold = {store.subscribe(f"customer {number}", PRO).original_transaction_id for number in range(3)}
    later = AppleServer(clock=lambda: START + timedelta(seconds=1)).production.store

    assert later.subscribe("alice", PRO).original_transaction_id not in sold


def test_an_unknown_product_is_not_for_sale(apple: AppleServer, store: AppStore) -> None:
    with pytest.raises(NotForSale):
        store.subscribe("alice", "com.example.other")

    assert (news(apple), store.subscriptions) == ([], {})


def test_a_customer_has_one_subscription_in_a_group(store: AppStore) -> None:
    store.subscribe("alice", PRO)

    with pytest.raises(AlreadySubscribed):
        store.subscribe("alice", ENTERPRISE)


def test_renewals_happen_each_at_its_own_time(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO, uuid4())

    apple.advance(timedelta(days=95))

    periods = bought.transactions
    assert [period.purchased_at for period in periods[1:]] == [period.expires_at for period in periods[:-1]]
    assert {period.original_transaction_id for period in periods} == {bought.original_transaction_id}
    assert {period.account_token for period in periods} == {bought.account_token}
    assert news(apple)[1:] == [("DID_RENEW", None)] * 3
    assert [told.created_at for told in apple.production.notifications.history[1:]] == [
        period.purchased_at for period in periods[1:]
    ]


def test_every_signature_is_newer_than_the_one_before(store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)

    first, second = (store.signer.transaction_payload(bought.latest)["signedDate"] for _ in range(2))

    assert isinstance(first, int) and isinstance(second, int) and first < second


def test_without_auto_renewal_a_subscription_lasts_until_its_end(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.set_auto_renew(bought.original_transaction_id, renews=False)
    assert bought.status() is Status.ACTIVE

    apple.advance(timedelta(days=32))

    assert bought.status() is Status.EXPIRED
    assert news(apple)[1:] == [("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_DISABLED"), ("EXPIRED", "VOLUNTARY")]


def test_auto_renewal_can_be_turned_on_again(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.set_auto_renew(bought.original_transaction_id, renews=False)
    store.set_auto_renew(bought.original_transaction_id, renews=True)

    apple.advance(timedelta(days=32))

    assert news(apple)[2:] == [("DID_CHANGE_RENEWAL_STATUS", "AUTO_RENEW_ENABLED"), ("DID_RENEW", None)]


def test_an_upgrade_is_immediate_and_marks_the_old_period(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)

    store.change_product(bought.original_transaction_id, ENTERPRISE)

    assert [period.product.product_id for period in bought.transactions] == [PRO, ENTERPRISE]
    assert [period.upgraded_at is not None for period in bought.transactions] == [True, False]
    assert news(apple)[1:] == [("DID_CHANGE_RENEWAL_PREF", "UPGRADE")]


def test_a_downgrade_waits_for_the_renewal(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", ENTERPRISE)
    store.change_product(bought.original_transaction_id, PRO)
    assert bought.latest.product.product_id == ENTERPRISE
    assert store.signer.renewal_payload(bought)["autoRenewProductId"] == PRO

    apple.advance(timedelta(days=32))

    assert bought.latest.product.product_id == PRO
    assert news(apple)[1:] == [("DID_CHANGE_RENEWAL_PREF", "DOWNGRADE"), ("DID_RENEW", None)]


def test_a_downgrade_can_be_undone(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", ENTERPRISE)
    store.change_product(bought.original_transaction_id, PRO)
    store.change_product(bought.original_transaction_id, ENTERPRISE)

    apple.advance(timedelta(days=32))

    assert bought.latest.product.product_id == ENTERPRISE
    assert news(apple)[2] == ("DID_CHANGE_RENEWAL_PREF", None)


def test_a_longer_period_of_the_same_level_waits_too(store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)

    store.change_product(bought.original_transaction_id, PRO_YEARLY)

    assert bought.latest.product.product_id == PRO


def test_a_failed_renewal_without_grace_is_billing_retry(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.break_card(bought.original_transaction_id)

    apple.advance(timedelta(days=32))

    assert bought.status() is Status.BILLING_RETRY
    assert news(apple)[1:] == [("DID_FAIL_TO_RENEW", None)]


def test_a_failed_renewal_with_grace_is_a_grace_period_that_ends(apple: AppleServer, store: AppStore) -> None:
    store.grace_period = timedelta(days=16)
    bought = store.subscribe("alice", PRO)
    store.break_card(bought.original_transaction_id)
    apple.advance(timedelta(days=32))
    assert bought.status() is Status.GRACE_PERIOD
    assert store.signer.renewal_payload(bought)["isInBillingRetryPeriod"] is False

    apple.advance(timedelta(days=16))

    assert bought.status() is Status.BILLING_RETRY
    assert news(apple)[1:] == [("DID_FAIL_TO_RENEW", "GRACE_PERIOD"), ("GRACE_PERIOD_EXPIRED", None)]


def test_billing_retry_gives_up_after_sixty_days(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.break_card(bought.original_transaction_id)

    apple.advance(timedelta(days=28 + 60))

    assert bought.status() is Status.EXPIRED
    assert news(apple)[1:] == [("DID_FAIL_TO_RENEW", None), ("EXPIRED", "BILLING_RETRY")]


@pytest.mark.parametrize("grace_period", [timedelta(days=16), None])
def test_a_repaired_card_recovers_the_subscription(
    apple: AppleServer, store: AppStore, grace_period: timedelta | None
) -> None:
    store.grace_period = grace_period
    bought = store.subscribe("alice", PRO)
    store.break_card(bought.original_transaction_id)
    apple.advance(timedelta(days=32))
    missed = bought.latest.expires_at

    store.repair_card(bought.original_transaction_id)

    assert bought.status() is Status.ACTIVE
    assert bought.latest.purchased_at == (missed if grace_period else apple.clock())
    assert news(apple)[2:] == [("DID_RENEW", "BILLING_RECOVERY")]


def test_who_subscribes_again_keeps_the_original_transaction_id(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.advance(timedelta(days=32))

    again = store.subscribe("alice", ENTERPRISE)

    assert again.latest.original_transaction_id == bought.original_transaction_id
    assert again.latest.transaction_id != bought.original_transaction_id
    assert again.status() is Status.ACTIVE
    assert news(apple)[-1] == ("SUBSCRIBED", "RESUBSCRIBE")


def test_a_refund_revokes_and_nothing_renews(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.refund(bought.latest.transaction_id, reason=1)
    assert bought.status() is Status.REVOKED

    apple.advance(timedelta(days=70))

    payload = store.signer.transaction_payload(bought.latest)
    assert (payload["revocationType"], payload["revocationReason"]) == ("REFUND_FULL", 1)
    assert news(apple)[1:] == [("REFUND", None)]


def test_a_part_can_be_refunded(store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)

    payload = store.signer.transaction_payload(store.refund(bought.latest.transaction_id, percentage=25_000))

    assert (payload["revocationType"], payload["revocationPercentage"]) == ("REFUND_PRORATED", 25_000)


def test_a_refund_of_an_older_period_leaves_the_present_one(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    apple.advance(timedelta(days=32))

    store.refund(bought.transactions[0].transaction_id)

    assert bought.status() is Status.ACTIVE


def test_nothing_is_refunded_twice(store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.refund(bought.latest.transaction_id)

    with pytest.raises(NotPossible):
        store.refund(bought.latest.transaction_id)


def test_a_reversed_refund_gives_the_period_back(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.refund(bought.latest.transaction_id)

    store.reverse_refund(bought.latest.transaction_id)

    assert bought.status() is Status.ACTIVE
    assert news(apple)[2:] == [("REFUND_REVERSED", None)]
    apple.advance(timedelta(days=32))
    assert bought.status() is Status.EXPIRED


def test_a_family_member_has_ids_of_their_own_and_no_account_token(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO, uuid4())

    shared = store.share_with_family(bought.original_transaction_id, "bob")

    assert shared.original_transaction_id != bought.original_transaction_id
    assert (shared.latest.ownership, shared.latest.account_token) == (Ownership.FAMILY_SHARED, None)
    assert shared.latest.expires_at == bought.latest.expires_at
    apple.advance(timedelta(days=32))
    assert shared.latest.expires_at == bought.latest.expires_at
    assert len(shared.transactions) == 2


def test_a_revoked_family_member_loses_what_the_buyer_keeps(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    shared = store.share_with_family(bought.original_transaction_id, "bob")

    store.stop_sharing(shared.original_transaction_id)

    assert (bought.status(), shared.status()) == (Status.ACTIVE, Status.REVOKED)
    assert store.signer.transaction_payload(shared.latest)["revocationType"] == "FAMILY_REVOKE"
    assert news(apple)[-1] == ("REVOKE", None)


def test_a_refund_of_the_buyer_takes_it_from_the_family(store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    shared = store.share_with_family(bought.original_transaction_id, "bob")

    store.refund(bought.latest.transaction_id)

    assert shared.status() is Status.REVOKED


def test_a_bought_subscription_cannot_be_unshared(store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)

    with pytest.raises(NotPossible):
        store.stop_sharing(bought.original_transaction_id)


def test_given_days_move_the_end(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    ended_at = bought.latest.expires_at

    store.extend(bought.original_transaction_id, days=5)

    assert bought.latest.expires_at == ended_at + timedelta(days=5)
    assert news(apple)[1:] == [("RENEWAL_EXTENDED", None)]


def test_a_trial_costs_nothing_and_says_so(store: AppStore) -> None:
    payload = store.signer.transaction_payload(store.subscribe("alice", PRO, free_trial=True).latest)

    assert (payload["offerType"], payload["offerDiscountType"], payload["price"]) == (1, "FREE_TRIAL", 0)


def test_an_ended_subscription_cannot_be_changed(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.advance(timedelta(days=32))

    with pytest.raises(NotPossible):
        store.change_product(bought.original_transaction_id, ENTERPRISE)


def test_an_unknown_subscription_cannot_be_changed(store: AppStore) -> None:
    with pytest.raises(NoSuchTransaction):
        store.set_auto_renew("1", renews=False)


def test_the_environments_keep_separate_books_and_one_clock(apple: AppleServer) -> None:
    apple.production.store.subscribe("alice", PRO)
    tested = apple.sandbox.store.subscribe("alice", PRO)

    apple.advance(timedelta(days=32))

    assert len(tested.transactions) == 2
    assert len(apple.production.store.subscriptions) == len(apple.sandbox.store.subscriptions) == 1


def test_the_clock_never_moves_back(apple: AppleServer) -> None:
    apple.clock.move_to(START - timedelta(days=1))

    assert apple.clock() == START


def test_a_child_asks_and_a_parent_answers(apple: AppleServer, store: AppStore) -> None:
    token = uuid4()
    request = store.ask_to_buy("alice", PRO, token)
    assert (store.subscriptions, news(apple)) == ({}, [])

    apple.advance(timedelta(hours=3))
    bought = store.answer_request(request.request_id, approved=True)
    assert bought is not None
    assert (bought.latest.purchased_at, bought.account_token) == (START + timedelta(hours=3), token)
    assert news(apple) == [("SUBSCRIBED", "INITIAL_BUY")]


def test_a_wish_that_was_declined_is_never_told(apple: AppleServer, store: AppStore) -> None:
    request = store.ask_to_buy("alice", PRO).request_id

    assert store.answer_request(request, approved=False) is None
    with pytest.raises(NotPossible):
        store.answer_request(request, approved=True)
    assert (store.subscriptions, news(apple)) == ({}, [])


def test_a_wish_lives_for_a_day(apple: AppleServer, store: AppStore) -> None:
    request = store.ask_to_buy("alice", PRO).request_id
    apple.advance(timedelta(hours=25))

    with pytest.raises(NotPossible):
        store.answer_request(request, approved=True)


def test_whoever_agrees_to_a_price_pays_it_from_the_renewal_on(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    assert store.raise_price(PRO, 12_990) == [bought]
    assert store.signer.renewal_payload(bought)["priceIncreaseStatus"] == 0
    store.agree_to_price(bought.original_transaction_id)
    assert store.signer.renewal_payload(bought)["priceIncreaseStatus"] == 1
    assert store.signer.transaction_payload(bought.latest)["price"] == 9_990

    apple.advance(timedelta(days=32))
    assert store.signer.transaction_payload(bought.latest)["price"] == 12_990
    assert "priceIncreaseStatus" not in store.signer.renewal_payload(bought)
    assert news(apple)[1:] == [("PRICE_INCREASE", "PENDING"), ("PRICE_INCREASE", "ACCEPTED"), ("DID_RENEW", None)]


def test_no_answer_to_a_price_is_a_no(apple: AppleServer, store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    store.raise_price(PRO, 12_990)
    apple.advance(timedelta(days=32))

    assert bought.status() is Status.EXPIRED
    assert store.signer.renewal_payload(bought)["expirationIntent"] == 3
    assert news(apple)[-1] == ("EXPIRED", "PRICE_INCREASE")


def test_there_is_nothing_to_agree_to_without_an_increase(store: AppStore) -> None:
    bought = store.subscribe("alice", PRO)
    with pytest.raises(NotPossible):
        store.agree_to_price(bought.original_transaction_id)


def test_a_customer_can_have_one_subscription_of_each_group(store: AppStore) -> None:
    first, second = store.subscribe("alice", PRO), store.subscribe("alice", STUDIO)

    assert first.original_transaction_id != second.original_transaction_id
    assert store.bought_by("alice") == [first, second]
    with pytest.raises(NotForSale):
        store.change_product(first.original_transaction_id, STUDIO)
