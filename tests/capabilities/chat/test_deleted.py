"""A conversation that is deleted while a reply is written in it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.running_chat import Customer, RunningChat
from tests.metering.limit_backends import eventually


@pytest.mark.slow
def test_the_reply_is_stopped_and_holds_nothing(running: RunningChat) -> None:
    alice: Customer = running.register()
    running.ai.next.add(NextAnswer(endless=True, tokens_per_second=200, chunk_tokens=2))
    events = alice.stream()
    start, _ = events.until("start"), events.until("delta")
    assert alice.held() > 0
    deleted = alice.call("DELETE", f"/api/gateway/conversations/{start.data['conversation_id']}")
    assert deleted.status_code == 204
    events.to_end()
    assert running.ai.books.wait_for_end(3)
    assert eventually(lambda: alice.held() == 0)
    assert running.rows("SELECT id FROM chat_messages WHERE user_id = %s", alice.id) == []
    (row,) = alice.log()
    assert row["outcome"] in {"delivered", "cut_short"}


@pytest.mark.slow
@pytest.mark.parametrize("deleted", [False, True])
def test_the_provider_is_asked_while_the_row_of_the_reply_is_written(running: RunningChat, *, deleted: bool) -> None:
    """Which here has to wait for somebody else who has the conversation."""
    alice: Customer = running.register()
    conversation_id = alice.send().get_json()["conversation_id"]
    counted, text = alice.used(), "word " * 40
    running.ai.next.add(NextAnswer(endless=True, tokens_per_second=200) if deleted else NextAnswer(text=text))
    with (
        closing(psycopg2.connect(running.url)) as connection,
        connection.cursor() as cursor,
        ThreadPoolExecutor(1) as one,
    ):
        cursor.execute("SELECT 1 FROM chat_conversations WHERE id = %s FOR UPDATE", (conversation_id,))
        sent = one.submit(alice.send, conversation_id=conversation_id)
        assert running.ai.books.wait_for(2)
        assert eventually(lambda: running.ai.books.entries[1].chunks > 0)
        if deleted:
            cursor.execute("DELETE FROM chat_conversations WHERE id = %s", (conversation_id,))
        connection.commit()
        answer = sent.result(20)
    assert running.ai.books.wait_for_end(3)
    assert eventually(lambda: alice.held() == 0)
    if deleted:
        assert (answer.status_code, answer.get_json()["error"]) == (404, "not_found")
        assert running.ai.books.entries[1].client_left_at is not None
        assert alice.used() == counted
    else:
        assert answer.get_json()["reply"]["content"] == text
        assert alice.used()["call"] == counted["call"] + 1
