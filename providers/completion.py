"""What is asked of an AI provider and what it answers, whichever provider that is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from metering.breaker import Breaker
from providers.catalogue import Model

CHARACTERS_PER_TOKEN = 4
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
class TokenUsage:
    """`estimated`: the provider did not say, or said what cannot be."""

    input_tokens: int
    output_tokens: int
    estimated: bool


class Finish(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    """It was cut at the most tokens it was allowed."""


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
    def breaker(self) -> Breaker: ...

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


def estimated_usage(messages: Sequence[Message], output_tokens: int) -> TokenUsage:
    """What a call takes, when nobody says."""
    characters = sum(len(message.text) for message in messages)
    pictures = sum(len(message.pictures) for message in messages)
    return TokenUsage(tokens_of(characters) + pictures * TOKENS_PER_PICTURE, output_tokens, estimated=True)


def tokens_of(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
