"""Apple's own client talks to the stand-in's App Store Server API."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import jwt
import pytest
import requests
from appstoreserverlibrary.api_client import (
    APIError,
    APIException,
    AppStoreServerAPIClient,
    GetTransactionHistoryVersion,
)
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.models.NotificationHistoryRequest import NotificationHistoryRequest
from appstoreserverlibrary.models.NotificationTypeV2 import NotificationTypeV2
from appstoreserverlibrary.models.Status import Status
from appstoreserverlibrary.models.TransactionHistoryRequest import Order, TransactionHistoryRequest
from appstoreserverlibrary.models.UpdateAppAccountTokenRequest import UpdateAppAccountTokenRequest

from sandbox.apple_server.check_bearer_token import AUDIENCE
from sandbox.apple_server.server import AppleServer
from sandbox.apple_server.sold_app import ServerApiKey
from sandbox.store_clock import milliseconds

PRO, ENTERPRISE = "com.mirroros.pro.monthly", "com.mirroros.enterprise.monthly"
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture
def apple() -> Iterator[AppleServer]:
    server = AppleServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(apple: AppleServer) -> AppStoreServerAPIClient:
    return client_with(apple, apple.api_key)


def client_with(apple: AppleServer, key: ServerApiKey, bundle_id: str | None = None) -> AppStoreServerAPIClient:
    bundle_id = bundle_id or apple.app.bundle_id
    client = AppStoreServerAPIClient(key.p8, key.key_id, key.issuer_id, bundle_id, Environment.PRODUCTION)
    client._base_url = apple.production.url
    return client


def claims(signed: str | None) -> dict[str, object]:
    """What was signed; that the signature is right is tested elsewhere."""
    assert signed is not None
    found: dict[str, object] = jwt.decode(signed, options={"verify_signature": False})
    return found


def refusal(client: AppStoreServerAPIClient, transaction_id: str) -> APIException:
    with pytest.raises(APIException) as refused:
        client.get_transaction_info(transaction_id)
    return refused.value


def test_a_transaction_is_found_by_its_id(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    bought = apple.production.store.subscribe("alice", PRO)

    found = claims(client.get_transaction_info(bought.original_transaction_id).signedTransactionInfo)

    assert (found["productId"], found["environment"]) == (PRO, "Production")


def test_an_unknown_transaction_is_not_found(client: AppStoreServerAPIClient) -> None:
    assert refusal(client, "424242").api_error is APIError.TRANSACTION_ID_NOT_FOUND


def test_a_sandbox_transaction_is_not_found_in_production(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    bought = apple.sandbox.store.subscribe("alice", PRO)

    assert refusal(client, bought.original_transaction_id).api_error is APIError.TRANSACTION_ID_NOT_FOUND


def test_an_id_that_is_no_number_is_refused(client: AppStoreServerAPIClient) -> None:
    assert refusal(client, "no-number").api_error is APIError.INVALID_TRANSACTION_ID


@pytest.mark.parametrize(
    ("error_code", "status"), [(4290000, 429), (5000000, 500), (5000001, 500), (4040002, 404), (4040006, 404)]
)
def test_an_error_on_demand_is_answered_once(
    apple: AppleServer, client: AppStoreServerAPIClient, error_code: int, status: int
) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.faults.fail_api(error_code)

    refused = refusal(client, bought.original_transaction_id)

    assert (refused.raw_api_error, refused.http_status_code) == (error_code, status)
    assert client.get_transaction_info(bought.original_transaction_id).signedTransactionInfo


def test_a_connection_can_be_closed_without_an_answer(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    apple.production.faults.hang_up()

    with pytest.raises(requests.ConnectionError):
        client.get_transaction_info("1")


@pytest.mark.parametrize("fault", ["private key", "key id", "issuer", "bundle"])
def test_a_token_that_is_not_the_apps_is_unauthenticated(apple: AppleServer, fault: str) -> None:
    own, other = apple.api_key, ServerApiKey()
    key = ServerApiKey(
        other.private_key if fault == "private key" else own.private_key,
        other.key_id if fault == "key id" else own.key_id,
        other.issuer_id if fault == "issuer" else own.issuer_id,
    )
    client = client_with(apple, key, "com.example.other" if fault == "bundle" else None)

    refused = refusal(client, "1")

    assert (refused.http_status_code, refused.raw_api_error) == (401, None)


@pytest.mark.parametrize("lifetime", [timedelta(hours=-1), timedelta(hours=2)])
def test_a_token_that_is_expired_or_lives_too_long_is_unauthenticated(apple: AppleServer, lifetime: timedelta) -> None:
    key = apple.api_key
    token = jwt.encode(
        {"iss": key.issuer_id, "aud": AUDIENCE, "bid": apple.app.bundle_id, "exp": apple.clock() + lifetime},
        key.private_key,
        algorithm="ES256",
        headers={"kid": key.key_id},
    )

    answer = requests.get(
        apple.production.url + "/inApps/v1/transactions/1", headers={"Authorization": f"Bearer {token}"}, timeout=5
    )

    assert answer.status_code == 401


def test_the_right_token_is_refused_until_the_first_release(
    apple: AppleServer, client: AppStoreServerAPIClient
) -> None:
    apple.production.faults.refuse_api_sign_in()

    assert refusal(client, "1").http_status_code == 401


def test_statuses_are_of_the_customer_and_not_of_others(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.store.subscribe("bob", ENTERPRISE)

    found = client.get_all_subscription_statuses(bought.original_transaction_id)

    assert found.appAppleId == apple.app.app_apple_id and found.data is not None
    [group] = found.data
    assert group.lastTransactions is not None
    [last] = group.lastTransactions
    assert (last.originalTransactionId, last.status) == (bought.original_transaction_id, Status.ACTIVE)
    assert claims(last.signedRenewalInfo)["autoRenewStatus"] == 1


def test_statuses_can_be_narrowed(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    bought = apple.production.store.subscribe("alice", PRO)

    assert client.get_all_subscription_statuses(bought.original_transaction_id, [Status.EXPIRED]).data == []


def test_history_is_paged_by_twenty_and_its_revision_finds_what_is_new(
    apple: AppleServer, client: AppStoreServerAPIClient
) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.advance(timedelta(days=31 * 24))
    anything, v2 = TransactionHistoryRequest(sort=Order.ASCENDING), GetTransactionHistoryVersion.V2

    first = client.get_transaction_history(bought.original_transaction_id, None, anything, v2)
    second = client.get_transaction_history(bought.original_transaction_id, first.revision, anything, v2)
    apple.advance(timedelta(days=31))
    third = client.get_transaction_history(bought.original_transaction_id, second.revision, anything, v2)

    assert first.signedTransactions is not None and second.signedTransactions is not None
    assert (len(first.signedTransactions), first.hasMore, second.hasMore) == (20, True, False)
    assert third.signedTransactions is not None and len(third.signedTransactions) == 1
    pages = (*first.signedTransactions, *second.signedTransactions, *third.signedTransactions)
    assert [claims(signed)["transactionId"] for signed in pages] == [
        transaction.transaction_id for transaction in bought.transactions
    ]


def test_history_can_be_narrowed_to_what_was_revoked(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.advance(timedelta(days=32))
    apple.production.store.refund(bought.original_transaction_id)

    found = client.get_transaction_history(
        bought.original_transaction_id,
        None,
        TransactionHistoryRequest(revoked=True),
        GetTransactionHistoryVersion.V2,
    )

    assert found.signedTransactions is not None
    assert [claims(signed)["transactionId"] for signed in found.signedTransactions] == [bought.original_transaction_id]


def test_a_revision_that_was_not_given_is_refused(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    bought = apple.production.store.subscribe("alice", PRO)

    with pytest.raises(APIException) as refused:
        client.get_refund_history(bought.original_transaction_id, "made-up")

    assert refused.value.api_error is APIError.INVALID_REQUEST_REVISION


def test_refunds_are_listed(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.store.refund(bought.latest.transaction_id)

    found = client.get_refund_history(bought.original_transaction_id, None)

    assert found.signedTransactions is not None
    assert claims(found.signedTransactions[0])["revocationType"] == "REFUND_FULL"


def test_notification_history_is_paged_by_twenty(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    for number in range(25):
        apple.production.store.subscribe(f"customer {number}", PRO)
    now = milliseconds(apple.clock())
    search = NotificationHistoryRequest(startDate=now - 60_000, endDate=now + 60_000)

    first = client.get_notification_history(None, search)
    second = client.get_notification_history(first.paginationToken, search)

    assert first.notificationHistory is not None and second.notificationHistory is not None
    assert (len(first.notificationHistory), first.hasMore) == (20, True)
    assert (len(second.notificationHistory), second.hasMore, second.paginationToken) == (5, False, None)


def test_notification_history_keeps_what_never_arrived(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    apple.production.notifications.drop_next()
    apple.production.store.subscribe("alice", PRO)
    now = milliseconds(apple.clock())

    found = client.get_notification_history(
        None, NotificationHistoryRequest(startDate=now - 60_000, endDate=now + 60_000, onlyFailures=True)
    )

    assert found.notificationHistory is not None
    [lost] = found.notificationHistory
    assert claims(lost.signedPayload)["notificationType"] == "SUBSCRIBED"
    assert lost.sendAttempts is not None and lost.sendAttempts[0].rawSendAttemptResult == "NO_RESPONSE"


@pytest.mark.parametrize(
    ("begins_days_ago", "ends_days_ago", "error"),
    [(181, 0, APIError.START_DATE_TOO_FAR_IN_PAST), (1, 2, APIError.START_DATE_AFTER_END_DATE)],
)
def test_notification_history_refuses_impossible_dates(
    apple: AppleServer, client: AppStoreServerAPIClient, begins_days_ago: int, ends_days_ago: int, error: APIError
) -> None:
    now = apple.clock()
    search = NotificationHistoryRequest(
        startDate=milliseconds(now - timedelta(days=begins_days_ago)),
        endDate=milliseconds(now - timedelta(days=ends_days_ago)),
    )

    with pytest.raises(APIException) as refused:
        client.get_notification_history(None, search)

    assert refused.value.api_error is error


def test_notification_history_takes_one_filter(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    now = milliseconds(apple.clock())
    search = NotificationHistoryRequest(
        startDate=now, endDate=now, notificationType=NotificationTypeV2.TEST, transactionId="1"
    )

    with pytest.raises(APIException) as refused:
        client.get_notification_history(None, search)

    assert refused.value.api_error is APIError.MULTIPLE_FILTERS_SUPPLIED


def test_a_pagination_token_of_another_search_is_refused(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    for number in range(21):
        apple.production.store.subscribe(f"customer {number}", PRO)
    now = milliseconds(apple.clock())
    first = client.get_notification_history(
        None, NotificationHistoryRequest(startDate=now - 60_000, endDate=now + 60_000)
    )

    with pytest.raises(APIException) as refused:
        client.get_notification_history(
            first.paginationToken, NotificationHistoryRequest(startDate=now - 1, endDate=now + 60_000)
        )

    assert refused.value.api_error is APIError.INVALID_PAGINATION_TOKEN


def test_a_test_notification_can_be_asked_for_and_followed(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    apple.notify(NOWHERE)

    token = client.request_test_notification().testNotificationToken
    assert token is not None
    apple.production.notifications.deliver_pending()
    status = client.get_test_notification_status(token)

    assert claims(status.signedPayload)["notificationType"] == "TEST"
    assert status.sendAttempts is not None and status.sendAttempts[0].rawSendAttemptResult == "NO_RESPONSE"


def test_a_test_notification_needs_an_address(client: AppStoreServerAPIClient) -> None:
    with pytest.raises(APIException) as refused:
        client.request_test_notification()

    assert refused.value.api_error is APIError.SERVER_NOTIFICATION_URL_NOT_FOUND


def test_an_account_token_can_be_given_afterwards(apple: AppleServer, client: AppStoreServerAPIClient) -> None:
    bought, token = apple.production.store.subscribe("alice", PRO), uuid4()

    client.set_app_account_token(bought.original_transaction_id, UpdateAppAccountTokenRequest(str(token)))

    found = claims(client.get_transaction_info(bought.original_transaction_id).signedTransactionInfo)
    assert found["appAccountToken"] == str(token)


def test_an_account_token_belongs_to_the_original_transaction(
    apple: AppleServer, client: AppStoreServerAPIClient
) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.advance(timedelta(days=32))

    with pytest.raises(APIException) as refused:
        client.set_app_account_token(bought.latest.transaction_id, UpdateAppAccountTokenRequest(str(uuid4())))

    assert refused.value.api_error is APIError.TRANSACTION_ID_IS_NOT_ORIGINAL_TRANSACTION_ID_ERROR
