"""Whoever listens hears of each change of a conversation, with its id and without its text."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any
from uuid import UUID

import psycopg
import pytest

from capabilities.chat.conversations.announce import CHANNEL, Change
from capabilities.chat.conversations.delete import delete_all
from database.base import utc_now
from tests.capabilities.chat.running_chat import MESSAGES, Customer, RunningChat

LAST = "last"
"""A channel of the test's own, for the realtime process hears the other one too."""
CONVERSATIONS = "/api/gateway/conversations"


class Listener:
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        connection.execute(f"LISTEN {CHANNEL}")
        connection.execute(f"LISTEN {LAST}")

    def heard(self) -> list[Change]:
        """Since the last time. They are told in the order in which they were committed."""
        self._connection.execute(f"NOTIFY {LAST}")
        notices = self._connection.notifies(timeout=30)
        return [Change.heard(notice.payload) for notice in takewhile(lambda notice: notice.channel != LAST, notices)]


@contextmanager
def listening(running: RunningChat) -> Iterator[Listener]:
    with psycopg.connect(running.url, autocommit=True) as connection:
        yield Listener(connection)


@pytest.mark.slow
def test_each_change_is_announced_once(running: RunningChat, alice: Customer) -> None:
    user_id = UUID(alice.id)
    with listening(running) as listener:
        sent = alice.send("what nobody else may read").get_json()
        conversation_id, reply = UUID(sent["conversation_id"]), sent["reply"]
        (began,) = listener.heard()
        assert (began.user_id, began.conversation_id, began.reply_id) == (user_id, conversation_id, UUID(reply["id"]))
        assert began.owner is not None
        changed = Change(user_id, conversation_id)
        own = f"{MESSAGES}/{sent['message']['id']}"
        for method, path, body in (
            ("PATCH", f"{CONVERSATIONS}/{conversation_id}", {"title": "Another"}),
            ("PATCH", f"{MESSAGES}/{reply['id']}", {"rating": 1}),
            ("PATCH", own, {"content": "better"}),
            ("DELETE", own, None),
            ("DELETE", f"{CONVERSATIONS}/{conversation_id}", None),
        ):
            answer = alice.call(method, path, json=body) if body else alice.call(method, path)
            assert answer.status_code < 300, answer.text
            assert (path, listener.heard()) == (path, [changed])
        made = alice.call("POST", CONVERSATIONS, json={}).get_json()
        assert listener.heard() == [Change(user_id, UUID(made["id"]))]
        for _ in range(2):
            alice.call("POST", CONVERSATIONS, json={})
        listener.heard()
        with running.app.app_context():
            delete_all(user_id, utc_now())
        assert listener.heard() == [Change(user_id, None)]


@pytest.mark.parametrize("body", [{"content": "x", "max_tokens": 1_000_000}, {"content": "x", "model": "gpt-none"}])
def test_what_was_refused_is_not_announced(running: RunningChat, alice: Customer, body: dict[str, Any]) -> None:
    with listening(running) as listener:
        assert alice.call("POST", MESSAGES, json=body).status_code == 422
        assert listener.heard() == []
