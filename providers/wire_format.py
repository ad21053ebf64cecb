"""What a provider's way to say things on the wire is to whoever sends and receives."""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from providers.catalogue import Model
from providers.completion import Completion, Format, Prompt
from providers.http_client import Reply
from providers.problems import ProviderFailed
from providers.stream_reader import StreamReader


class WireFormat(Protocol):
    @property
    def format(self) -> Format: ...

    @property
    def path(self) -> str:
        """Below the provider's address: where prompts are posted."""

    def headers(self, key: str) -> Mapping[str, str]: ...

    def call_headers(self, request_id: UUID) -> Mapping[str, str]:
        """Those that differ from call to call."""

    def model_path(self, model: Model) -> str:
        """Below the provider's address: what can be asked for free to see whether the key is right."""

    def knows_model(self, reply: Reply) -> bool:
        """Whether the answer to that means that calls will be taken."""

    def request(
        self,
        model: Model,
        prompt: Prompt,
        *,
        max_output_tokens: int,
        temperature: float | None,
        options: Mapping[str, Any],
        stream: bool,
    ) -> bytes: ...

    def read(self, reply: Reply, model: Model, prompt: Prompt) -> Completion:
        """Raises a ProviderFailed."""

    def failure_of(self, reply: Reply) -> ProviderFailed:
        """What an answer means that is not 200."""

    def reader(self) -> StreamReader: ...
