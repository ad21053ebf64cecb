"""A conversation that is deleted while a reply is written in it."""

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
