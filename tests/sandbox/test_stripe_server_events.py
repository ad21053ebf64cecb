"""Events go out signed, and on demand as badly as they do in the wild."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
import stripe

from sandbox.http_listener import Listener, Reply, Request
from tests.sandbox.stripe_account import NOON, Account


class Endpoint:
    """A webhook endpoint that answers what it is told to, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[Request] = []
        self.answers: list[int] = []
        self.listener = Listener(self.answer)

    def answer(self, request: Request) -> Reply:
        self.got.append(request)
        return Reply(self.answers.pop(0) if self.answers else 200, {})

    @property
    def kinds(self) -> list[str]:
        return [json.loads(each.body)["type"] for each in self.got]


@pytest.fixture
def endpoint(account: Account) -> Iterator[Endpoint]:
    endpoint = Endpoint()
    endpoint.listener.start()
    account.server.outbox.url = endpoint.listener.url + "/hook"
    yield endpoint
    endpoint.listener.stop()


def test_an_event_is_signed_over_its_bytes(account: Account, endpoint: Endpoint) -> None:
    account.customer()
    assert account.server.outbox.deliver_pending() == [200]

    [request] = endpoint.got
    header, secret = request.headers["stripe-signature"], account.server.webhook_secret
    assert stripe.WebhookSignature.verify_header(request.body.decode(), header, secret)
    assert f"t={int(NOON.timestamp())}," in header
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(request.body.decode() + " ", header, secret)


def test_an_event_carries_version_and_mode(account: Account, endpoint: Endpoint) -> None:
    account.customer()
    account.server.outbox.deliver_pending()

    event = json.loads(endpoint.got[0].body)
    assert (event["api_version"], event["livemode"]) == (stripe.api_version, False)
    assert event["data"]["object"]["email"] == "alice@example.com"


def test_events_can_be_swapped_repeated_and_held_back(account: Account, endpoint: Endpoint) -> None:
    account.subscribe()
    kinds = [each.kind for each in account.server.outbox.pending()]
    account.server.outbox.deliver_pending(order=[2, 0, 0])

    assert endpoint.kinds == [kinds[2], kinds[0], kinds[0]]
    assert [each.kind for each in account.server.outbox.pending()] == [kinds[1], *kinds[3:]]


def test_every_attempt_can_be_doubled(account: Account, endpoint: Endpoint) -> None:
    account.server.outbox.copies = 2
    account.customer()
    account.server.outbox.deliver_pending()

    assert len(endpoint.got) == 2
    assert endpoint.got[0].body == endpoint.got[1].body


def test_a_dropped_event_is_only_in_the_list(account: Account, endpoint: Endpoint) -> None:
    account.server.outbox.drop_next()
    account.customer("alice@example.com")
    account.customer("bob@example.com")
    account.server.outbox.deliver_pending()

    lost = account.client.v1.events.list({"delivery_success": False, "types": ["customer.created"]})
    assert [each.data.object["email"] for each in lost.data] == ["alice@example.com"]
    assert len(endpoint.got) == 1


@pytest.mark.parametrize("status", [400, 500, 302])
def test_what_is_not_accepted_is_sent_again_later(account: Account, endpoint: Endpoint, status: int) -> None:
    endpoint.answers = [status]
    account.customer()
    account.server.outbox.deliver_pending()
    assert account.server.outbox.pending() == []

    account.server.advance(timedelta(hours=1))
    assert account.server.outbox.deliver_pending() == [200]
    account.server.advance(timedelta(days=5))
    assert account.server.outbox.pending() == []


def test_an_event_can_be_sent_again_by_hand(account: Account, endpoint: Endpoint) -> None:
    account.customer()
    account.server.outbox.deliver_pending()
    account.server.outbox.resend(account.last("event")["id"])

    assert endpoint.got[0].body == endpoint.got[1].body


def test_events_leave_the_list_after_thirty_days(account: Account) -> None:
    account.customer()
    account.advance(days=31)

    assert account.client.v1.events.list().data == []


def test_an_endpoint_gets_only_what_it_subscribed_to(account: Account, endpoint: Endpoint) -> None:
    account.server.outbox.wants = {"invoice.paid"}.__contains__
    account.subscribe()
    account.server.outbox.deliver_pending()

    assert endpoint.kinds == ["invoice.paid"]
