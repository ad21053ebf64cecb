"""The floor: the least that one metered prediction can do, with no framework around it.

What a careful engineer would write by hand: check the JWT, count the day in one Redis script, sign the body, POST it over
a pooled connection, insert one row and answer only after it is durable. No validation, idempotency, concurrency limit,
breaker, log line, metric or proof of the answer: our gateway does all of these and is compared with this.
"""

import hashlib
import hmac
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import jwt
import orjson
import psycopg2
import psycopg2.extensions
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

StartResponse = Callable[[str, list[tuple[str, str]]], object]

TABLE = """
CREATE TABLE predictions (
    id uuid PRIMARY KEY, user_id uuid NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
    request_hash text NOT NULL, success boolean NOT NULL, response_time_ms integer NOT NULL
);
CREATE INDEX ON predictions (user_id, created_at DESC)
"""
INSERT = "INSERT INTO predictions (id, user_id, request_hash, success, response_time_ms) VALUES (%s, %s, %s, true, %s)"
COUNT_THE_DAY = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
if used > tonumber(ARGV[1]) then redis.call('DECR', KEYS[1]) return -1 end
return used
"""
DAY_LIMIT = 1_000_000
DAY_SECONDS = 86_400


class Floor:
    """A WSGI callable. Connections are kept in stacks, so that the warmest one is used next."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.jwt_key = environ["JWT_SECRET_KEY"]
        self.signing_key = environ["PRIVATE_API_SECRET"].encode()
        self.private_host = urlsplit(environ["PRIVATE_API_URL"]).netloc
        self.database_url = environ["DATABASE_URL"]
        self.database: deque[psycopg2.extensions.connection] = deque()
        self.private: deque[HTTPConnection] = deque()
        pool = redis.BlockingConnectionPool.from_url(
            environ["REDIS_URL"],
            max_connections=64,
            timeout=1,
            socket_timeout=2,  # it has nothing to fall back on
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
        )
        self.redis = redis.Redis(connection_pool=pool)
        self.script = str(self.redis.script_load(COUNT_THE_DAY))

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        began = time.monotonic()
        try:
            token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
            claims = jwt.decode(token, self.jwt_key, algorithms=["HS256"], options={"require": ["sub", "exp"]})
        except jwt.InvalidTokenError:
            return answer(start_response, "401 Unauthorized", {"error": "invalid_token"})
        user = claims["sub"]
        request = orjson.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        day = f"day:{user}:{datetime.now(UTC).date()}"
        used = self.redis.evalsha(self.script, 1, day, str(DAY_LIMIT), str(DAY_SECONDS))
        if used == -1:
            return answer(start_response, "429 Too Many Requests", {"error": "rate_limit_exceeded"})
        request_id = str(uuid4())
        body = orjson.dumps(request)
        prediction = orjson.loads(self.ask_private_server(body, request_id))
        milliseconds = round((time.monotonic() - began) * 1000)
        self.insert(request_id, user, hashlib.sha256(body).hexdigest(), milliseconds)
        prediction["metadata"] = {"request_id": request_id, "response_time_ms": milliseconds}
        return answer(start_response, "200 OK", prediction)

    def ask_private_server(self, body: bytes, request_id: str) -> bytes:
        timestamp = str(int(time.time()))
        signature = hmac.new(self.signing_key, timestamp.encode() + b"\n" + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Request-ID": request_id,
            "X-Timestamp": timestamp,
            "X-Signature": signature,
        }
        try:
            connection = self.private.pop()
        except IndexError:
            connection = HTTPConnection(self.private_host, timeout=30)
        connection.request("POST", "/predict", body, headers)
        response = connection.getresponse()
        content = response.read()
        self.private.append(connection)
        if response.status != 200:
            raise RuntimeError(f"the private server answered {response.status}")
        return content

    def insert(self, *row: object) -> None:
        try:
            connection = self.database.pop()
        except IndexError:
            connection = psycopg2.connect(self.database_url)
            connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(INSERT, row)
        self.database.append(connection)


def answer(start_response: StartResponse, status: str, body: object) -> Iterable[bytes]:
    content = orjson.dumps(body)
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def create_floor() -> Floor:
    """What gunicorn calls in its worker."""
    return Floor(os.environ)
