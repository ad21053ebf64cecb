"""The list of everything that happened, also of what was never delivered."""

from fnmatch import fnmatchcase

from sandbox.stripe_server.books import Books, Call, Handlers
from sandbox.stripe_server.protocol.response_shapes import Object
from sandbox.stripe_server.webhooks.event_outbox import EventOutbox

KEPT_SECONDS = 30 * 24 * 60 * 60


class Events:
    def __init__(self, books: Books, outbox: EventOutbox) -> None:
        self._books = books
        self._outbox = outbox

    def handlers(self) -> Handlers:
        return {
            ("get", "/v1/events/{id}"): lambda call: self._books.get("event", call.arguments[0]),
            ("get", "/v1/events"): self._list,
        }

    def _list(self, call: Call) -> Object:
        """Of the last 30 days (docs.stripe.com/api/events)."""
        call.imitated("type", "types", "delivery_success", "limit", "starting_after", "ending_before", "created")
        patterns = call.params.get("types") or [call.params.get("type", "*")]
        delivered = call.params.get("delivery_success")
        oldest = self._books.now() - KEPT_SECONDS
        found = (
            event
            for event in self._books.all("event")
            if event["created"] >= oldest
            and any(fnmatchcase(event["type"], pattern) for pattern in patterns)
            and delivered in {None, self._outbox.was_delivered(event["id"])}
        )
        return self._books.page(call, found)
