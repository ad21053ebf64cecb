"""The FastAPI peer (bench.peers says what it is for). `python -m bench.peers.fastapi_server FD` serves on a listening socket.

It runs in bench/peers/.venv, which has nothing of the product.
"""

import hashlib
import hmac
import os
import socket
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import asyncpg
import jwt
import orjson
import redis.asyncio
import uvicorn
from fastapi import FastAPI, Request, Response
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry
from yarl import URL

PATH: Final = "/predict"
CONTENT_TYPE: Final = "application/json"
CALL_SECONDS: Final = 30.0
CLOCK_TOLERANCE_SECONDS: Final = 300
DAY_SECONDS: Final = 86_400
DATABASE_CONNECTIONS: Final = 16
INSERT: Final = (
    "INSERT INTO predictions (id, user_id, request_hash, success, response_time_ms) VALUES ($1, $2, $3, true, $4)"
)
COUNT_THE_DAY: Final = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
if used > tonumber(ARGV[1]) then redis.call('DECR', KEYS[1]) return -1 end
return used
"""


class AnswerNotTrusted(Exception):
    """The private server's answer is not 200, not signed by it, or no JSON."""


class Predictions:
    """One per process. `open` makes the pools, in the event loop that uses them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.jwt_key = environ["JWT_SECRET_KEY"]
        self.issuer = environ["JWT_ISSUER"]
        self.audience = environ["JWT_AUDIENCE"]
        self.day_limit = environ["DAY_LIMIT"]
        self.secret = environ["PRIVATE_API_SECRET"].encode()
        self.private_url = URL(environ["PRIVATE_API_URL"] + PATH)
        self.target = urlsplit(str(self.private_url)).path
        self.database_url = environ["DATABASE_URL"]
        self.redis_url = environ["REDIS_URL"]
        # A token that verified once is remembered; its end is compared on every use.
        self.verified = lru_cache(maxsize=8192)(self.verify)

    @asynccontextmanager
    async def open(self, _app: FastAPI) -> AsyncIterator[None]:
        self.redis = redis.asyncio.Redis.from_url(
            self.redis_url,
            max_connections=256,
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
        )
        self.script: str = await self.redis.script_load(COUNT_THE_DAY)
        self.database = await asyncpg.create_pool(
            self.database_url,
            min_size=DATABASE_CONNECTIONS,
            max_size=DATABASE_CONNECTIONS,
            reset=keep_session,
            server_settings={"statement_timeout": "5000", "timezone": "UTC"},
        )
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )
        try:
            yield
        finally:
            await self.http.close()
            await self.database.close()
            await self.redis.aclose()

    async def predict(self, request: Request) -> Response:
        began = time.monotonic()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            user, expires = self.verified(token)
        except jwt.InvalidTokenError:
            return answer(401, {"error": "invalid_token"})
        if scheme != "Bearer" or time.time() >= expires:
            return answer(401, {"error": "invalid_token"})
        try:
            document = orjson.dumps(orjson.loads(await request.body()))
        except orjson.JSONDecodeError:
            return answer(400, {"error": "malformed_json"})
        if await self.count_the_day(user) == -1:
            return answer(429, {"error": "rate_limit_exceeded"})
        request_id = str(uuid4())
        try:
            prediction = await self.ask_private_server(document, user, request_id)
        except (AnswerNotTrusted, aiohttp.ClientError, TimeoutError):
            return answer(502, {"error": "prediction_failed"})
        milliseconds = round((time.monotonic() - began) * 1000)
        await self.database.execute(INSERT, request_id, user, hashlib.sha256(document).hexdigest(), milliseconds)
        prediction["metadata"] = {"request_id": request_id, "response_time_ms": milliseconds}
        return answer(200, prediction)

    def verify(self, token: str) -> tuple[str, int]:
        """The user's id and when the token ends. Raises jwt.InvalidTokenError."""
        claims = jwt.decode(
            token,
            self.jwt_key,
            algorithms=["HS256"],
            audience=self.audience,
            issuer=self.issuer,
            options={"require": ["sub", "exp"]},
        )
        return claims["sub"], claims["exp"]

    async def count_the_day(self, user: str) -> int:
        key = f"day:{user}:{datetime.now(UTC).date()}"
        try:
            used: int = await self.redis.evalsha(self.script, 1, key, self.day_limit, DAY_SECONDS)
        except NoScriptError:
            used = await self.redis.eval(COUNT_THE_DAY, 1, key, self.day_limit, DAY_SECONDS)
        return used

    async def ask_private_server(self, document: bytes, user: str, request_id: str) -> dict[str, Any]:
        """Raises AnswerNotTrusted, aiohttp.ClientError and TimeoutError."""
        nonce = base64url(os.urandom(16))
        headers = self.signed(document, nonce, user, request_id)
        async with self.http.post(self.private_url, data=document, headers=headers, allow_redirects=False) as response:
            body = await response.read()
        if response.status != 200:
            raise AnswerNotTrusted
        self.prove_origin(response.headers, nonce, body)
        try:
            prediction = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise AnswerNotTrusted from error
        if not isinstance(prediction, dict):
            raise AnswerNotTrusted
        return prediction

    def signed(self, document: bytes, nonce: str, user: str, request_id: str) -> dict[str, str]:
        timestamp = str(int(time.time()))
        digest = hashlib.sha256(document).hexdigest()
        context = base64url(
            orjson.dumps(
                {"rid": request_id, "sub": user, "idem": request_id, "deadline_ms": round(CALL_SECONDS * 1000)}
            )
        )
        lines = (
            "MIRROR-HMAC-SHA256-V1",
            "k1",
            timestamp,
            nonce,
            "POST",
            self.target,
            "",
            CONTENT_TYPE,
            context,
            digest,
        )
        return {
            "Content-Type": CONTENT_TYPE,
            "X-Request-ID": request_id,
            "X-Mirror-Key-Id": "k1",
            "X-Mirror-Timestamp": timestamp,
            "X-Mirror-Nonce": nonce,
            "X-Mirror-Content-SHA256": digest,
            "X-Mirror-Context": context,
            "X-Mirror-Signature": self.signature(lines),
        }

    def prove_origin(self, headers: Mapping[str, str], nonce: str, body: bytes) -> None:
        """Raises AnswerNotTrusted."""
        key_id, timestamp = headers.get("X-Mirror-Key-Id", ""), headers.get("X-Mirror-Timestamp", "")
        if key_id != "k1" or not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > CLOCK_TOLERANCE_SECONDS:
            raise AnswerNotTrusted
        content_type = headers.get("Content-Type", "")
        digest = hashlib.sha256(body).hexdigest()
        lines = ("MIRROR-HMAC-SHA256-V1-RESPONSE", "k1", timestamp, nonce, "200", content_type, digest)
        if not hmac.compare_digest(self.signature(lines), headers.get("X-Mirror-Signature", "")):
            raise AnswerNotTrusted

    def signature(self, lines: tuple[str, ...]) -> str:
        return "v1=" + hmac.digest(self.secret, "\n".join(lines).encode(), "sha256").hex()


async def keep_session(_connection: object) -> None:
    """Nothing here changes a session, so a connection goes back without the round trip that would reset it."""


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def answer(status: int, body: object) -> Response:
    return Response(orjson.dumps(body), status, media_type=CONTENT_TYPE)


def create_app(environ: Mapping[str, str]) -> FastAPI:
    predictions = Predictions(environ)
    app = FastAPI(lifespan=predictions.open, openapi_url=None)
    app.add_api_route("/api/gateway/predict", predictions.predict, methods=["POST"])
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
