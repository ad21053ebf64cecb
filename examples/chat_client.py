"""Send a message and print the reply while it is written. It is read on when the connection breaks, and stopped by Ctrl-C.

    python examples/chat_client.py --token "$TOKEN" "Why is the sky blue?"

To see both at work, --lose-after and --stop-after do them after so many bytes of the reply. It needs nothing but Python, so copy
what you need.
"""

import argparse
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

MESSAGES = "/api/gateway/chat/messages"
ATTEMPTS = 5
"""To connect again, while nothing more comes."""


class ReplyFailed(Exception):
    """`problem` says why: `error` is its stable code, `detail` is for people."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem['title']}: {problem['detail']}")
        self.problem = problem


class Reply:
    """To one message. Iterating over it gives each piece of its text once, however often the connection breaks.

    `size` is the number of bytes that came so far, in UTF-8: from there it is read on. `end` is how the reply ended.
    """

    def __init__(self, url: str, token: str, content: str, lose_after: int | None = None) -> None:
        self._url, self._token = url.rstrip("/") + MESSAGES, token
        self._content, self._key = content, str(uuid.uuid4())
        self._lose_after = lose_after
        self.id: str | None = None
        self.size = 0
        self.end: dict[str, Any] | None = None

    def __iter__(self) -> Iterator[str]:
        in_vain = 0
        while self.end is None:
            before, lost = self.size, None
            try:
                yield from self._read()
            except (OSError, http.client.HTTPException) as error:
                lost = error
            in_vain = 0 if self.end or self.size > before else in_vain + 1
            if in_vain == ATTEMPTS:
                raise ConnectionError("The connection breaks each time") from lost
            time.sleep(in_vain)

    def stop(self) -> dict[str, Any]:
        """The message as it then stands: its text is kept."""
        with self._ask(f"/{self.id}/stop", b"") as answer:
            self.end = json.load(answer)
        return self.end

    def _read(self) -> Iterator[str]:
        """Until the end, or until the connection breaks."""
        if self.id is None:  # with the same key, the message is not sent twice
            body = json.dumps({"content": self._content}).encode()
            answer = self._ask("", body, {"Accept": "text/event-stream", "Idempotency-Key": self._key})
        else:
            answer = self._ask(f"/{self.id}/stream?after={self.size}")
        with closing(answer):
            for name, data in events_of(answer):
                if name == "start":
                    self.id = data["message_id"]
                elif name == "delta":
                    self.size += len(data["text"].encode())
                    yield data["text"]
                elif name == "end":
                    self.end = data
                elif name == "error":
                    raise ReplyFailed(data)
                if self._lose_after is not None and self.size >= self._lose_after:
                    self._lose_after = None
                    return

    def _ask(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        sent = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self._url + path, body, sent)  # noqa: S310 - its user names the address
        try:
            return urllib.request.urlopen(request, timeout=30)  # nosec B310 # noqa: S310 - it speaks every 8 seconds
        except urllib.error.HTTPError as refused:
            raise ReplyFailed(json.load(refused)) from None


def events_of(lines: Iterable[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events, each with its name and its data. Comments are skipped."""
    name = ""
    for line in lines:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("content", help="your message")
    parser.add_argument("--token", required=True, help="an access token, or an API key with the scope chat")
    parser.add_argument("--url", default="http://localhost:8000", help="of the API (default: %(default)s)")
    parser.add_argument("--lose-after", type=int, metavar="BYTES", help="break the connection once")
    parser.add_argument("--stop-after", type=int, metavar="BYTES", help="stop the reply")
    asked = parser.parse_args()
    reply = Reply(asked.url, asked.token, asked.content, asked.lose_after)
    try:
        for text in reply:
            sys.stdout.write(text)
            sys.stdout.flush()
            if asked.stop_after is not None and reply.size >= asked.stop_after:
                break
    except KeyboardInterrupt:
        if reply.id is None:
            sys.exit(130)
    except (ReplyFailed, ConnectionError) as failure:
        sys.exit(f"\n{failure}")
    ended = reply.end or reply.stop()
    sys.stdout.write("\n")
    sys.stderr.write(f"{ended['state']}, {ended['model']}, {ended['usage']['output_tokens']} tokens\n")


if __name__ == "__main__":
    main()
