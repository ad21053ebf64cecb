"""Events go out signed, and on demand as badly as they do in the wild."""

import json
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from threading import Barrier

import pytest
import stripe

from sandbox.http_listener import Listener, Reply, Request
from sandbox.stripe_server.webhooks.event_outbox import Order
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


def test_events_are_lost_until_they_are_not(account: Account, endpoint: Endpoint) -> None:
    account.control("lose-events", losing=True)
    for _ in range(2):
        account.customer()
    assert account.server.outbox.deliver_pending() == []
    account.control("lose-events", losing=False)
    account.customer()

    assert account.server.outbox.deliver_pending() == [200]
    assert len(account.client.v1.events.list({"delivery_success": False}).data) == 2


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


@pytest.mark.parametrize("order", list(Order))
def test_events_arrive_in_the_order_that_was_set(account: Account, endpoint: Endpoint, order: Order) -> None:
    account.server.outbox.order = order
    account.server.outbox.random = Random(7)
    account.subscribe()
    account.server.outbox.deliver_pending()

    happened = account.kinds()
    arrived = {Order.AS_IT_HAPPENED: happened, Order.REVERSED: happened[::-1]}.get(order)
    assert sorted(endpoint.kinds) == sorted(happened)
    assert endpoint.kinds == arrived if arrived else endpoint.kinds != happened


def test_events_are_delivered_side_by_side(account: Account) -> None:
    together = Barrier(4)

    def answer(_: Request) -> Reply:
        together.wait(10)
        return Reply(200)

    listener = Listener(answer)
    listener.start()
    account.server.outbox.url, account.server.outbox.at_once = listener.url, 4
    for name in ("alice", "bob", "carol", "dave"):
        account.customer(f"{name}@example.com")

    assert account.server.outbox.deliver_pending() == [200] * 4
    listener.stop()


def test_a_thin_event_only_names_the_object(account: Account, endpoint: Endpoint) -> None:
    subscription = account.subscribe()
    event = next(each for each in account.server.books.all("event") if each["type"] == "customer.subscription.created")
    account.server.outbox.send_thin(event["id"])

    [thin] = endpoint.got
    header, secret = thin.headers["stripe-signature"], account.server.webhook_secret
    assert stripe.WebhookSignature.verify_header(thin.body.decode(), header, secret)
    notified = stripe.v2.core.EventNotification.from_json(thin.body, account.client)
    assert (notified.object, notified.type) == ("v2.core.event", "v1.customer.subscription.created")
    assert json.loads(thin.body)["related_object"] == {
        "id": subscription.id,
        "type": "subscription",
        "url": f"/v1/subscriptions/{subscription.id}",
    }


@pytest.mark.parametrize("older", [False, True])
def test_an_upcoming_invoice_has_no_id(account: Account, older: bool) -> None:
    subscription = account.server.books.get("subscription", account.subscribe().id)
    told = account.server.invoices.announce_upcoming(subscription, older=older)["data"]["object"]
    alone = account.server.invoices.announce_upcoming_one_off(subscription["customer"], 500, "usd", older=older)

    named = told["subscription"] if older else told["parent"]["subscription_details"]["subscription"]
    assert ("id" in told, named, told["amount_due"]) == (False, subscription["id"], 1900)
    one_off = alone["data"]["object"]
    assert one_off["subscription" if older else "parent"] is None
    assert ("parent" in one_off, "id" in one_off) == (not older, False)


def test_webhook_endpoints_are_kept_and_changed(account: Account) -> None:
    endpoints = account.client.v1.webhook_endpoints
    made = endpoints.create({"url": "https://api.example.com/webhook", "enabled_events": ["invoice.paid"]})
    assert (made.status, made.api_version) == ("enabled", None)
    endpoints.update(made.id, {"disabled": True, "enabled_events": ["*"]})
    [kept] = endpoints.list().data
    assert (kept.id, kept.status, kept.enabled_events) == (made.id, "disabled", ["*"])
