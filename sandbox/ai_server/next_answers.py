"""What the next requests are answered with, and how: all that a provider does rarely and a caller must survive."""

import asyncio
from collections import deque
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, kw_only=True)
class NextAnswer:
    """Is used up by one request. What is not said stays as it would have been; everything may be combined.

    Where the trouble comes after the answer was made (all but `status`, `redirect_to` and `reset`), the request is billed.
    A chunk is a piece of the answer's text or of a tool call's arguments: `…_after_chunks` of 0 comes after what opens a
    stream, and one that is larger than the answer comes before what ends it.
    """

    face: str | None = None
    """Which face it is for: openai, anthropic, google, groq, openrouter. None: any."""
    text: str | None = None
    tokens: int | None = None
    """The text is repeated or cut so that it has exactly so many."""
    huge_bytes: int | None = None
    """The text of the answer is made at least as long."""
    reasoning_tokens: int = 0
    """Billed as output. Anthropic shows them as a thinking block, Groq as `reasoning`; OpenAI and Google are silent."""
    cached_tokens: int = 0
    """So many of the input's are told as read from a cache."""
    finish: str = "stop"
    """stop, length, content_filter or refusal."""
    usage: str = "right"
    """right, none or wrong (ten times too much)."""
    status: int | None = None
    """An error in the face's own words: 400, 401, 403, 404, 413, 429, 500, 502, 503, 529."""
    error_in_body: bool = False
    """With a `status`: the answer's own status is 200 all the same, as OpenRouter does."""
    retry_after: int | None = None
    """Seconds, with an error."""
    redirect_to: str | None = None
    reset: bool = False
    """The connection is closed before anything was done."""
    hold: bool = False
    """The answer waits until `release` is called."""
    delay_seconds: float = 0
    """Before the first byte."""
    header_pause_seconds: float = 0
    """Between two lines of the head."""
    tokens_per_second: float | None = None
    """Of a stream, reasoning too. None: as fast as the caller reads."""
    chunk_tokens: int = 3
    """In one event of a stream."""
    endless: bool = False
    """The text of a stream begins anew for ever, whatever limit the request has set."""
    trickle_bytes: int | None = None
    """The body is sent in pieces of so many bytes …"""
    trickle_pause_seconds: float = 0
    """… with such a pause between."""
    split_utf8: bool = False
    """The answer has letters of several bytes, and every piece ends inside of one."""
    cut_after_bytes: int | None = None
    """Of the body; then the connection is closed."""
    stall_after_bytes: int | None = None
    """Of the body; then nothing more comes and the connection stays."""
    cut_after_chunks: int | None = None
    """Then the connection is closed in the middle of the body."""
    stall_after_chunks: int | None = None
    """Then nothing more comes and the connection stays."""
    end_after_chunks: int | None = None
    """Then the body ends properly, without a finish, usage or last event."""
    error_after_chunks: int | None = None
    """Then an error in the face's own form ends the stream."""
    garbage_after_chunks: int | None = None
    """Then an event that is no JSON comes between."""
    huge_chunk_after_chunks: int | None = None
    """Then one chunk has a text of 2 MiB, in one line."""
    body: str | None = None
    """Sent in place of the JSON, with status 200: garbage, an HTML page, nothing."""


class NextAnswers:
    """Safe from any thread. `usual` is for requests that nothing was added for."""

    def __init__(self, usual: NextAnswer | None = None) -> None:
        self._at_first = usual or NextAnswer()
        self.usual = self._at_first
        self._waiting: deque[NextAnswer] = deque()
        self._lock = Lock()
        self._holds = False
        self._held: list[asyncio.Future[None]] = []

    def add(self, answer: NextAnswer, *, times: int = 1) -> None:
        with self._lock:
            self._holds = self._holds or answer.hold
            self._waiting.extend([answer] * times)

    def next_for(self, face: str) -> NextAnswer:
        with self._lock:
            for answer in self._waiting:
                if answer.face in {None, face}:
                    self._waiting.remove(answer)
                    return answer
        return self.usual

    async def until_released(self) -> None:
        with self._lock:
            if not self._holds:
                return
            held = asyncio.get_running_loop().create_future()
            self._held.append(held)
        await held

    def release(self) -> None:
        """Let go every answer that is held."""
        with self._lock:
            self._holds = False
            let_go, self._held = self._held, []
        for held in let_go:
            held.get_loop().call_soon_threadsafe(held.set_result, None)

    @property
    def waiting(self) -> int:
        """How many have not been used up."""
        with self._lock:
            return len(self._waiting)

    def clear(self) -> None:
        """What is held is let go, and the usual answer is as it was at first."""
        with self._lock:
            self._waiting.clear()
            self.usual = self._at_first
        self.release()
