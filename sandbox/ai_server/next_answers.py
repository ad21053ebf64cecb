"""What the next requests are answered with, and how: all that a provider does rarely and a caller must survive."""

from collections import deque
from dataclasses import dataclass
from threading import Event, Lock


@dataclass(frozen=True, kw_only=True)
class NextAnswer:
    """Is used up by one request. What is not said stays as it would have been; everything may be combined.

    Where the trouble comes after the answer was made (all but `status`, `redirect_to` and `reset`), the request is billed.
    """

    face: str | None = None
    """Which face it is for: openai, anthropic, google, groq. None: any."""
    text: str | None = None
    finish: str = "stop"
    """stop, length, content_filter or refusal."""
    usage: str = "right"
    """right, none or wrong (ten times too much)."""
    status: int | None = None
    """An error in the face's own words: 400, 401, 403, 404, 413, 429, 500, 502, 503, 529."""
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
    trickle_bytes: int | None = None
    """The body is sent in pieces of so many bytes …"""
    trickle_pause_seconds: float = 0
    """… with such a pause between."""
    cut_after_bytes: int | None = None
    """Of the body; then the connection is closed."""
    cut_after_chunks: int | None = None
    """Of a stream."""
    stall_after_bytes: int | None = None
    """Of the body; then nothing more comes and the connection stays."""
    body: str | None = None
    """Sent in place of the JSON, with status 200: garbage, an HTML page, nothing."""
    huge_bytes: int | None = None
    """The text of the answer is made at least as long."""
    split_utf8: bool = False
    """The answer has letters of several bytes, and every piece ends inside of one."""


class NextAnswers:
    def __init__(self) -> None:
        self._waiting: deque[NextAnswer] = deque()
        self._lock = Lock()
        self.released = Event()

    def add(self, answer: NextAnswer, *, times: int = 1) -> None:
        with self._lock:
            if answer.hold:
                self.released.clear()
            self._waiting.extend([answer] * times)

    def next_for(self, face: str) -> NextAnswer:
        with self._lock:
            for answer in self._waiting:
                if answer.face in {None, face}:
                    self._waiting.remove(answer)
                    return answer
        return NextAnswer()

    def release(self) -> None:
        """Let go every answer that is held."""
        self.released.set()

    @property
    def waiting(self) -> int:
        """How many have not been used up."""
        with self._lock:
            return len(self._waiting)

    def clear(self) -> None:
        """What is held is let go."""
        with self._lock:
            self._waiting.clear()
        self.release()
