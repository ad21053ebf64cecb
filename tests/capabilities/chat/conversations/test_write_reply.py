"""The rows with which a reply begins, when something changed since the request was looked at."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from capabilities.chat.conversations.branches import MOST_MESSAGES
from capabilities.chat.conversations.problems import ConversationFull
from capabilities.chat.models import Conversation
from capabilities.chat.replies.generation import Ids
from capabilities.chat.replies.write_reply import write_reply
from database import db, transaction
from database.base import uuid7
from providers.catalogue import Model
from security.edge.problems import NotFound
from tests.capabilities.chat.conversations.chats import BEGINNING, Person, Talk

MODEL = Model("openai", "gpt-6-luna", pictures=True)


def ids_in(person: Person, conversation_id: UUID) -> Ids:
    return Ids(person.id, conversation_id, uuid7(), uuid7())


def write(person: Person, ids: Ids, parent_id: UUID | None, **fields: Any) -> None:
    told = {"is_new": False, "content": "And then?", **fields}
    with person.chats.app.app_context():
        write_reply(
            db.engine, ids, parent_id=parent_id, model=MODEL, request_id=uuid4(), owner="here", now=BEGINNING, **told
        )


def messages_of(person: Person, conversation_id: UUID) -> list[tuple[Any, ...]]:
    asked = "SELECT id, parent_id, role, content, state FROM chat_messages WHERE conversation_id = :id ORDER BY id"
    return [tuple(row.values()) for row in person.chats.rows(asked, id=conversation_id)]


def test_a_message_and_its_reply_follow_what_is_shown(alice: Person) -> None:
    talk = alice.begins("Hello")
    ids = ids_in(alice, talk.id)
    write(alice, ids, talk.ids[0])
    assert messages_of(alice, talk.id)[1:] == [
        (ids.user_message_id, talk.ids[0], "user", "And then?", "complete"),
        (ids.message_id, ids.user_message_id, "assistant", "", "pending"),
    ]
    told = talk.read()
    shown = (told["title"], told["message_count"], told["current_leaf_id"])
    assert shown == ("Hello", 3, str(ids.message_id))


def test_another_version_of_a_reply_has_no_message_of_its_own(alice: Person) -> None:
    talk = alice.begins("Hello")
    ids = Ids(alice.id, talk.id, talk.ids[0], uuid7())
    write(alice, ids, talk.ids[0], content=None)
    assert [row[0] for row in messages_of(alice, talk.id)] == [talk.ids[0], ids.message_id]
    assert talk.read()["message_count"] == 2


@pytest.mark.parametrize("is_new", [False, True])
def test_written_twice_because_the_first_answer_was_lost_it_is_there_once(alice: Person, is_new: bool) -> None:
    ids = ids_in(alice, uuid7() if is_new else alice.begins().id)
    for _ in range(2):
        write(alice, ids, None, is_new=is_new)
    assert len(messages_of(alice, ids.conversation_id)) == 2 + (not is_new)
    told = Talk(alice, ids.conversation_id, []).read()
    assert (told["message_count"], told["title"]) == ((2, "And then?") if is_new else (3, "Hello"))


def test_what_was_deleted_meanwhile_is_not_found_and_nothing_is_written(alice: Person, bob: Person) -> None:
    talk, foreign = alice.begins(), bob.begins()
    for conversation_id, parent_id in (
        (talk.id, uuid7()),
        (talk.id, foreign.ids[0]),
        (foreign.id, None),
        (uuid7(), None),
    ):
        with pytest.raises(NotFound):
            write(alice, ids_in(alice, conversation_id), parent_id)
    assert [len(messages_of(alice, each)) for each in (talk.id, foreign.id)] == [1, 1]
    assert talk.read()["message_count"] == 1


def test_one_that_is_full_meanwhile_takes_no_more(alice: Person) -> None:
    talk = alice.begins()
    with alice.chats.app.app_context(), transaction() as session:
        session.execute(update(Conversation).values(message_count=MOST_MESSAGES - 1).where(Conversation.id == talk.id))
    with pytest.raises(ConversationFull):
        write(alice, ids_in(alice, talk.id), talk.ids[0])
    assert len(messages_of(alice, talk.id)) == 1
