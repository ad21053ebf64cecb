"""A private server that costs next to nothing: it answers every prediction with the same forecast, signed.

It does not check who asks. `python -m bench.private_server` reads one line of JSON from standard input
({"secret": …, "delay_ms": …}), prints its port and serves until it is stopped.
"""

import asyncio
import hashlib
import hmac
import json
import re
import sys
import time

CONTENT_TYPE = "application/json"
FORECAST = json.dumps(
    {
        "prediction": {
            "probability": 0.42,
            "low": 0.31,
            "high": 0.55,
            "horizon_days": 180,
            "drivers": [{"name": "specific_goal", "effect": 0.21}, {"name": "experience", "effect": 0.34}],
            "explanation": "A goal with a number and a date, and some experience: slightly better than usual.",
        },
        "model": "bench-1",
        "kind": "constant",
    },
    separators=(",", ":"),
).encode()
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
NONCE = re.compile(rb"\r\nx-mirror-nonce: *([\w-]+)", re.IGNORECASE)


class Conversation(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, secret: bytes, delay_seconds: float) -> None:
        self.secret = secret
        self.delay_seconds = delay_seconds
        self.received = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.received[:head_end]
        length = LENGTH.search(head)
        if len(self.received) < head_end + 4 + (int(length[1]) if length else 0):
            return
        self.received = b""
        nonce = NONCE.search(head)
        if self.delay_seconds and head.startswith(b"POST"):
            asyncio.get_running_loop().call_later(self.delay_seconds, self.answer, nonce)
        else:
            self.answer(nonce)

    def answer(self, nonce: re.Match[bytes] | None) -> None:
        assert self.transport is not None
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {CONTENT_TYPE}", f"Content-Length: {len(FORECAST)}"]
        if nonce:
            lines += signature_headers(self.secret, nonce[1].decode(), FORECAST)
        self.transport.write("\r\n".join((*lines, "", "")).encode() + FORECAST)


def signature_headers(secret: bytes, nonce: str, body: bytes) -> list[str]:
    """The three headers of a signed answer, as docs/private-server.md describes them."""
    timestamp = str(int(time.time()))
    digest = hashlib.sha256(body).hexdigest()
    lines = ("MIRROR-HMAC-SHA256-V1-RESPONSE", "k1", timestamp, nonce, "200", CONTENT_TYPE, digest)
    signature = hmac.digest(secret, "\n".join(lines).encode(), "sha256").hex()
    return ["X-Mirror-Key-Id: k1", f"X-Mirror-Timestamp: {timestamp}", f"X-Mirror-Signature: v1={signature}"]


async def serve(secret: bytes, delay_seconds: float) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: Conversation(secret, delay_seconds), "127.0.0.1", 0, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    wanted = json.loads(sys.stdin.readline())
    asyncio.run(serve(wanted["secret"].encode(), wanted["delay_ms"] / 1000))
