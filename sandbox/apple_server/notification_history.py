"""Get Notification History: what was sent to our server, or should have been."""

import json
from dataclasses import dataclass
from datetime import timedelta

from sandbox.apple_server.notification_outbox import Notification, NotificationOutbox
from sandbox.apple_server.page_through import UnknownPageToken, page_through
from sandbox.apple_server.server_api_errors import ApiError, RequestRefused
from sandbox.apple_server.sold_app import Environment
from sandbox.http_listener import Reply, Request
from sandbox.store_clock import StoreClock, milliseconds

KEPT_FOR = {Environment.PRODUCTION: timedelta(days=180), Environment.SANDBOX: timedelta(days=30)}


@dataclass(frozen=True)
class NotificationHistory:
    environment: Environment
    outbox: NotificationOutbox
    clock: StoreClock

    def answer(self, request: Request) -> Reply:
        """Twenty a page, oldest first. Raises RequestRefused."""
        terms = read_terms(request.body)
        begins, ends = terms.get("startDate"), terms.get("endDate")
        if not isinstance(begins, int):
            raise RequestRefused(ApiError.INVALID_START_DATE)
        if not isinstance(ends, int):
            raise RequestRefused(ApiError.INVALID_END_DATE)
        if begins > ends:
            raise RequestRefused(ApiError.START_AFTER_END)
        if begins < milliseconds(self.clock() - KEPT_FOR[self.environment]):
            raise RequestRefused(ApiError.START_TOO_FAR_IN_PAST)
        if "transactionId" in terms and "notificationType" in terms:
            raise RequestRefused(ApiError.MULTIPLE_FILTERS)
        found = [
            news
            for news in list(self.outbox.history)
            if begins <= milliseconds(news.created_at) <= ends and matches(news, terms)
        ]
        token = request.query.get("paginationToken", [None])[0]
        try:
            page = page_through(found, token, json.dumps(terms, sort_keys=True))
        except UnknownPageToken:
            raise RequestRefused(ApiError.INVALID_PAGINATION_TOKEN) from None
        body: dict[str, object] = {
            "hasMore": page.has_more,
            "notificationHistory": [
                {"signedPayload": news.signed_payload, "sendAttempts": send_attempts(news)} for news in page.items
            ],
        }
        return Reply(200, body | ({"paginationToken": page.token} if page.has_more else {}))


def read_terms(body: bytes) -> dict[str, object]:
    try:
        terms = json.loads(body)
    except ValueError:
        raise RequestRefused(ApiError.INVALID_START_DATE) from None
    if not isinstance(terms, dict):
        raise RequestRefused(ApiError.INVALID_START_DATE)
    return terms


def matches(news: Notification, terms: dict[str, object]) -> bool:
    return (
        terms.get("notificationType") in {None, news.kind}
        and terms.get("notificationSubtype") in {None, news.subtype}
        and ("transactionId" not in terms or terms["transactionId"] in news.transaction_ids)
        and not (terms.get("onlyFailures") is True and news.succeeded)
    )


def send_attempts(news: Notification) -> list[dict[str, object]]:
    return [{"attemptDate": milliseconds(attempt.at), "sendAttemptResult": attempt.result} for attempt in news.attempts]
