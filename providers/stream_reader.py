"""What a streamed reply is read into, whichever the wire format."""

from abc import ABC, abstractmethod

from providers.answer_values import WRONG_TYPES
from providers.completion import Finish, TokenUsage
from providers.event_stream import EventData
from providers.events import Delta, Event, Reported
from providers.problems import ProviderFailed

LONGEST_TEXT = 1024 * 1024
"""In bytes of UTF-8. The longest reply of today's models, 128,000 tokens, has about half of it."""


class StreamReader(ABC):
    """Of one stream. What it found so far may be read at any time.

    `begun`: something of the reply has come. `ended`: nothing more will come. `usage`: as the provider last told.
    `received`: bytes of text. `finish`: once the reply is whole. `failure`: why no more of it can be used.
    """

    __slots__ = ("_data", "begun", "ended", "failure", "finish", "received", "usage")

    def __init__(self) -> None:
        self._data = EventData()
        self.begun = self.ended = False
        self.usage: TokenUsage | None = None
        self.received = 0
        self.finish: Finish | None = None
        self.failure: ProviderFailed | None = None

    def read(self, data: bytes) -> list[Event]:
        """What these bytes bring, but the end. What comes before a failure among them counts."""
        events: list[Event] = []
        try:
            for line in self._data.feed(data):
                self._take(line, events)
                if self.ended:
                    break
        except ProviderFailed as failure:
            self.failure = failure
        except WRONG_TYPES:
            self.failure = ProviderFailed("reply_malformed")
        return events

    @abstractmethod
    def _take(self, line: bytes, events: list[Event]) -> None:
        """The data of one event. Raises a ProviderFailed, and WRONG_TYPES for what is not as it should be."""

    def _add(self, text: str, events: list[Event]) -> None:
        if text == "":
            return
        if not isinstance(text, str) or "\0" in text:
            raise ProviderFailed("reply_malformed")
        self._count(len(text) if text.isascii() else len(text.encode()))  # orjson lets no lone surrogate pass
        events.append(Delta(text))

    def _count(self, size: int) -> None:
        self.begun = True
        self.received += size
        if self.received > LONGEST_TEXT:
            raise ProviderFailed("reply_too_large")

    def _report(self, usage: TokenUsage | None, events: list[Event]) -> None:
        if usage is not None and usage != self.usage:
            self.usage = usage
            events.append(Reported(usage))
