"""Sends signed notifications to our endpoint the way Apple does, or the way Apple does on a bad day.

Retries: five, 1, 12, 24, 48 and 72 hours after the attempt before, in Production only; 200 to 206 is success
(developer.apple.com/documentation/appstoreservernotifications/responding-to-app-store-server-notifications).
A 4xx answer is not tried again, as developers have reported since March 2026.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

import requests

from sandbox.apple_server.signed_payloads import Payload
from sandbox.apple_server.sold_app import Environment
from sandbox.store_clock import StoreClock

RETRY_AFTER = tuple(timedelta(hours=hours) for hours in (1, 12, 24, 48, 72))
TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class SendAttempt:
    """`http_status` is None when there was no answer. `result` is one of Apple's `sendAttemptResult` values."""

    at: datetime
    result: str
    http_status: int | None = None


@dataclass
class Notification:
    """One piece of news. Every attempt carries the same `uuid` and the same bytes."""

    uuid: str
    kind: str
    subtype: str | None
    signed_payload: str
    created_at: datetime
    transaction_ids: frozenset[str]
    next_attempt_at: datetime | None
    attempts: list[SendAttempt] = field(default_factory=list)

    @property
    def succeeded(self) -> bool:
        return any(attempt.result == "SUCCESS" for attempt in self.attempts)


class NotificationOutbox:
    """Nothing is sent before `deliver_pending`, so a test decides what arrives, when, how often and in which order."""

    def __init__(self, environment: Environment, clock: StoreClock, url: str | None = None) -> None:
        self.url = url
        self.copies = 1
        """How many times each attempt is sent. Apple promises at least once, not exactly once."""
        self.history: list[Notification] = []
        self._environment = environment
        self._clock = clock
        self._to_drop = 0
        self._lock = Lock()
        # A lock of its own: the endpoint may ask this App Store something while it is being notified.
        self._delivering = Lock()

    def drop_next(self, count: int = 1) -> None:
        """Lose the next notifications: never sent, never tried again, but listed as failures in the history."""
        self._to_drop = count

    def add(self, payload: Payload, signed_payload: str, transaction_ids: frozenset[str]) -> Notification:
        with self._lock:
            now = self._clock()
            subtype = payload.get("subtype")
            notification = Notification(
                uuid=str(payload["notificationUUID"]),
                kind=str(payload["notificationType"]),
                subtype=str(subtype) if subtype else None,
                signed_payload=signed_payload,
                created_at=now,
                transaction_ids=transaction_ids,
                next_attempt_at=now,
            )
            if self._to_drop:
                self._to_drop -= 1
                notification.next_attempt_at = None
                notification.attempts.append(SendAttempt(now, "NO_RESPONSE"))
            self.history.append(notification)
            return notification

    def pending(self) -> list[Notification]:
        """What is due to be sent or sent again now, oldest first."""
        with self._lock:
            now = self._clock()
            return [news for news in self.history if news.next_attempt_at and news.next_attempt_at <= now]

    def deliver_pending(self, order: Sequence[int] | None = None) -> list[SendAttempt]:
        """Send what is due. `order` holds positions in `pending()`: it may swap them, repeat them and leave some waiting."""
        with self._delivering:
            if self.url is None:
                return []
            due = self.pending()
            chosen = due if order is None else [due[position] for position in order]
            return [self._send(news, self.url) for news in chosen for _ in range(self.copies)]

    def resend(self, uuid: str) -> SendAttempt:
        """Once more, whatever became of it before. Raises StopIteration for one that never was, ValueError without an address."""
        if self.url is None:
            raise ValueError("there is no address to send to")
        return self._send(next(news for news in self.history if news.uuid == uuid), self.url)

    def _send(self, notification: Notification, url: str) -> SendAttempt:
        attempt = self._post(notification, url)
        notification.attempts.append(attempt)
        failures = sum(attempt.result != "SUCCESS" for attempt in notification.attempts)
        if notification.succeeded or not self._is_retried(attempt) or failures > len(RETRY_AFTER):
            notification.next_attempt_at = None
        else:
            notification.next_attempt_at = attempt.at + RETRY_AFTER[failures - 1]
        return attempt

    def _post(self, notification: Notification, url: str) -> SendAttempt:
        now = self._clock()
        body = {"signedPayload": notification.signed_payload}
        try:
            answer = requests.post(url, json=body, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.Timeout:
            return SendAttempt(now, "TIMED_OUT")
        except requests.RequestException:
            return SendAttempt(now, "NO_RESPONSE")
        succeeded = 200 <= answer.status_code <= 206
        result = "SUCCESS" if succeeded else "UNSUCCESSFUL_HTTP_RESPONSE_CODE"
        return SendAttempt(now, result, answer.status_code)

    def _is_retried(self, attempt: SendAttempt) -> bool:
        refused = attempt.http_status is not None and 400 <= attempt.http_status < 500
        return self._environment is Environment.PRODUCTION and not refused
