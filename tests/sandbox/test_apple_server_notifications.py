"""Notifications reach a real HTTP endpoint: once, twice, in another order, not at all, or after retries."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import jwt
import pytest

from sandbox.apple_server.notification_outbox import RETRY_AFTER
from sandbox.apple_server.server import AppleServer
from sandbox.http_listener import Listener, Reply, Request

PRO = "com.mirroros.pro.monthly"
DEADLINE_SECONDS = 10


@dataclass
class Endpoint:
    """Our side of the wire: keeps what it was told and answers with the status that it was set to."""

    status: int = 200
    told: list[dict[str, str]] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        self.told.append(json.loads(request.body))
        return Reply(self.status)

    @property
    def kinds(self) -> list[str]:
        claims = [jwt.decode(body["signedPayload"], options={"verify_signature": False}) for body in self.told]
        return [payload["notificationType"] for payload in claims]


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def apple(endpoint: Endpoint) -> Iterator[AppleServer]:
    listener = Listener(endpoint.answer)
    listener.start()
    server = AppleServer(notification_url=listener.url)
    server.start()
    yield server
    server.stop()
    listener.stop()


def three_events(apple: AppleServer) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.store.set_auto_renew(bought.original_transaction_id, renews=False)
    apple.production.store.refund(bought.latest.transaction_id)


def test_what_is_delivered_is_not_sent_again(apple: AppleServer, endpoint: Endpoint) -> None:
    three_events(apple)

    apple.production.notifications.deliver_pending()
    apple.production.notifications.deliver_pending()

    assert endpoint.kinds == ["SUBSCRIBED", "DID_CHANGE_RENEWAL_STATUS", "REFUND"]


def test_the_body_is_the_signed_payload_alone(apple: AppleServer, endpoint: Endpoint) -> None:
    apple.production.store.subscribe("alice", PRO)

    apple.production.notifications.deliver_pending()

    assert [body.keys() for body in endpoint.told] == [{"signedPayload"}]


def test_copies_are_equal_to_the_byte(apple: AppleServer, endpoint: Endpoint) -> None:
    apple.production.store.subscribe("alice", PRO)
    apple.production.notifications.copies = 3

    apple.production.notifications.deliver_pending()

    assert len(endpoint.told) == 3
    assert len({body["signedPayload"] for body in endpoint.told}) == 1


def test_any_order_can_be_had(apple: AppleServer, endpoint: Endpoint) -> None:
    three_events(apple)

    apple.production.notifications.deliver_pending(order=(2, 0, 1, 0))

    assert endpoint.kinds == ["REFUND", "SUBSCRIBED", "DID_CHANGE_RENEWAL_STATUS", "SUBSCRIBED"]


def test_what_the_order_leaves_out_waits(apple: AppleServer, endpoint: Endpoint) -> None:
    three_events(apple)

    apple.production.notifications.deliver_pending(order=(2,))
    apple.production.notifications.deliver_pending()

    assert endpoint.kinds == ["REFUND", "SUBSCRIBED", "DID_CHANGE_RENEWAL_STATUS"]


def test_a_dropped_notification_never_comes(apple: AppleServer, endpoint: Endpoint) -> None:
    apple.production.notifications.drop_next()
    three_events(apple)

    apple.production.notifications.deliver_pending()
    apple.advance(timedelta(days=10))
    apple.production.notifications.deliver_pending()

    assert endpoint.kinds == ["DID_CHANGE_RENEWAL_STATUS", "REFUND"]


def test_after_a_server_error_it_is_tried_five_times_more(apple: AppleServer, endpoint: Endpoint) -> None:
    endpoint.status = 503
    told = apple.production.store.announce_test()
    apple.production.notifications.deliver_pending()

    for number, wait in enumerate(RETRY_AFTER, start=1):
        apple.advance(wait - timedelta(minutes=1))
        apple.production.notifications.deliver_pending()
        assert len(endpoint.told) == number
        apple.advance(timedelta(minutes=1))
        apple.production.notifications.deliver_pending()
        assert len(endpoint.told) == number + 1
    apple.advance(timedelta(days=30))
    apple.production.notifications.deliver_pending()

    assert len(endpoint.told) == 6
    assert len({body["signedPayload"] for body in endpoint.told}) == 1
    assert not told.succeeded


def test_a_retry_that_succeeds_is_the_last(apple: AppleServer, endpoint: Endpoint) -> None:
    endpoint.status = 500
    told = apple.production.store.announce_test()
    apple.production.notifications.deliver_pending()
    endpoint.status = 200

    for _ in range(2):
        apple.advance(timedelta(days=1))
        apple.production.notifications.deliver_pending()

    assert (len(endpoint.told), told.succeeded) == (2, True)


def test_a_refused_notification_is_not_retried(apple: AppleServer, endpoint: Endpoint) -> None:
    endpoint.status = 400
    told = apple.production.store.announce_test()

    for _ in range(2):
        apple.production.notifications.deliver_pending()
        apple.advance(timedelta(days=1))

    assert [attempt.result for attempt in told.attempts] == ["UNSUCCESSFUL_HTTP_RESPONSE_CODE"]


def test_the_sandbox_tries_once(apple: AppleServer, endpoint: Endpoint) -> None:
    endpoint.status = 503
    apple.sandbox.store.announce_test()

    for _ in range(2):
        apple.sandbox.notifications.deliver_pending()
        apple.advance(timedelta(days=1))

    assert len(endpoint.told) == 1


def test_an_endpoint_that_is_down_is_retried_too(apple: AppleServer) -> None:
    apple.notify("http://127.0.0.1:9/")
    told = apple.production.store.announce_test()

    apple.production.notifications.deliver_pending()

    assert [attempt.result for attempt in told.attempts] == ["NO_RESPONSE"]
    assert told.next_attempt_at is not None


def test_a_type_that_nobody_knows_can_be_sent(apple: AppleServer, endpoint: Endpoint) -> None:
    bought = apple.production.store.subscribe("alice", PRO)
    apple.production.store.announce(bought, "SOMETHING_NEW", "UNHEARD_OF")

    apple.production.notifications.deliver_pending()

    assert endpoint.kinds == ["SUBSCRIBED", "SOMETHING_NEW"]


def test_automatic_delivery_needs_nobody(endpoint: Endpoint) -> None:
    listener = Listener(endpoint.answer)
    listener.start()
    apple = AppleServer(notification_url=listener.url)
    apple.start(deliver_automatically=True)
    try:
        apple.production.store.subscribe("alice", PRO)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not endpoint.told and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        apple.stop()
        listener.stop()

    assert endpoint.kinds == ["SUBSCRIBED"]
