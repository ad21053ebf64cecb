"""Sends signed events to the webhook endpoint the way Stripe does, or the way Stripe does on a bad day.

Anything but a 2xx answer is tried again, for three days in live mode (docs.stripe.com/webhooks).
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random, SystemRandom
from threading import Lock

import requests
from stripe import WebhookSignature

from sandbox.clock import Clock
from sandbox.stripe_server.protocol.response_shapes import Object

RETRY_AFTER = tuple(timedelta(hours=hours) for hours in (1, 2, 4, 8, 16, 24))
TIMEOUT_SECONDS = 10.0


class Order(StrEnum):
    """In which order what is due arrives: Stripe promises none."""

    AS_IT_HAPPENED = "as_it_happened"
    REVERSED = "reversed"
    SHUFFLED = "shuffled"


@dataclass
class Delivery:
    """One event on its way. `answers` holds the status of every attempt, None for no answer."""

    event: Object
    body: str
    next_attempt_at: datetime | None
    answers: list[int | None] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        return any(status is not None and 200 <= status < 300 for status in self.answers)

    @property
    def kind(self) -> str:
        return str(self.event["type"])


class EventOutbox:
    """Nothing is sent before `deliver_pending`, so a test decides what arrives, when, how often and in which order."""

    def __init__(self, clock: Clock, signing_clock: Clock, secret: str, url: str | None) -> None:
        self.url = url
        self.copies = 1
        """How many times each attempt is sent: Stripe promises at least once, not exactly once."""
        self.at_once = 1
        """How many are on their way at the same time, each over a connection of its own."""
        self.order = Order.AS_IT_HAPPENED
        self.random: Random = SystemRandom()
        """Shuffles. A test that must be repeatable puts one with a seed here."""
        self.losing = False
        """Events are lost: never sent, but they stand in the list of events."""
        self.deliveries: list[Delivery] = []
        self.wants: Callable[[str], bool] = lambda kind: True
        """Which types of events the endpoint has subscribed to."""
        self._clock = clock
        self._signing_clock = signing_clock
        self._secret = secret
        self._to_drop = 0
        self._lock = Lock()
        # A lock of its own: the endpoint may ask this Stripe something while it is being told.
        self._delivering = Lock()

    def drop_next(self, count: int = 1) -> None:
        """Lose the next events: never sent, but they stand in the list of events."""
        self._to_drop = count

    def add(self, event: Object) -> None:
        with self._lock:
            body = json.dumps(event, indent=2)
            due: datetime | None = self._clock()
            if self.losing or self._to_drop:
                self._to_drop = max(0, self._to_drop - 1)
                due = None
            elif not self.wants(event["type"]):
                return
            self.deliveries.append(Delivery(deepcopy(event), body, due))

    def signature(self, body: str, *, at: datetime | None = None, secret: str | None = None) -> str:
        """The `Stripe-Signature` header of a body."""
        seconds = int((at or self._signing_clock()).timestamp())
        header: str = WebhookSignature.generate_signature_header(body, secret or self._secret, seconds)
        return header

    def pending(self) -> list[Delivery]:
        """What is due to be sent or sent again now, oldest first."""
        with self._lock:
            now = self._clock()
            return [each for each in self.deliveries if each.next_attempt_at and each.next_attempt_at <= now]

    def deliver_pending(self, order: Sequence[int] | None = None) -> list[int | None]:
        """Send what is due. `order` holds positions in `pending()`: it may swap them, repeat them and leave some waiting."""
        with self._delivering:
            if self.url is None:
                return []
            due = self.pending()
            chosen = self._in_order(due) if order is None else [due[position] for position in order]
            url, copies = self.url, [each for each in chosen for _ in range(self.copies)]
            if self.at_once == 1:
                return [self._send(each, url) for each in copies]
            with ThreadPoolExecutor(self.at_once) as senders:
                return list(senders.map(lambda each: self._send(each, url), copies))

    def _in_order(self, due: list[Delivery]) -> list[Delivery]:
        if self.order is Order.SHUFFLED:
            return self.random.sample(due, len(due))
        return due[::-1] if self.order is Order.REVERSED else due

    def send_thin(self, event_id: str) -> int | None:
        """The same news as an event of API v2, which only names the object. The answer's status."""
        delivery = next(each for each in self.deliveries if each.event["id"] == event_id)
        return self._post(json.dumps(thin(delivery.event)), self._address())

    def resend(self, event_id: str) -> int | None:
        """As by the button in the dashboard. The answer's status."""
        delivery = next(each for each in self.deliveries if each.event["id"] == event_id)
        return self._send(delivery, self._address())

    def _address(self) -> str:
        if self.url is None:
            raise ValueError("there is no webhook endpoint to send to")
        return self.url

    def forget_pending(self) -> list[Delivery]:
        """What was due is not sent any more; the list of it is for whoever wants to send it in another way."""
        forgotten = self.pending()
        for each in forgotten:
            each.next_attempt_at = None
        return forgotten

    def was_delivered(self, event_id: str) -> bool:
        return any(each.succeeded for each in self.deliveries if each.event["id"] == event_id)

    def _send(self, delivery: Delivery, url: str) -> int | None:
        status = self._post(delivery.body, url)
        with self._lock:
            self._note(delivery, status)
        return status

    def _note(self, delivery: Delivery, status: int | None) -> None:
        delivery.answers.append(status)
        failures = sum(1 for each in delivery.answers if each is None or not 200 <= each < 300)
        if delivery.succeeded or failures > len(RETRY_AFTER):
            delivery.next_attempt_at = None
        else:
            delivery.next_attempt_at = self._clock() + RETRY_AFTER[failures - 1]

    def _post(self, body: str, url: str) -> int | None:
        headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": self.signature(body)}
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy stands before a webhook of this machine
                answer = session.post(
                    url, data=body.encode(), headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
                )
        except requests.RequestException:
            return None
        return answer.status_code


def thin(event: Object) -> Object:
    """As an endpoint for events of API v2 gets it (docs.stripe.com/event-destinations#events-overview)."""
    what = event["data"]["object"]
    kind = what["object"]
    named = what.get("id")
    related = {"id": named, "type": kind, "url": f"/v1/{kind.replace('.', '/')}s/{named}"}
    return {
        "id": event["id"],
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "created": datetime.fromtimestamp(event["created"], UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "livemode": event["livemode"],
        "context": None,
        "reason": None,
        "related_object": related if named else None,
    }
