"""Idempotency keys: the first answer of a key is repeated, also when it was an error (docs.stripe.com/api/idempotent_requests)."""

from dataclasses import dataclass, field

from sandbox.http_listener import Reply
from sandbox.stripe_server.protocol.refusals import KeyUsedOtherwise


@dataclass
class IdempotencyKeys:
    """Stripe keeps keys for at least a day. These live as long as the server."""

    _answers: dict[str, tuple[str, Reply]] = field(default_factory=dict)

    def earlier(self, key: str | None, request: str) -> Reply | None:
        """The answer that was given under this key. Raises KeyUsedOtherwise for another request."""
        if key is None or key not in self._answers:
            return None
        first, reply = self._answers[key]
        if first != request:
            raise KeyUsedOtherwise(key)
        return Reply(reply.status, reply.body, {**reply.headers, "Idempotent-Replayed": "true"})

    def remember(self, key: str | None, request: str, reply: Reply) -> None:
        if key is not None:
            self._answers[key] = (request, reply)
