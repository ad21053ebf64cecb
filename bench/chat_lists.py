"""How long a user's conversations take to list, read and search among ten thousand messages, and among a million."""

import secrets

from bench.few_and_many import Lists, compare_sizes
from bench.processors import Processors
from bench.services import Services

LISTS = Lists(
    rows="messages",
    few=10_000,
    many=1_000_000,
    under="/api/gateway",
    paths=(
        "conversations",
        "conversations?pinned=true",
        "conversations/{example}/messages",
        "conversations/{example}/messages?branch=all&limit=200",
        "chat/search?q=everywhere",
        "chat/search?q=seldom",
        "chat/search?q=nowhere",
        "chat/search?q=everywhere+seldom&limit=200",
    ),
    example="SELECT id::text FROM chat_conversations WHERE user_id = (SELECT id FROM users) LIMIT 1",
    environment={
        "CAPABILITIES": "chat",
        "OPENAI_API_KEY": f"sk-{secrets.token_hex(20)}",
        "OPENAI_BASE_URL": "http://127.0.0.1:9",
    },
    # `own` conversations are of the one who asks, in both, evenly among those of the others; each has `length` messages.
    given={"own": 50, "length": 20, "users": 1_000},
    fill=(
        # As a restore does it: the rows first, then what finds them.
        "SET session_replication_role = replica",
        "DROP INDEX ix_chat_messages_search, ix_chat_messages_conversation_id_parent_id_id",
        """
        INSERT INTO chat_conversations (
            id, user_id, title, title_source, pinned, current_leaf_id, message_count, last_message_at, created_at, updated_at
        )
        SELECT lpad(to_hex(n), 32, '0')::uuid,
               CASE WHEN n %% (%(rows)s / %(length)s / %(own)s) = 0 THEN %(owner)s::uuid
                    ELSE lpad(to_hex(1 + n %% %(users)s), 32, '0')::uuid END,
               'Conversation ' || n, 'user', n / (%(rows)s / %(length)s / %(own)s) %% 10 = 0,
               lpad(to_hex(n * %(length)s + %(length)s - 1), 32, '0')::uuid, %(length)s, at, at, at
        FROM generate_series(1, %(rows)s / %(length)s) AS n, LATERAL (
            SELECT now() - (1 - n / (%(rows)s / %(length)s)::float8) * interval '365 days' AS at
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
        "CREATE INDEX ix_chat_messages_conversation_id_parent_id_id ON chat_messages (conversation_id, parent_id, id)",
        """
        CREATE INDEX ix_chat_messages_search ON chat_messages USING gin (search) WITH (fastupdate = off)
        WHERE search IS NOT NULL
        """,
        "VACUUM (ANALYZE)",
    ),
)


def chat_lists(services: Services, _processors: Processors) -> bool:
    """Print the table."""
    return compare_sizes(LISTS, services)
