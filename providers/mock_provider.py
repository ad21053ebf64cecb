"""A provider that calls nobody: for development without a key."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from metering.breaker import Breaker
from providers.catalogue import Model
from providers.completion import Completion, Finish, Message, estimated_usage, tokens_of
from providers.health import ProviderHealth


class MockProvider:
    """The same question always gets the same answer."""

    mock = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.breaker = Breaker()
        self.health = ProviderHealth(name, self.breaker)

    def complete(
        self,
        model: Model,
        messages: Sequence[Message],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
        request_id: UUID,
    ) -> Completion:
        """As long as it may be, and free."""
        digest = sha256()
        for message in messages:
            digest.update(message.text.encode())
            for picture in message.pictures:
                digest.update(picture.data)
        number = int.from_bytes(digest.digest()[:2])
        text = f"This is a mock answer; no AI provider was asked.\n\n$x = {number}$"
        usage = estimated_usage(messages, min(tokens_of(len(text)), max_output_tokens))
        return Completion(text, model.id, self.name, usage, Finish.STOP, cost_micros=0, mock=True)
