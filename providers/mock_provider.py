"""A provider that calls nobody: for development without a key."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from metering.breaker import Breaker
from providers.catalogue import Model
from providers.completion import Completion, Finish, Message, estimated_usage, tokens_of
from providers.health import ProviderHealth


class MockProvider:
    """The same picture always gets the same answer, and so does the same text without one."""

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
        pictures = [picture.data for message in messages for picture in message.pictures]
        asked = pictures or [message.text.encode() for message in messages]
        number = int.from_bytes(sha256(b"".join(asked)).digest()[:2])
        text = f"This is a mock answer; no AI provider was asked.\n\n$x = {number}$"
        usage = estimated_usage(messages, min(tokens_of(len(text)), max_output_tokens))
        return Completion(text, model.id, self.name, usage, Finish.STOP, cost_micros=0, mock=True)
