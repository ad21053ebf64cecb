"""The messages of a conversation: read by branches, rated, edited, deleted."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest

from capabilities.chat.models import MessageRole, MessageState
from tests.capabilities.chat.conversations.chats import Chats, Person, Talk

ID_OF = "CAST(:salt || lpad(to_hex({}), 8, '0') AS uuid)"


def messages(talk: Talk, **query: object) -> list[dict[str, Any]]:
    answer = talk.person.get(f"{talk.path}/messages", **query)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.get_json()["messages"]
    return rows


def pages(talk: Talk, **query: object) -> list[str]:
    """The contents of all pages of two."""
    seen: list[str] = []
    cursor: dict[str, object] = {}
    for _ in range(20):
        page = talk.person.get(f"{talk.path}/messages", limit=2, **query, **cursor).get_json()
        seen += [each["content"] for each in page["messages"]]
        if page["next_cursor"] is None:
            return seen
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the pages have no end")


def branched(person: Person) -> Talk:
    """q - a - b - c, and two more versions of `a`, of which the last is shown: a2, a3 - d."""
    talk = person.begins("q")
    for content in ("a", "b", "c"):
        talk.say(content)
    talk.say("a2", talk.ids[0])
    talk.say("a3", talk.ids[0])
    talk.say("d")
    return talk


def test_the_current_branch_is_read_from_its_end(alice: Person) -> None:
    talk = branched(alice)
    assert talk.contents() == ["d", "a3", "q"]
    assert pages(talk) == ["d", "a3", "q"]
    alice.patch(talk.path, {"current_leaf_id": str(talk.ids[1])})
    assert pages(talk, branch="current") == ["c", "b", "a", "q"]


def test_every_branch_is_read(alice: Person) -> None:
    assert pages(branched(alice), branch="all") == ["d", "a3", "a2", "c", "b", "a", "q"]


def test_each_message_knows_its_versions(alice: Person) -> None:
    talk = branched(alice)
    q, a, _, _, a2, a3, d = map(str, talk.ids)
    beginning = str(talk.say("q2", at_beginning=True))
    told = {each["content"]: each["sibling_ids"] for each in messages(talk, branch="all")}
    assert (told["a"], told["a2"], told["a3"], told["d"]) == ([a, a2, a3], [a, a2, a3], [a, a2, a3], [d])
    assert told["q"] == told["q2"] == [q, beginning]
    assert [each["parent_id"] for each in messages(talk)] == [None]


def test_a_message_tells_what_is_known_of_it(alice: Person, chats: Chats) -> None:
    talk = alice.begins("question")
    reply = talk.say("answer")
    chats.do(
        "UPDATE chat_messages SET model = 'm', provider = 'p', finish_reason = 'stop', input_tokens = 5, output_tokens = 7,"
        " estimated = true, price_micros = 25000, cost_micros = 99 WHERE id = :id",
        id=reply,
    )
    told, own = messages(talk)
    assert (told["usage"], told["cost_cents"]) == ({"input_tokens": 5, "output_tokens": 7, "estimated": True}, 2.5)
    assert (told["role"], told["state"], told["model"], told["finish_reason"]) == ("assistant", "complete", "m", "stop")
    assert (own["usage"], own["role"], own["sibling_ids"]) == (None, "user", [own["id"]])
    assert "cost_micros" not in told


def test_a_cursor_is_of_its_conversation(alice: Person) -> None:
    talk, other = branched(alice), alice.begins()
    for cursor in (other.ids[0], uuid4()):
        refused = alice.get(f"{talk.path}/messages", cursor=cursor)
        assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/cursor")
    assert alice.get(f"{talk.path}/messages", branch="none").status_code == 422


def test_a_conversation_without_messages_has_none(alice: Person) -> None:
    made = alice.post("/conversations", {}).get_json()
    for branch in ("current", "all"):
        answer = alice.get(f"/conversations/{made['id']}/messages", branch=branch)
        assert answer.get_json() == {"messages": [], "next_cursor": None}


def test_a_reply_is_rated(alice: Person) -> None:
    talk = alice.begins()
    path = f"/chat/messages/{talk.say('answer')}"
    rated = alice.patch(path, {"rating": 1, "rating_comment": "Good"})
    assert rated.status_code == 200, rated.text
    assert (rated.get_json()["rating"], rated.get_json()["rating_comment"]) == (1, "Good")
    again = alice.patch(path, {"rating": -1}).get_json()
    assert (again["rating"], again["rating_comment"], again["edited_at"]) == (-1, "Good", None)
    assert alice.patch(path, {"rating": 0, "rating_comment": None}).get_json()["rating_comment"] is None
    assert messages(talk)[0] == alice.patch(path, {"rating": 0}).get_json()


def test_a_message_of_ones_own_is_edited_in_place(alice: Person) -> None:
    talk = alice.begins("Where is Rome?")
    talk.say("In Italy")
    edited = alice.patch(f"/chat/messages/{talk.ids[0]}", {"content": "Where is Paris?"})
    assert edited.status_code == 200, edited.text
    assert (edited.get_json()["content"], edited.get_json()["edited_at"] is None) == ("Where is Paris?", False)
    assert talk.contents() == ["In Italy", "Where is Paris?"]
    assert [each["id"] for each in alice.get("/chat/search", q="paris").get_json()["messages"]] == [str(talk.ids[0])]


@pytest.mark.parametrize(
    ("own", "body", "pointer"),
    [
        (True, {"rating": 1}, "/rating"),
        (False, {"content": "Better"}, "/content"),
        (False, {"rating": 2}, "/rating"),
        (False, {"rating": "1"}, "/rating"),
        (False, {"rating": 0.5}, "/rating"),
        (False, {"rating_comment": "Good"}, "/rating"),
        (False, {"rating": 1, "rating_comment": "x" * 1001}, "/rating_comment"),
        (True, {"content": ""}, "/content"),
        (True, {"content": " \n "}, "/content"),
        (True, {"content": "x" * 32_001}, "/content"),
        (True, {"content": "x", "rating": 1}, ""),
        (True, {"content": "x", "model": "fast"}, "/model"),
        (True, {}, ""),
    ],
)
def test_changes_that_no_message_takes(asked: Talk, own: bool, body: dict[str, Any], pointer: str) -> None:
    before = messages(asked)
    refused = asked.person.patch(f"/chat/messages/{asked.ids[0 if own else 1]}", body)
    assert refused.status_code == 422, refused.text
    assert [each["pointer"] for each in refused.get_json()["errors"]] == [pointer]
    assert messages(asked) == before


@pytest.fixture(scope="module")
def asked(chats: Chats) -> Talk:
    talk = chats.register().begins()
    talk.say("answer")
    return talk


@pytest.mark.parametrize("state", [MessageState.PENDING, MessageState.STREAMING])
def test_nothing_is_changed_under_a_reply_that_is_being_written(alice: Person, state: MessageState) -> None:
    talk = alice.begins()
    reply = talk.say("so far", state=state)
    first, path = f"/chat/messages/{talk.ids[0]}", f"/chat/messages/{reply}"
    refusals = (
        alice.patch(path, {"rating": 1}),
        alice.patch(first, {"content": "another question"}),
        alice.delete(path),
        alice.delete(first),
    )
    for refused in refusals:
        assert (refused.status_code, refused.get_json()["error"]) == (409, "reply_running")
    assert talk.contents() == ["so far", "Hello"]


def test_a_message_goes_with_what_follows_and_another_version_is_shown(alice: Person) -> None:
    talk = branched(alice)
    *_, a2, a3, _ = talk.ids
    assert alice.delete(f"/chat/messages/{a3}").status_code == 204
    assert (talk.contents(), talk.read()["message_count"]) == (["a2", "q"], 5)
    assert alice.delete(f"/chat/messages/{a2}").status_code == 204
    assert (talk.contents(), talk.read()["message_count"]) == (["c", "b", "a", "q"], 4)


def test_the_oldest_version_makes_way_for_the_next_one(alice: Person) -> None:
    talk = alice.begins("q")
    first = talk.say("a")
    second = talk.say("a2", talk.ids[0])
    alice.patch(talk.path, {"current_leaf_id": str(first)})
    assert alice.delete(f"/chat/messages/{first}").status_code == 204
    assert talk.read()["current_leaf_id"] == str(second)


def test_an_only_version_makes_way_for_what_is_before_it(alice: Person) -> None:
    talk = alice.begins("q")
    answer = talk.say("a")
    talk.say("b")
    assert alice.delete(f"/chat/messages/{answer}").status_code == 204
    assert talk.read()["current_leaf_id"] == str(talk.ids[0])
    assert alice.delete(f"/chat/messages/{talk.ids[0]}").status_code == 204
    told = talk.read()
    assert (told["current_leaf_id"], told["message_count"]) == (None, 0)


def test_a_message_of_another_branch_goes_and_the_shown_one_stays(alice: Person) -> None:
    talk = branched(alice)
    leaf = talk.read()["current_leaf_id"]
    assert alice.delete(f"/chat/messages/{talk.ids[1]}").status_code == 204
    assert (talk.read()["current_leaf_id"], talk.contents(branch="all")) == (leaf, ["d", "a3", "a2", "q"])


def test_of_two_who_delete_at_once_each_message_is_counted_once(alice: Person) -> None:
    talk = branched(alice)
    with ThreadPoolExecutor(4) as threads:
        statuses = list(threads.map(lambda id_: alice.delete(f"/chat/messages/{id_}").status_code, talk.ids[1:5]))
    assert statuses.count(204) >= 2
    told = talk.read()
    assert told["message_count"] == len(talk.contents(branch="all")) == 3


def test_the_database_takes_no_parent_of_another_conversation(alice: Person, chats: Chats) -> None:
    talk, other = alice.begins(), alice.begins()
    with pytest.raises(Exception, match="fk_chat_messages_parent_id"):
        talk.say("lost", other.ids[0], role=MessageRole.USER)
    with pytest.raises(Exception, match="fk_chat_messages_conversation_id"):
        chats.do("UPDATE chat_messages SET user_id = :other WHERE id = :id", other=uuid4(), id=talk.ids[0])


@pytest.mark.slow
def test_the_longest_conversation_is_read_switched_and_deleted(alice: Person, chats: Chats) -> None:
    """5,000 messages, each below the one before it."""
    talk = deep(alice, chats, 5_000)
    assert talk.contents(limit=2) == ["4999", "4998"]
    assert alice.get(f"{talk.path}/export", format="markdown").text.count("\n## ") == 5_000
    assert len(alice.get(f"{talk.path}/export").get_json()["messages"]) == 5_000
    first = talk.ids[0]
    assert alice.patch(talk.path, {"current_leaf_id": str(first)}).status_code == 200
    assert alice.delete(f"/chat/messages/{first}").status_code == 204
    assert (talk.read()["message_count"], talk.contents()) == (0, [])


def deep(person: Person, chats: Chats, count: int) -> Talk:
    made = person.post("/conversations", {}).get_json()
    conversation_id = UUID(made["id"])
    chats.do(
        f"""
        INSERT INTO chat_messages (id, conversation_id, user_id, parent_id, role, content, state, created_at)
        SELECT {ID_OF.format("n")}, :talk, :user, CASE WHEN n > 0 THEN {ID_OF.format("n - 1")} END,
            CASE n % 2 WHEN 0 THEN 'user' ELSE 'assistant' END, n::text, 'complete', now()
        FROM generate_series(0, :last) AS n
        """,
        talk=conversation_id,
        user=person.id,
        last=count - 1,
        salt=conversation_id.hex[:24],
    )
    chats.do(
        "UPDATE chat_conversations SET message_count = :count, current_leaf_id ="
        " (SELECT id FROM chat_messages WHERE conversation_id = :talk ORDER BY id DESC LIMIT 1) WHERE id = :talk",
        count=count,
        talk=conversation_id,
    )
    rows = chats.rows("SELECT id FROM chat_messages WHERE conversation_id = :talk ORDER BY id", talk=conversation_id)
    return Talk(person, conversation_id, [row["id"] for row in rows])
