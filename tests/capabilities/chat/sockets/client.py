"""Socket.IO's Python client, with what it was told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from uuid import uuid4

import socketio
from pydantic import BaseModel, ValidationError

from capabilities.chat.sockets.bodies import ConversationUpdated, StreamTold, TypingTold
from capabilities.chat.voice.bodies import TOLD as VOICE

SECONDS = 30
DECLARED: Mapping[str, type[BaseModel]] = {
    "chat:stream": StreamTold,
    "typing:start": TypingTold,
    "conversation:updated": ConversationUpdated,
    **VOICE,
}
Told = tuple[str, dict[str, Any]]


@dataclass
class Client:
    """`told`: events with their payload, as they came. `undeclared`: what is wrong with those that are not as declared."""

    socket: socketio.AsyncClient
    told: list[Told] = field(default_factory=list)
    undeclared: list[ValidationError] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, event: str, **body: Any) -> dict[str, Any]:
        """The acknowledgement."""
        answer: dict[str, Any] = await self.socket.call(event, body, timeout=SECONDS)
        return answer

    async def done(self, event: str, **body: Any) -> dict[str, Any]:
        answer = await self.ask(event, **body)
        assert answer["ok"], answer
        return answer

    async def send(self, content: str = "hello", **fields: Any) -> dict[str, Any]:
        return await self.done("chat:stream", **{"content": content, "idempotency_key": str(uuid4()), **fields})

    async def until(self, right: Callable[[str, dict[str, Any]], object], seconds: float = SECONDS) -> dict[str, Any]:
        """The first event that is."""
        async with asyncio.timeout(seconds):
            at = 0
            while True:
                for name, payload in self.told[at:]:
                    at += 1
                    if right(name, payload):
                        return payload
                self.news.clear()
                await self.news.wait()

    async def of_type(self, kind: str, message_id: str | None = None, seconds: float = SECONDS) -> dict[str, Any]:
        def right(name: str, payload: dict[str, Any]) -> bool:
            return name == "chat:stream" and payload["type"] == kind and message_id in (None, payload["message_id"])

        return await self.until(right, seconds)

    async def ended(self, message_id: str, seconds: float = SECONDS) -> dict[str, Any]:
        def right(name: str, payload: dict[str, Any]) -> bool:
            return name == "chat:stream" and payload["type"] in {"end", "error"} and payload["message_id"] == message_id

        return await self.until(right, seconds)

    def stream(self, message_id: str) -> list[dict[str, Any]]:
        return [told for name, told in self.told if name == "chat:stream" and told["message_id"] == message_id]

    def text(self, message_id: str, after: int = 0) -> str:
        """What came of it from that byte on, without a gap and nothing twice."""
        text = b""
        for event in self.stream(message_id):
            if event["type"] == "delta":
                text += event["text"].encode()
                assert event["offset"] == after + len(text)
        return text.decode()

    def updates(self) -> list[dict[str, Any]]:
        return [told for name, told in self.told if name == "conversation:updated"]


@asynccontextmanager
async def connected(url: str, token: str, **options: Any) -> AsyncIterator[Client]:
    client = Client(socketio.AsyncClient(reconnection=False))

    async def note(event: str, payload: dict[str, Any]) -> None:
        if event in DECLARED:
            try:
                DECLARED[event].model_validate(payload)
            except ValidationError as error:
                client.undeclared.append(error)
        client.told.append((event, payload))
        client.news.set()

    client.socket.on("*", note)
    await client.socket.connect(url, auth={"token": token}, transports=["websocket"], **options)
    try:
        yield client
    finally:
        await client.socket.disconnect()
    assert client.undeclared == [], "the OpenAPI document says something else"


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run
