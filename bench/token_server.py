"""A provider of OpenAI's format that keeps time: each piece of a reply is the moment at which it was sent.

Run as `python -m bench.token_server`; a line of JSON on its input says `first_ms` and `per_second`, and the first line of its output
is the port. A reply has as many pieces as the request allows tokens. The sandbox's stand-in checks every request and keeps books of
it: a thousand streams of it would take the processor from what is measured.
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass
from typing import cast

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ALLOWED = re.compile(rb'"max_(?:completion_)?tokens": ?(\d+)')
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: req_0\r\nopenai-processing-ms: 100\r\n\r\n"
)
NOTHING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
CHUNK = (
    b'data: {"id":"chatcmpl-C0xUmB4f6mWzXg9s5kq1T2r7","object":"chat.completion.chunk","created":1760000000,"model":"gpt-6-luna",'
    b'"service_tier":"default","system_fingerprint":null,"choices":%b,"usage":%b,"obfuscation":"K3xw9"}\n\n'
)
DELTA = CHUNK % (b'[{"index":0,"delta":{%b},"logprobs":null,"finish_reason":%b}]', b"null")
FIRST = DELTA % (b'"role":"assistant","content":"","refusal":null', b"null")
LAST = DELTA % (b"", b'"stop"')
USAGE = CHUNK % (b"[]", b'{"prompt_tokens":20,"completion_tokens":%d,"total_tokens":%d}')


@dataclass(frozen=True)
class Pace:
    first_seconds: float
    between_seconds: float


class Conversation(asyncio.Protocol):
    """One connection, and the reply that it is in."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.loop = asyncio.get_running_loop()
        self.received = b""
        self.timer: asyncio.TimerHandle | None = None
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):  # of a description: a provider without any is well
            self.received = b""
            self.transport.write(NOTHING)
            return
        length = LENGTH.search(head)
        if length is not None and len(body) >= int(length[1]):
            self.received = b""
            self.begin(body)

    def begin(self, body: bytes) -> None:
        allowed = ALLOWED.search(body)
        self.said, self.pieces = 0, int(allowed[1]) if allowed else 16
        self.due = self.loop.time() + self.pace.first_seconds
        self.transport.write(HEAD)
        self.timer = self.loop.call_at(self.due, self.say)

    def say(self) -> None:
        piece = DELTA % (b'"content":"%.6f "' % time.monotonic(), b"null")
        self.transport.write(framed(piece if self.said else FIRST + piece))
        self.said += 1
        if self.said < self.pieces:
            self.due += self.pace.between_seconds
            self.timer = self.loop.call_at(self.due, self.say)
        else:
            usage = USAGE % (self.pieces, 20 + self.pieces)
            self.transport.write(framed(LAST + usage + b"data: [DONE]\n\n") + b"0\r\n\r\n")


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(pace: Pace) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Conversation(pace), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    wanted = json.loads(sys.stdin.readline())
    asyncio.run(serve(Pace(wanted["first_ms"] / 1000, 1 / wanted["per_second"])))
