"""What a reply is made of while it is being generated, whichever provider generates it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.completion import Finish, TokenUsage


@dataclass(frozen=True, slots=True)
class Delta:
    """More of the text. Never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Reported:
    """What the call took, as the provider counts. It replaces what was reported before. The last one is what the call took in the
    end; earlier ones are `estimated`, for their output is still to come: Anthropic tells the input before the first word.
    """

    usage: TokenUsage


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """`delta` of a chunk, as the provider sent it: only for requests whose options have tools."""

    delta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply is whole. The last event."""

    finish: Finish


Event = Delta | Reported | ToolCalls | Finished
