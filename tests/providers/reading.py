"""Reading a stream to its end, as a capability does: on the providers' loop."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from providers.catalogue import Model
from providers.completion import NO_OPTIONS, Finish, Prompt, Provider, TokenUsage
from providers.events import Delta, Event, Finished, Reported, ToolCalls
from providers.loop import ProviderLoop
from tests.providers.questions import LUNA, PROMPT


@dataclass
class Read:
    """What came out of a stream. `failure`: what it was ended by."""

    events: list[Event] = field(default_factory=list)
    failure: Exception | None = None

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def reported(self) -> list[TokenUsage]:
        return [event.usage for event in self.events if isinstance(event, Reported)]

    @property
    def tool_calls(self) -> Sequence[Mapping[str, Any]]:
        return [event.delta for event in self.events if isinstance(event, ToolCalls)]

    @property
    def finish(self) -> Finish | None:
        last = self.events[-1] if self.events else None
        return last.finish if isinstance(last, Finished) else None


def stream_of(
    provider: Provider,
    model: Model = LUNA,
    *,
    prompt: Prompt = PROMPT,
    most: int = 2048,
    seconds: float = 60,
    idle: float = 60,
    temperature: float | None = None,
    options: Mapping[str, Any] = NO_OPTIONS,
) -> AsyncGenerator[Event, None]:
    return provider.stream(
        model,
        prompt,
        max_output_tokens=most,
        temperature=temperature,
        options=options,
        deadline_seconds=seconds,
        idle_seconds=idle,
        request_id=uuid4(),
    )


def read_stream(loop: ProviderLoop, stream: AsyncGenerator[Event, None]) -> Read:
    read = Read()

    async def to_the_end() -> None:
        try:
            async for event in stream:
                read.events.append(event)
        except Exception as failure:
            read.failure = failure

    loop.start(to_the_end()).result(120)
    return read
