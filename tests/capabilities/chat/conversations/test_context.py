"""What of a branch a model is sent."""

import pytest

from capabilities.chat.conversations.context import Context, context_of, tokens_of
from capabilities.chat.models import MessageRole, MessageState
from database import db
from tests.capabilities.chat.conversations.chats import Chats, Person, Talk


def context(talk: Talk, most: int, leaf: int = -1) -> Context:
    with talk.person.chats.app.app_context():
        return context_of(db.engine, talk.id, talk.ids[leaf], most)


def texts(told: Context) -> list[str]:
    return [turn.text for turn in told.turns]


@pytest.mark.parametrize(("text", "tokens"), [("", 16), ("a", 17), ("ab", 17), ("abc", 18), ("é", 17), ("😀", 18)])
def test_tokens_are_half_the_bytes_rounded_up_and_sixteen(text: str, tokens: int) -> None:
    assert tokens_of(len(text.encode())) == tokens


def test_the_newest_messages_that_fit(alice: Person) -> None:
    talk = alice.begins("a" * 4)
    for content in ("b" * 4, "c" * 4, "d" * 4, "e" * 4):
        talk.say(content)
    each = tokens_of(4)
    assert texts(context(talk, 5 * each)) == ["aaaa", "bbbb", "cccc", "dddd", "eeee"]
    three = context(talk, 5 * each - 1)
    assert (texts(three), three.sent, three.dropped) == (["cccc", "dddd", "eeee"], 3, 2)
    assert [turn.role for turn in three.turns] == [MessageRole.USER, MessageRole.ASSISTANT, MessageRole.USER]
    assert context(talk, 3 * each) == three
    assert (context(talk, each).sent, context(talk, each - 1).sent) == (1, 0)


def test_other_branches_and_replies_without_text_are_left_out(alice: Person) -> None:
    talk = alice.begins("question")
    talk.say("in another branch")
    talk.say("", talk.ids[0], state=MessageState.FAILED)
    talk.say("again")
    told = context(talk, 10_000)
    assert (texts(told), told.dropped) == (["question", "again"], 0)


def test_what_is_long_counts_by_its_bytes(alice: Person, chats: Chats) -> None:
    talk = alice.begins("😀" * 8_000)
    talk.say("short")
    most = tokens_of(4 * 8_000) + tokens_of(5)
    assert (context(talk, most).sent, context(talk, most - 1).sent) == (2, 0)
