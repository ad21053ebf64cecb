"""A signed request as it would arrive, and ways to alter it."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from security.request_signer import CallContext, sign_request
from security.secrets.signing_keys import PrivateServerKeys, SigningKey

SECRET = secrets.token_bytes(32)
RING = PrivateServerKeys((SigningKey("k1", SECRET),))
NOW = 1_795_414_147


@dataclass
class HandClock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Message:
    """A request as it would arrive."""

    headers: tuple[tuple[str, str], ...]
    method: str = "POST"
    target: str = "/predict?trace=1"
    body: bytes = b'{"goal":"learn to swim"}'

    def with_header(self, name: str, value: str | None) -> "Message":
        """None takes the header away."""
        kept = [(known, value if known == name else old) for known, old in self.headers]
        return replace(self, headers=tuple((known, new) for known, new in kept if new is not None))

    def header(self, name: str) -> str:
        return dict(self.headers)[name]


def signed_message(*, at: int = NOW, ring: PrivateServerKeys = RING) -> Message:
    blank = Message(())
    signed = sign_request(
        ring,
        method=blank.method,
        target=blank.target,
        body=blank.body,
        content_type="application/json",
        context=CallContext("req-1", "user-1", "pro", 30_000).encoded(),
        now=datetime.fromtimestamp(at, UTC),
    )
    return replace(blank, headers=tuple(signed.headers.items()))


def altered(message: Message, place: int, flip: int) -> Message:
    """The message with one bit changed somewhere: in the request line, a header's value or the body."""
    signed: Iterable[str] = [message.method, message.target, *(value for _, value in message.headers)]
    parts = [part.encode() for part in signed] + [message.body]
    place %= sum(len(part) for part in parts)
    for number, part in enumerate(parts):
        if place < len(part):
            parts[number] = part[:place] + bytes([part[place] ^ (1 << flip)]) + part[place + 1 :]
            break
        place -= len(part)
    *texts, body = parts
    method, target, *values = [text.decode("latin-1") for text in texts]
    names = [name for name, _ in message.headers]
    return Message(tuple(zip(names, values, strict=True)), method, target, body)
