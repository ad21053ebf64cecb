"""What operators see of replies, and what readers see while there is nothing to read."""

from dataclasses import replace

import pytest

from admin.assembled import ASSEMBLED
from capabilities.chat import CHAT
from capabilities.chat.metrics import READERS, REPLIES
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.running_chat import OPENAI_MODEL, Customer, RunningChat
from tests.capabilities.chat.test_completions import complete
from tests.metering.limit_backends import eventually
from tests.metric_values import rising

LONG = NextAnswer(tokens=40, chunk_tokens=10)


def ended(state: str, reason: str) -> str:
    return f'provider="openai",state="{state}",reason="{reason}"'


def now(running: RunningChat) -> tuple[float, float]:
    """Replies and readers."""
    shown = {each.gauge: each.read() for each in running.app.extensions[ASSEMBLED].built[CHAT].live}
    return shown[REPLIES], shown[READERS]


def test_a_reply_is_counted_by_how_it_ended(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(LONG, times=2)
    running.ai.next.add(replace(LONG, cut_after_chunks=1))
    running.ai.next.add(replace(LONG, stall_after_chunks=1))
    with rising(
        mirroros_chat_replies_ended_total={
            ended("complete", "stop"): 2,
            ended("failed", "connection_lost"): 1,
            ended("stopped", "user"): 1,
        },
        mirroros_chat_first_text_seconds_count={'provider="openai"': 4},
        mirroros_chat_added_seconds_count={"": 4},
        mirroros_chat_deltas_total={"": 4 + 4 + 1 + 1},
    ):
        assert (alice.send(model=OPENAI_MODEL).status_code, complete(alice).status_code) == (200, 200)
        assert alice.send(model=OPENAI_MODEL).status_code == 502
        events = alice.stream(model=OPENAI_MODEL)
        alice.stop(events.until("delta").id.partition(":")[0])  # type: ignore[union-attr]
        events.to_end()


def test_replies_and_readers_of_now_are_shown(running: RunningChat, alice: Customer) -> None:
    eventually(lambda: now(running) == (0, 0))
    running.ai.next.add(NextAnswer(hold=True))
    events = alice.stream()
    message_id = events.until("start").data["message_id"]
    follower = alice.follow(message_id)
    assert now(running) == (1, 2)
    follower.answer.close()
    running.ai.next.release()
    events.to_end()
    eventually(lambda: now(running) == (0, 0))  # readers are told of the end a moment before


def test_a_silence_is_filled_with_comments(
    running: RunningChat, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("replies.events", "completions.completion"):
        monkeypatch.setattr(f"capabilities.chat.{module}.PING_SECONDS", 0.05)
    running.ai.next.add(NextAnswer(hold=True))
    events = alice.stream()
    assert [next(iter(events)).name for _ in range(3)] == ["start", None, None]
    running.ai.next.release()
    assert events.to_end()[-1].name == "end"
    running.ai.next.add(NextAnswer(hold=True))
    answer = complete(alice, stream=True)
    parts = answer.iter_encoded()
    assert next(parts) == b": ping\n\n"
    running.ai.next.release()
    assert b"".join(parts).endswith(b"data: [DONE]\n\n")
