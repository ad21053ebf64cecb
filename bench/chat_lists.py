"""How long a user's conversations take to list, read and search among ten thousand messages, and among a million."""

import secrets
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter

import psycopg2
from flask.testing import FlaskClient
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from app import assemble
from auth.tiers import Tier
from bench.analytics import ROUNDS, timed
from bench.callers import HOST
from bench.processors import Processors
from bench.services import Services
from bench.targets import Addresses, gateway_target
from config import load_settings

FEW, MANY = 10_000, 1_000_000
OWN = 50
"""Conversations of the one who asks, in both, evenly among those of the others."""
LENGTH = 20
"""Messages of each conversation."""
USERS = 1_000
PATHS = (
    "conversations",
    "conversations?pinned=true",
    "conversations/{conversation}/messages",
    "conversations/{conversation}/messages?branch=all&limit=200",
    "chat/search?q=everywhere",
    "chat/search?q=seldom",
    "chat/search?q=nowhere",
    "chat/search?q=everywhere+seldom&limit=200",
)

FILL = (
    # As a restore does it: the rows first, then what finds them.
    "SET session_replication_role = replica",
    "DROP INDEX ix_chat_messages_search, ix_chat_messages_conversation_id_parent_id_id",
    """
    INSERT INTO chat_conversations (
        id, user_id, title, title_source, pinned, current_leaf_id, message_count, last_message_at, created_at, updated_at
    )
    SELECT lpad(to_hex(n), 32, '0')::uuid,
           CASE WHEN n %% (%(conversations)s / %(own)s) = 0 THEN %(owner)s::uuid
                ELSE lpad(to_hex(1 + n %% %(users)s), 32, '0')::uuid END,
           'Conversation ' || n, 'user', n / (%(conversations)s / %(own)s) %% 10 = 0,
           lpad(to_hex(n * %(length)s + %(length)s - 1), 32, '0')::uuid, %(length)s, at, at, at
    FROM generate_series(1, %(conversations)s) AS n, LATERAL (
        SELECT now() - (1 - n / %(conversations)s::float8) * interval '365 days' AS at
    ) AS moment
    """,
    """
    INSERT INTO chat_messages (id, conversation_id, user_id, parent_id, role, content, state, created_at)
    SELECT lpad(to_hex(number), 32, '0')::uuid, talk.id, talk.user_id,
           CASE WHEN n > 0 THEN lpad(to_hex(number - 1), 32, '0')::uuid END,
           CASE n %% 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
           'everywhere ' || CASE WHEN n = 7 THEN 'seldom ' ELSE '' END || (
               SELECT string_agg('word' || number * prime %% 20011, ' ')
               FROM unnest(ARRAY[7919, 7927, 7933, 7937, 7949, 7951, 7963, 7993, 8009, 8011, 8017, 8039]) AS prime
           ), 'complete', talk.last_message_at
    FROM chat_conversations AS talk, generate_series(0, %(length)s - 1) AS n, LATERAL (
        SELECT ('x' || right(talk.id::text, 12))::bit(48)::bigint * %(length)s + n AS number
    ) AS of_message
    """,
    """
    CREATE INDEX ix_chat_messages_conversation_id_parent_id_id ON chat_messages (conversation_id, parent_id, id)
    """,
    """
    CREATE INDEX ix_chat_messages_search ON chat_messages USING gin (search) WITH (fastupdate = off)
    WHERE search IS NOT NULL
    """,
    "VACUUM (ANALYZE)",
)


@dataclass(frozen=True)
class Conversations:
    client: FlaskClient
    token: str
    conversation: str
    """The id of one."""

    def milliseconds(self, path: str) -> float:
        began = perf_counter()
        answer = self.client.get(
            f"/api/gateway/{path.format(conversation=self.conversation)}",
            headers={"Authorization": f"Bearer {self.token}"},
            base_url=f"https://{HOST}",
        )
        took = (perf_counter() - began) * 1000
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
        return took


def chat_lists(services: Services, _processors: Processors) -> bool:
    """Print the table."""
    few, many = (filled(services, messages) for messages in (FEW, MANY))
    print(f"{'path':60}{f'{FEW:,}':>10}{f'{MANY:,}':>12}  ratio   (ms, medians of {ROUNDS})")
    for path in PATHS:
        pairs = [(few.milliseconds(path), many.milliseconds(path)) for _ in range(ROUNDS)]
        small, large = (median(times) for times in zip(*pairs, strict=True))
        ratio = median(large / small for small, large in pairs)
        print(f"{path:60}{small:10.1f}{large:12.1f}{ratio:7.2f}", flush=True)
    return True


def filled(services: Services, messages: int) -> Conversations:
    """An application on a database with so many messages."""
    url = services.postgres.ensure_database(f"chat_{messages}")
    target = gateway_target(Addresses(url, services.redis_url(9), "http://127.0.0.1:9", secrets.token_urlsafe(48)))
    (token,) = target.tokens(1, Tier.FREE)  # it migrates the database
    chat = {
        "CAPABILITIES": "chat",
        "OPENAI_API_KEY": f"sk-{secrets.token_hex(20)}",
        "OPENAI_BASE_URL": "http://127.0.0.1:9",
    }
    app = assemble(load_settings({**target.environment, **chat, "LOG_LEVEL": "ERROR"}))
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        print(f"{messages:,} messages: written in {timed(partial(fill, connection, messages)):.0f} s")
        with connection.cursor() as cursor:
            cursor.execute("SELECT id::text FROM chat_conversations WHERE user_id = (SELECT id FROM users) LIMIT 1")
            (conversation,) = cursor.fetchone() or ("",)
    return Conversations(app.test_client(), token, conversation)


def fill(connection: Connection, messages: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id::text FROM users")
        (owner,) = cursor.fetchone() or ("",)
        conversations = messages // LENGTH
        for statement in FILL:
            given = {"conversations": conversations, "own": OWN, "length": LENGTH, "owner": owner, "users": USERS}
            cursor.execute(statement, given)
