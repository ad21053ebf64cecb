"""The search in what a user and the models wrote."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from capabilities.chat.conversations.bodies import FoundIn, FoundMessage, SearchAnswer, SearchQuery, SnippetPart
from capabilities.chat.models import SEARCHED_CHARACTERS, MessageRole
from database import reading
from database.pages import page_of

BEGIN, END = "\x02", "\x03"
"""Around each word that matches: nothing that a text has, for they are taken out of it first."""
BEFORE, AROUND = 300, 1_000
"""Characters."""

FIND: Final = text(f"""
WITH found AS MATERIALIZED (
    SELECT id FROM chat_messages
    WHERE search @@ (CAST(:owner AS tsquery) && websearch_to_tsquery('simple', :q))
        AND numnode(websearch_to_tsquery('simple', :q)) > 0
        AND user_id = :user_id AND created_at >= :since AND created_at < :until
), page AS (
    SELECT id FROM found WHERE id < :before ORDER BY id DESC LIMIT :most
)
SELECT message.id, message.role, message.created_at, message.conversation_id, conversation.title,
    ts_headline(
        'simple', translate(substring(content FROM greatest(coalesce(place.at, 1) - {BEFORE}, 1) FOR {AROUND}), :marks, ''),
        websearch_to_tsquery('simple', :q),
        'MaxFragments=1, MaxWords=30, MinWords=10, ShortWord=0, StartSel={BEGIN}, StopSel={END}'
    ) AS snippet
FROM page JOIN chat_messages AS message USING (id) JOIN chat_conversations AS conversation ON conversation.id = conversation_id
LEFT JOIN LATERAL (
    SELECT strpos(text, word) AS at
    FROM lower(left(content, {SEARCHED_CHARACTERS})) AS text, unnest(tsvector_to_array(to_tsvector('simple', :q))) AS word
    WHERE strpos(text, word) > 0 ORDER BY length(word) DESC LIMIT 1
) AS place ON true
ORDER BY message.id DESC
""")  # nosec B608 # noqa: S608 - constants of ours
"""First whatever the index finds, and only then the newest of it: walking from the newest message down until enough have the words
would read all of them where few do, and PostgreSQL cannot know that. Snippets are made of a piece around the longest word: of
whole messages, 200 of them can take seconds.
"""
LATEST = UUID(int=2**128 - 1)
FIRST_MOMENT, LAST_MOMENT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def given_of(user_id: UUID, wanted: SearchQuery) -> dict[str, Any]:
    """What FIND is executed with."""
    return {
        "owner": f"'{user_id}'",
        "user_id": user_id,
        "q": wanted.q,
        "since": FIRST_MOMENT if wanted.from_ is None else _midnight(wanted.from_),
        "until": (
            LAST_MOMENT if wanted.to is None or wanted.to == date.max else _midnight(wanted.to + timedelta(days=1))
        ),
        "before": wanted.cursor or LATEST,
        "most": wanted.limit + 1,
        "marks": BEGIN + END,
    }


def search(user_id: UUID, wanted: SearchQuery) -> SearchAnswer:
    """The newest first."""
    with reading() as session:
        rows = session.execute(FIND, given_of(user_id, wanted)).all()
    page = page_of(
        [
            FoundMessage(
                id=row.id,
                conversation=FoundIn(id=row.conversation_id, title=row.title),
                role=MessageRole(row.role),
                created_at=row.created_at,
                snippet=parts_of(row.snippet),
            )
            for row in rows
        ],
        wanted.limit,
    )
    return SearchAnswer(messages=list(page.items), next_cursor=page.next_cursor)


def parts_of(snippet: str) -> list[SnippetPart]:
    parts = []
    for piece in snippet.split(BEGIN):
        matched, end, rest = piece.rpartition(END)
        parts += [(matched, True), (rest, False)] if end else [(piece, False)]
    return [SnippetPart(text=words, match=match) for words, match in parts if words]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
