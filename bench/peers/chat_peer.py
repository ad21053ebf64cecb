"""The chat peer: its tables, its environment, and proof that it does the work it is measured for.

It checks a JWT and the owner of the conversation, sends the model the newest messages of it, saves the user's message before the call
and the reply at its end, adds each chunk to a Redis stream, and goes on when the reader leaves. It leaves out what the API does beside
that: limits of messages, tokens, bursts and replies at once, holds that are exact among many processes, Idempotency-Key, stopping a
reply, other models when one fails, time limits and the circuit breaker, the state of account and session, branches, taking a reply up
again, the text in the row while the reply is generated, cost, metrics, security headers and log lines.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Final
from uuid import UUID, uuid4

import jwt
import psycopg2
import redis
from psycopg2.extras import execute_values

from bench.callers import message_request
from bench.load import ask_once
from bench.peers.check import PeerDoesOtherWork
from bench.peers.install import PYTHON
from bench.stream_load import Crowd
from bench.targets import Addresses

CONVERSATION: Final = "INSERT INTO conversations (id, user_id) VALUES %s"
TABLES: Final = """
DROP TABLE IF EXISTS messages;
DROP TABLE IF EXISTS conversations;
CREATE TABLE conversations (id uuid PRIMARY KEY, user_id uuid NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON conversations (user_id, updated_at);
CREATE TABLE messages (
    id uuid PRIMARY KEY, number bigint GENERATED ALWAYS AS IDENTITY, conversation_id uuid NOT NULL REFERENCES conversations,
    user_id uuid NOT NULL, parent_id uuid, role text NOT NULL, content text NOT NULL, state text NOT NULL, input_tokens integer,
    output_tokens integer, created_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz
);
CREATE INDEX ON messages (conversation_id, number);
"""


def command(fd: int) -> tuple[str, ...]:
    return (str(PYTHON), "-m", "bench.peers.chat_server", str(fd))


def environment(addresses: Addresses, provider: Mapping[str, str], *, jwt_key: str, token: str) -> dict[str, str]:
    """`token`: one of the API's, which says whose tokens are taken. Creates the tables."""
    with closing(psycopg2.connect(addresses.database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
    claims = jwt.decode(token, options={"verify_signature": False})
    return {
        **provider,
        "JWT_SECRET_KEY": jwt_key,
        "JWT_ISSUER": claims["iss"],
        "JWT_AUDIENCE": claims["aud"],
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
    }


def user_of(token: str) -> str:
    return str(jwt.decode(token, options={"verify_signature": False})["sub"])


def add_conversations(database_url: str, insert: str, tokens: Sequence[str]) -> list[UUID]:
    """One for each token, by a statement that takes (id, user_id)."""
    made = [(uuid4(), user_of(token)) for token in tokens]
    with closing(psycopg2.connect(database_url)) as connection, connection, connection.cursor() as cursor:
        execute_values(cursor, insert, [(str(each), user) for each, user in made], page_size=5000)
    return [each for each, _ in made]


def check(port: int, addresses: Addresses, *, jwt_key: str, tokens: Sequence[str]) -> None:
    """`tokens` of two users. Raises PeerDoesOtherWork."""
    mine, foreign = add_conversations(addresses.database_url, CONVERSATION, tokens)
    first = message_request(tokens[0], mine, 3)
    claims = jwt.decode(tokens[0], options={"verify_signature": False})
    forged = jwt.encode(claims, secrets.token_urlsafe(48), "HS256")
    ended = jwt.encode({**claims, "exp": int(time.time()) - 1}, jwt_key, "HS256")
    for status, token, conversation in ((401, forged, mine), (401, ended, mine), (404, tokens[0], foreign)):
        found, body = ask_once(port, message_request(token, conversation, 3), timeout=10)
        if found != status:
            raise PeerDoesOtherWork(f"the chat peer answers {found} instead of {status}: {body[:300]!r}")
    crowd = Crowd(port, [first])
    crowd.grow(1, 1000)
    crowd.finish(10)
    crowd.close()
    if crowd.failures or len(crowd.delay_ms) != 3:
        raise PeerDoesOtherWork(f"the chat peer streams {len(crowd.delay_ms)} pieces of 3: {crowd.failures}")
    with closing(psycopg2.connect(addresses.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id::text, state, content FROM messages WHERE role = 'assistant'")
        ((reply, state, content),) = cursor.fetchall()
    with closing(redis.Redis.from_url(addresses.redis_url, decode_responses=True)) as copies:
        entries: Any = copies.xrange(f"reply:{reply}")
        copied = "".join(fields["text"] for _, fields in entries)
    if state != "complete" or content.count(" ") != 3 or copied != content:
        raise PeerDoesOtherWork(f"the chat peer keeps {state} {content!r} and {copied!r}")
