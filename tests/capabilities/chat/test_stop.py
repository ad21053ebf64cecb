"""POST /api/gateway/chat/messages/{id}/stop, at any process."""

import pytest

from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.conftest import Start
from tests.capabilities.chat.running_chat import Customer, RunningChat

ENDLESS = NextAnswer(endless=True, tokens_per_second=200, chunk_tokens=2)


@pytest.mark.slow
@pytest.mark.parametrize("with_redis", [True, False])
def test_another_process_stops_it(running: RunningChat, start: Start, redis_url: str, *, with_redis: bool) -> None:
    first, second = (start(redis_url), start(redis_url)) if with_redis else (start(), start())
    alice = running.register()
    running.ai.next.add(ENDLESS)
    events = alice.elsewhere(first).stream()
    message_id = events.until("delta").id.partition(":")[0]  # type: ignore[union-attr]
    stopped = alice.elsewhere(second).stop(message_id).get_json()
    assert stopped["state"] == "stopped"
    events.to_end()
    assert (events.last.data["state"], events.text) == ("stopped", stopped["content"])
    assert running.ai.books.wait_for_end(3)
    assert alice.used()["token"] == stopped["usage"]["input_tokens"] + stopped["usage"]["output_tokens"]


def test_a_reply_that_ended_is_told_as_it_is(alice: Customer) -> None:
    reply = alice.send().get_json()["reply"]
    assert alice.stop(reply["id"]).get_json() == reply


def test_a_process_that_is_told_to_stop_takes_no_more_and_ends_what_runs(
    running: RunningChat, alice: Customer, start: Start
) -> None:
    ending = start(CHAT_DRAIN_S="0")
    alice = alice.elsewhere(ending)
    running.ai.next.add(ENDLESS)
    events = alice.stream()
    events.until("delta")
    for drain in ending.app.extensions["drains"]:
        drain.drain()
    events.to_end()
    assert (events.last.data["state"], events.last.data["retryable"]) == ("stopped", True)
    refused = alice.send()
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    follower = alice.elsewhere(running).follow(events.seen[0].data["message_id"])
    assert follower.to_end()[-1].data == {**events.last.data, "remaining": None}
