"""What the stand-in received, what it answered and what it would have billed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from threading import Condition
from typing import Any

from sandbox.ai_server.pictures import ReceivedPicture


@dataclass
class Entry:
    """One request of a face. `status` is None until the answer begins.

    Tokens of a request that was worked on are billed, whatever became of its answer on the way. Of a stream those are
    billed that were made until it ended: the output grows with what was sent.
    """

    request_id: str
    face: str
    method: str
    path: str
    key: str
    """The last four characters of it, as the providers show keys."""
    client_request_id: str | None
    idempotency_key: str | None
    received_at: float
    model: str | None = None
    status: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    """Reasoning included."""
    cached_tokens: int = 0
    """Of the input."""
    audio_seconds: float = 0
    """Of a recording that was transcribed."""
    characters: int = 0
    """Of a text that was spoken."""
    billed: bool = False
    streamed: bool = False
    text_sha256: str | None = None
    """Of all text in the request: the text itself is nobody's to read."""
    pictures: list[ReceivedPicture] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    """As they came, without the key."""
    chunks: int = 0
    """Of a stream: pieces of the text, or of a tool call's arguments, that were sent."""
    answer_bytes: int = 0
    """Of the text that was sent, in UTF-8. The caller may have read less of it."""
    answer_sha256: str | None = None
    """Of the same, once the answer has ended."""
    complete: bool = False
    """The answer was sent to its end."""
    client_left_at: float | None = None
    """When the caller closed the connection before the answer's end."""
    ended_at: float | None = None


class Books:
    """Safe from any thread."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._changed = Condition()
        self._in_work = 0
        self.most_at_once = 0
        """How many requests were in work at the same time, at most."""

    def open(self, entry: Entry) -> None:
        with self._changed:
            self._entries.append(entry)
            self._in_work += 1
            self.most_at_once = max(self.most_at_once, self._in_work)
            self._changed.notify_all()

    def close(self, entry: Entry) -> None:
        """Once is enough."""
        with self._changed:
            if entry.ended_at is None:
                entry.ended_at = now()
                self._in_work -= 1
                self._changed.notify_all()

    def client_left(self, entry: Entry) -> None:
        with self._changed:
            entry.client_left_at = now()
            self._changed.notify_all()

    @property
    def entries(self) -> list[Entry]:
        """Of all requests, oldest first."""
        with self._changed:
            return list(self._entries)

    @property
    def billed(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.billed]

    @property
    def pictures(self) -> list[ReceivedPicture]:
        return [picture for entry in self.entries for picture in entry.pictures]

    def wait_for(self, requests: int, seconds: float = 10.0) -> bool:
        """Until so many have arrived since the books were cleared."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._entries) >= requests, seconds)

    def wait_for_end(self, seconds: float = 10.0) -> bool:
        """Until every request has ended, and one that its caller left is known to be."""
        return self.wait_until(lambda entries: all(each.ended_at is not None for each in entries), seconds)

    def wait_until(self, holds: Callable[[list[Entry]], bool], seconds: float = 10.0) -> bool:
        """Looks whenever a request arrives or ends, or its caller leaves."""
        with self._changed:
            return self._changed.wait_for(lambda: holds(self._entries), seconds)

    def clear(self) -> None:
        with self._changed:
            self._entries.clear()
            self.most_at_once = self._in_work

    def as_json(self) -> Iterator[dict[str, Any]]:
        for entry in self.entries:
            yield asdict(entry)


def now() -> float:
    return time.time()
