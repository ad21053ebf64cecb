"""GET /api/gateway/chat/search, and how PostgreSQL finds what is listed and searched."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, select, text
from sqlalchemy.dialects import postgresql

from capabilities.chat.conversations.bodies import SearchQuery
from capabilities.chat.conversations.branches import branch, subtree
from capabilities.chat.conversations.search import FIND, given_of
from capabilities.chat.models import ChatMessage, Conversation, MessageState
from database import reading
from tests.capabilities.chat.conversations.chats import BEGINNING, Chats, Person, Talk


def found(person: Person, q: str, **query: object) -> list[str]:
    """The snippets, with the words that match in brackets."""
    answer = person.get("/chat/search", q=q, **query)
    assert answer.status_code == 200, answer.text
    return ["".join(marked(part) for part in each["snippet"]) for each in answer.get_json()["messages"]]


def marked(part: dict[str, Any]) -> str:
    return f"[{part['text']}]" if part["match"] else str(part["text"])


def test_words_are_found_in_what_both_wrote_the_newest_first(alice: Person) -> None:
    talk = alice.begins("Where is Rome?")
    talk.say("Rome is in Italy.")
    talk.say("And Paris?")
    answer = alice.get("/chat/search", q="rome").get_json()
    newest, first = answer["messages"]
    assert newest == {
        "id": str(talk.ids[1]),
        "conversation": {"id": str(talk.id), "title": "Where is Rome?"},
        "role": "assistant",
        "created_at": "2026-03-01T12:01:00Z",
        "snippet": [{"text": "Rome", "match": True}, {"text": " is in Italy", "match": False}],
    }
    assert (first["id"], answer["next_cursor"]) == (str(talk.ids[0]), None)


@pytest.mark.parametrize(
    ("q", "texts"),
    [
        ("ROME italy", ["[Rome] is in [Italy]"]),
        ('"in italy"', ["Rome is [in] [Italy]"]),
        ('"italy in"', []),
        ("paris or rome", ["[Paris] x", "[Rome] is in Italy"]),
        ("is -rome", []),
        ("ital", []),
        ("!!! ???", []),
        ("-rome", ["Paris x"]),
        ("zürich", []),
        ("'; DROP TABLE chat_messages; --", []),
        ("& | ! ( ) : * <->", []),
        ("\x02rome\x03", ["[Rome] is in Italy"]),
    ],
)
def test_what_is_asked_for(two_cities: Person, q: str, texts: list[str]) -> None:
    assert [" ".join(each.split()) for each in found(two_cities, q)] == texts


@pytest.fixture(scope="module")
def two_cities(chats: Chats) -> Person:
    person = chats.register()
    person.begins("Rome is in Italy").say("Paris \x02<b>x</b>\x03")
    return person


def test_nobody_finds_what_others_wrote(alice: Person, bob: Person) -> None:
    alice.begins("a secret word")
    assert (found(bob, "secret"), found(bob, str(alice.id)), found(bob, f"'{alice.id}'")) == ([], [], [])
    assert found(bob, "secret or secret") == found(bob, "-nothing") == []


def test_a_snippet_is_a_piece_around_the_word(alice: Person) -> None:
    alice.begins(f"{'before ' * 2000}needle {'after ' * 2000}")
    (snippet,) = found(alice, "needle")
    assert "[needle]" in snippet
    assert len(snippet) < 500


def test_days_bound_the_search(alice: Person) -> None:
    for day, name in enumerate(("first", "second", "third")):
        alice.begins(f"{name} word", BEGINNING + timedelta(days=day))
    assert found(alice, "word", **{"from": "2026-03-02"}) == ["third [word]", "second [word]"]
    assert found(alice, "word", to="2026-03-02") == ["second [word]", "first [word]"]
    assert found(alice, "word", **{"from": "2026-03-02", "to": "2026-03-02"}) == ["second [word]"]
    assert len(found(alice, "word", **{"from": "0001-01-01", "to": "9999-12-31"})) == 3
    assert found(alice, "word", **{"from": "2026-03-03", "to": "2026-03-01"}) == []


def test_it_goes_on_page_by_page(alice: Person) -> None:
    for name in ("first", "second", "third", "fourth"):
        alice.begins(f"{name} word")
    first = alice.get("/chat/search", q="word", limit=3).get_json()
    assert [each["snippet"][0]["text"] for each in first["messages"]] == ["fourth ", "third ", "second "]
    assert found(alice, "word", limit=3, cursor=first["next_cursor"]) == ["first [word]"]


def test_a_reply_is_found_once_it_has_ended(alice: Person, chats: Chats) -> None:
    talk = alice.begins("question")
    reply = talk.say("answer", state=MessageState.STREAMING)
    assert found(alice, "answer") == []
    chats.do("UPDATE chat_messages SET state = 'stopped' WHERE id = :id", id=reply)
    assert found(alice, "answer") == ["[answer]"]


def test_the_longest_replies_can_be_kept(alice: Person) -> None:
    """A tsvector of a megabyte would be refused: each word is another one, and each counts twice."""
    words = " ".join(f"\U00020000{n:x}-\U00020000{n:x}" for n in range(100_000))
    alice.begins("question").say(words)
    assert len(found(alice, "question")) == 1


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"q": ""},
        {"q": "  "},
        {"q": "x" * 201},
        {"q": "a\0b"},
        {"q": "x", "limit": 201},
        {"q": "x", "cursor": "1"},
        {"q": "x", "from": "yesterday"},
        {"q": "x", "to": "2026-02-30"},
        {"q": "x", "colour": "red"},
    ],
)
def test_queries_that_no_search_takes(talker: Talk, query: dict[str, object]) -> None:
    assert talker.person.get("/chat/search", **query).status_code == 422


@pytest.fixture(scope="module")
def crowd(chats: Chats) -> Person:
    """Somebody with 100 messages among 10,000 of 100 others."""
    person = chats.register()
    chats.do("""
        INSERT INTO users (id, email, email_key, created_at, updated_at)
        SELECT gen_random_uuid(), 'crowd' || n, 'crowd' || n, now(), now() FROM generate_series(1, 100) AS n
        """)
    chats.do(
        """
        INSERT INTO chat_conversations (id, user_id, last_message_at, created_at, updated_at)
        SELECT gen_random_uuid(), id, now() - n * interval '1 hour', now(), now()
        FROM users, generate_series(1, 10) AS n WHERE email LIKE 'crowd%' OR id = :id
        """,
        id=person.id,
    )
    chats.do("""
        INSERT INTO chat_messages (id, conversation_id, user_id, role, content, state, created_at)
        SELECT gen_random_uuid(), id, user_id, 'user', 'common words ' || n, 'complete', now()
        FROM chat_conversations, generate_series(1, 10) AS n
        """)
    chats.do("ANALYZE chat_conversations")
    chats.do("ANALYZE chat_messages")
    return person


@pytest.mark.slow
def test_a_search_looks_into_the_index_alone(crowd: Person, chats: Chats) -> None:
    wanted = SearchQuery(q="common")
    plan = nodes(chats, FIND.text, given_of(crowd.id, wanted))
    assert "ix_chat_messages_search" in indexes(plan)
    assert scanned(plan) <= 3 * len(found(crowd, "common", limit=200)), plan


@pytest.mark.slow
def test_lists_and_branches_read_their_indexes(crowd: Person, chats: Chats) -> None:
    talk = crowd.begins()
    for _ in range(30):
        talk.say("more")
    newest = (Conversation.last_message_at.desc(), Conversation.id.desc())
    mine = select(Conversation.id).where(Conversation.user_id == crowd.id).order_by(*newest).limit(3)
    messages = select(ChatMessage.id).where(ChatMessage.conversation_id == talk.id).order_by(ChatMessage.id.desc())
    up, down = branch(talk.id, talk.ids[-1]), subtree(talk.id, talk.ids[0])
    queries: dict[str, tuple[Select[Any], int]] = {
        "ix_chat_conversations_user_id_last_message_at": (mine, 3),
        "uq_chat_messages_conversation_id_id": (messages.limit(3), 3),
        "pk_chat_messages uq_chat_messages_conversation_id_id": (select(up.c.id), 31),
        "ix_chat_messages_conversation_id_parent_id_id": (select(down.c.id), 31),
    }
    for index, (query, rows) in queries.items():
        plan = nodes(chats, literal(query), {})
        assert set(index.split()) & indexes(plan), plan
        assert scanned(plan) <= rows, plan


def nodes(chats: Chats, query: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the plan that was carried out."""
    with chats.app.app_context(), reading() as session:
        (plan,) = session.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}"), values).scalar_one()
    waiting, seen = [plan["Plan"]], []
    while waiting:
        seen.append(waiting.pop())
        waiting += seen[-1].get("Plans", [])
    return seen


def literal(query: Select[Any]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def indexes(plan: list[dict[str, Any]]) -> set[str]:
    return {each["Index Name"] for each in plan if "Index Name" in each}


def scanned(plan: list[dict[str, Any]]) -> int:
    """Rows of chat's tables that were read. PostgreSQL says how many it were on average in each turn of a loop."""
    of_tables = [each for each in plan if str(each.get("Relation Name", "")).startswith("chat_")]
    read = (each["Actual Rows"] + each.get("Rows Removed by Filter", 0) for each in of_tables)
    return sum(round(rows * each["Actual Loops"]) for rows, each in zip(read, of_tables, strict=True))
