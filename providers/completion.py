"""What is asked of an AI provider and what it answers, whichever provider that is."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from metering.breaker import Breaker
from providers.catalogue import Model

if TYPE_CHECKING:
    from providers.audio import Recording, Speech, Transcript
    from providers.audio_models import Listener, Speaker
    from providers.events import Event
    from providers.health import ProviderHealth

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
BYTES_PER_TOKEN = 4
"""OpenAI's rule of thumb for English (help.openai.com, "What are tokens and how to count them?")."""
TOKENS_PER_PICTURE = 1536
"""The most patches that OpenAI's smaller models cut a picture into (developers.openai.com, "Images and vision")."""


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Picture:
    """`media_type` is one of `image/png`, `image/jpeg`, `image/webp` and `image/gif`."""

    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """Only the user's messages may have pictures."""

    role: Role
    text: str = field(repr=False)
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """`as_sent`: the same messages in OpenAI's format, as a client of that format sent them, with what a Message cannot say (calls of
    tools, the order of texts and pictures). Models of that format get these instead.
    """

    messages: Sequence[Message]
    as_sent: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The input includes what the provider had in its cache, the output what a model thinks.

    `estimated`: the provider did not say, or said what cannot be.
    """

    input_tokens: int
    output_tokens: int
    estimated: bool
    cached_input_tokens: int = 0


class Finish(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    """It was cut at the most tokens it was allowed."""
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    """The provider, or the model itself, refused to go on. What came before stands."""


class Format(StrEnum):
    """How requests and answers look on the wire."""

    CHAT_COMPLETIONS = "chat_completions"
    """OpenAI's, which Google and Groq speak as well. It alone takes options and `Prompt.as_sent`."""
    ANTHROPIC_MESSAGES = "anthropic_messages"


@dataclass(frozen=True, slots=True)
class Completion:
    """`cost_micros`: what the provider takes, in millionths of a US dollar; 0 where its price is not known."""

    text: str = field(repr=False)
    model: str
    provider: str
    usage: TokenUsage
    finish: Finish
    cost_micros: int
    mock: bool = False


class Provider(Protocol):
    """Its `breaker` is judged by the metered calls that call it, for they know whose call it is."""

    @property
    def name(self) -> str:
        """As in the catalogue: `openai`."""

    @property
    def mock(self) -> bool:
        """It answers by itself and calls nobody."""

    @property
    def format(self) -> Format: ...

    @property
    def breaker(self) -> Breaker: ...

    @property
    def health(self) -> "ProviderHealth": ...

    def complete(
        self,
        model: Model,
        messages: Sequence[Message],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
        request_id: UUID,
    ) -> Completion:
        """Blocks the calling thread for at most the deadline, which covers everything from the name's look-up to the last byte.

        Raises a ProviderFailed. Its `cost_micros` is what the call may have cost all the same.
        """

    def stream(
        self,
        model: Model,
        prompt: Prompt,
        *,
        max_output_tokens: int,
        temperature: float | None = None,
        options: Mapping[str, Any] = NO_OPTIONS,
        deadline_seconds: float,
        idle_seconds: float,
        request_id: UUID,
    ) -> "AsyncGenerator[Event, None]":
        """The reply as it is generated: an async generator for the providers' loop, which sends the request once, when it is
        first asked. `idle_seconds`: the longest silence, from the sending on.

        Closing it, or cancelling the task that reads it, closes the connection at once. Read to its end, the connection is kept.
        `options` are further members of the request in OpenAI's format (`tools`, `response_format`). What the model refuses
        (`Model.refuses`) is left out. Raises a ProviderFailed, whose `begun` says whether some of the reply had come.
        """

    async def transcribe(
        self, model: "Listener", recording: "Recording", *, deadline_seconds: float, request_id: UUID
    ) -> "Transcript":
        """For the providers' loop. Raises a ProviderFailed."""

    async def speak(self, model: "Speaker", text: str, *, deadline_seconds: float, request_id: UUID) -> "Speech":
        """At most `Speaker.longest_input` characters, for the providers' loop. Raises a ProviderFailed."""


def estimated_usage(messages: Sequence[Message], output_tokens: int) -> TokenUsage:
    """What a call takes, when nobody says."""
    size = sum(len(message.text.encode()) for message in messages)
    pictures = sum(len(message.pictures) for message in messages)
    return TokenUsage(tokens_of(size) + pictures * TOKENS_PER_PICTURE, output_tokens, estimated=True)


def tokens_of(size: int) -> int:
    """`size`: of the text in bytes of UTF-8."""
    return -(-size // BYTES_PER_TOKEN)
