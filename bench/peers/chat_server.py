"""The peer of `python -m bench chat`: `python -m bench.peers.chat_server FD` serves on a listening socket.

FastAPI on uvicorn with uvloop and httptools, OpenAI's own SDK on aiohttp, sse-starlette, asyncpg and redis-py with hiredis. A reply
goes on when its reader leaves, as ours does: it is a task that adds each chunk to a Redis stream, from which it could be taken up
again, and to a queue that the response reads. It runs in bench/peers/.venv, which has nothing of the product.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import jwt
import orjson
import redis.asyncio
import uvicorn
from fastapi import FastAPI, Request, Response
from openai import AsyncOpenAI, DefaultAioHttpClient
from pydantic import BaseModel, Field, ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sse_starlette import EventSourceResponse, ServerSentEvent

DATABASE_CONNECTIONS: Final = 16
PING_SECONDS: Final = 8
KEPT_SECONDS: Final = 600
MOST_MESSAGES: Final = 50
"""Of a conversation that the model is sent: the newest."""
HISTORY: Final = """
SELECT conversation.id, message.id AS message_id, message.role, message.content
FROM conversations AS conversation
LEFT JOIN LATERAL (
    SELECT id, role, content FROM messages
    WHERE conversation_id = conversation.id AND state = 'complete' ORDER BY number DESC LIMIT $3
) AS message ON true
WHERE conversation.id = $1 AND conversation.user_id = $2
"""
SAVE: Final = """
INSERT INTO messages (id, conversation_id, user_id, parent_id, role, content, state)
VALUES ($1, $2, $3, $4, 'user', $5, 'complete'), ($6, $2, $3, $1, 'assistant', '', 'streaming')
"""
END: Final = """
WITH ended AS (
    UPDATE messages SET content = $2, state = $3, input_tokens = $4, output_tokens = $5, finished_at = now()
    WHERE id = $1 RETURNING conversation_id
)
UPDATE conversations SET updated_at = now() WHERE id = (SELECT conversation_id FROM ended)
"""


class SendBody(BaseModel):
    conversation_id: UUID
    content: str = Field(min_length=1, max_length=32_000)
    model: str
    max_tokens: int = Field(ge=1)


class Chat:
    """One per process. `open` makes the pools, in the event loop that uses them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.jwt_key = environ["JWT_SECRET_KEY"]
        self.issuer = environ["JWT_ISSUER"]
        self.audience = environ["JWT_AUDIENCE"]
        self.database_url = environ["DATABASE_URL"]
        self.redis_url = environ["REDIS_URL"]
        self.key, self.base_url = environ["OPENAI_API_KEY"], environ["OPENAI_BASE_URL"]
        self.running: set[asyncio.Task[None]] = set()
        # A token that verified once is remembered; its end is compared on every use.
        self.verified = lru_cache(maxsize=8192)(self.verify)

    @asynccontextmanager
    async def open(self, _app: FastAPI) -> AsyncIterator[None]:
        self.redis = redis.asyncio.Redis.from_url(
            self.redis_url,
            max_connections=2048,
            socket_timeout=5,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )
        self.database = await asyncpg.create_pool(
            self.database_url,
            min_size=DATABASE_CONNECTIONS,
            max_size=DATABASE_CONNECTIONS,
            reset=keep_session,
            server_settings={"statement_timeout": "5000", "timezone": "UTC"},
        )
        self.openai = AsyncOpenAI(
            api_key=self.key, base_url=self.base_url, max_retries=0, http_client=DefaultAioHttpClient()
        )
        try:
            yield
        finally:
            await self.openai.close()
            await self.database.close()
            await self.redis.aclose()

    async def send(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            user, expires = self.verified(token)
        except jwt.InvalidTokenError:
            return answer(401, {"error": "invalid_token"})
        if scheme != "Bearer" or time.time() >= expires:
            return answer(401, {"error": "invalid_token"})
        try:
            body = SendBody.model_validate_json(await request.body())
        except ValidationError:
            return answer(422, {"error": "validation_failed"})
        found = await self.database.fetch(HISTORY, body.conversation_id, user, MOST_MESSAGES)
        if not found:
            return answer(404, {"error": "not_found"})
        turns = [row for row in reversed(found) if row["message_id"] is not None]
        asked, reply = uuid4(), uuid4()
        parent = turns[-1]["message_id"] if turns else None
        await self.database.execute(SAVE, asked, body.conversation_id, user, parent, body.content, reply)
        messages = [{"role": row["role"], "content": row["content"]} for row in turns]
        messages.append({"role": "user", "content": body.content})
        events: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue()
        events.put_nowait(event("start", {"conversation_id": body.conversation_id, "message_id": reply}))
        task = asyncio.create_task(self.generate(reply, body, messages, events))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        return EventSourceResponse(until_none(events), ping=PING_SECONDS, headers={"X-Accel-Buffering": "no"})

    async def generate(
        self, reply: UUID, body: SendBody, messages: list[Any], events: asyncio.Queue[ServerSentEvent | None]
    ) -> None:
        """To the last chunk, whether anybody reads it or not."""
        key, pieces, size, usage, state = f"reply:{reply}", [], 0, None, "failed"
        try:
            stream = await self.openai.chat.completions.create(
                model=body.model,
                messages=messages,
                max_completion_tokens=body.max_tokens,
                stream=True,
                stream_options={"include_usage": True},
            )
            async for chunk in stream:
                usage = chunk.usage or usage
                text = chunk.choices[0].delta.content if chunk.choices else None
                if text:
                    pieces.append(text)
                    size += len(text.encode())
                    events.put_nowait(event("delta", {"text": text}, f"{reply}:{size}"))
                    await self.redis.xadd(key, {"text": text})
            state = "complete"
        except Exception as error:
            events.put_nowait(event("error", {"error": type(error).__name__}))
        taken, made = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        await self.database.execute(END, reply, "".join(pieces), state, taken, made)
        await self.redis.expire(key, KEPT_SECONDS)
        events.put_nowait(event("end", {"state": state, "usage": {"input_tokens": taken, "output_tokens": made}}))
        events.put_nowait(None)

    def verify(self, token: str) -> tuple[UUID, int]:
        """The user's id and when the token ends. Raises jwt.InvalidTokenError."""
        claims = jwt.decode(
            token,
            self.jwt_key,
            algorithms=["HS256"],
            audience=self.audience,
            issuer=self.issuer,
            options={"require": ["sub", "exp"]},
        )
        return UUID(claims["sub"]), claims["exp"]


async def until_none(events: asyncio.Queue[ServerSentEvent | None]) -> AsyncIterator[ServerSentEvent]:
    while (next_event := await events.get()) is not None:
        yield next_event


async def keep_session(_connection: object) -> None:
    """Nothing here changes a session, so a connection goes back without the round trip that would reset it."""


def event(name: str, data: object, event_id: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(data=orjson.dumps(data).decode(), event=name, id=event_id)


def answer(status: int, body: object) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def create_app(environ: Mapping[str, str]) -> FastAPI:
    chat = Chat(environ)
    app = FastAPI(lifespan=chat.open, openapi_url=None)
    app.add_api_route("/api/gateway/chat/messages", chat.send, methods=["POST"])
    return app


def serve(listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(os.environ),
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
