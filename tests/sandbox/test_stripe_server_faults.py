"""Idempotency keys, and trouble on demand, as the real client meets them."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from sandbox.stripe_server.protocol.faults import Trouble
from tests.sandbox.stripe_account import Account


def created(account: Account) -> list[str]:
    return [each["id"] for each in account.server.books.all("customer")]


def test_the_same_key_and_parameters_give_the_first_answer(account: Account) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "one"}
    first = account.client.v1.customers.create({"email": "alice@example.com"}, options)
    second = account.client.v1.customers.create({"email": "alice@example.com"}, options)

    assert (second.id, created(account)) == (first.id, [first.id])


def test_the_same_key_with_other_parameters_is_refused(account: Account) -> None:
    account.client.v1.customers.create({"email": "alice@example.com"}, {"idempotency_key": "one"})

    with pytest.raises(stripe.IdempotencyError):
        account.client.v1.customers.create({"email": "bob@example.com"}, {"idempotency_key": "one"})


def test_a_failure_is_repeated_under_its_key(account: Account) -> None:
    account.server.portal.configured = False
    customer = account.customer().id
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError, match="configuration"):
            account.client.v1.billing_portal.sessions.create({"customer": customer}, {"idempotency_key": "one"})
        account.server.portal.configured = True

    assert account.client.v1.billing_portal.sessions.create({"customer": customer}, {"idempotency_key": "two"}).url


def test_a_malformed_request_uses_up_no_key(account: Account) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        account.client.raw_request("post", "/v1/customers", colour="red", idempotency_key="one")

    assert account.client.v1.customers.create({"email": "alice@example.com"}, {"idempotency_key": "one"}).id


@pytest.mark.parametrize("trouble", [Trouble.SERVER_ERROR, Trouble.LOCK_TIMEOUT, Trouble.RESET])
def test_the_client_tries_again_under_one_key(account: Account, trouble: Trouble) -> None:
    account.server.faults.add(trouble, times=2)

    account.customer()

    assert len(created(account)) == 1
    assert len({seen.idempotency_key for seen in account.server.seen}) == 1


def test_work_whose_answer_was_lost_is_not_done_twice(account: Account) -> None:
    account.server.faults.add(Trouble.LOST_ANSWER)

    alice = account.customer().id
    assert created(account) == [alice]
    assert len(account.server.seen) == 2


def test_a_rate_limit_is_an_error_at_once(account: Account) -> None:
    account.server.faults.add(Trouble.RATE_LIMIT)

    with pytest.raises(stripe.RateLimitError):
        account.customer()


def test_a_remembered_server_error_comes_again_under_its_key(account: Account) -> None:
    account.server.faults.add(Trouble.SERVER_ERROR, remembered=True)

    with pytest.raises(stripe.APIError):
        account.client.v1.customers.create({}, {"idempotency_key": "one"})
    assert created(account) == []
    assert account.client.v1.customers.create({}, {"idempotency_key": "two"}).id


def test_a_fault_waits_for_its_path(account: Account) -> None:
    account.server.faults.add(Trouble.RATE_LIMIT, under="/v1/subscriptions")

    assert account.customer().id
    with pytest.raises(stripe.RateLimitError):
        account.client.v1.subscriptions.list()


def test_a_slow_answer_tells_what_was_true_when_it_was_asked_for(account: Account) -> None:
    subscription, before = account.subscribe(), len(account.server.seen)
    account.server.faults.add(Trouble.SLOW, under="/v1/subscriptions", verb="get", stall_seconds=0.2)
    with ThreadPoolExecutor(1) as asking:
        asked = asking.submit(account.client.v1.subscriptions.retrieve, subscription.id)
        while len(account.server.seen) == before:
            time.sleep(0.005)
        with account.server.books.lock:
            account.server.subscriptions.end(account.server.books.get("subscription", subscription.id))

    assert (asked.result().status, account.again(subscription).status) == ("active", "canceled")
