"""Which addresses Stripe sends events to, as its dashboard and API keep them. What is sent, the outbox decides."""

from sandbox.stripe_server.books import Books, Call, Handlers
from sandbox.stripe_server.protocol.response_shapes import Object


class WebhookEndpoints:
    def __init__(self, books: Books) -> None:
        self._books = books

    def handlers(self) -> Handlers:
        return {
            ("post", "/v1/webhook_endpoints"): self._create,
            ("post", "/v1/webhook_endpoints/{webhook_endpoint}"): self._update,
            ("get", "/v1/webhook_endpoints"): self._list,
        }

    def _create(self, call: Call) -> Object:
        """Without a version, events come in that of the account (docs.stripe.com/api/webhook_endpoints)."""
        call.imitated("url", "enabled_events", "api_version")
        return self._books.keep(
            "webhook_endpoint",
            "we",
            url=call.params["url"],
            enabled_events=list(call.params["enabled_events"]),
            api_version=call.params.get("api_version"),
            metadata={},
            status="enabled",
        )

    def _update(self, call: Call) -> Object:
        call.imitated("url", "enabled_events", "disabled")
        endpoint = self._books.get("webhook_endpoint", call.arguments[0])
        if "disabled" in call.params:
            endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
        endpoint.update({name: call.params[name] for name in ("url", "enabled_events") if name in call.params})
        return endpoint

    def _list(self, call: Call) -> Object:
        call.imitated("limit", "starting_after", "ending_before")
        return self._books.page(call, self._books.all("webhook_endpoint"))
