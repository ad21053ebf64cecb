"""How a reply can end, and what counts of it."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from admin.assembled import ASSEMBLED
from capabilities.chat import CHAT
from capabilities.chat.replies.running import RunningReplies
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.conftest import Start
from tests.capabilities.chat.running_chat import OPENAI_MODEL, Customer, RunningChat
from tests.metering.limit_backends import eventually

LONG = NextAnswer(tokens=40, chunk_tokens=2)


def ended(customer: Customer, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last event of a reply of one model, and its row."""
    events = customer.stream(**{"model": OPENAI_MODEL, **fields})
    events.to_end()
    (row,) = customer.running.rows("SELECT * FROM chat_messages WHERE id = %s", events.seen[0].data["message_id"])
    assert row["content"] == events.text
    return events.last.data, row


@pytest.mark.parametrize(
    ("answer", "finish"),
    [
        (LONG, "stop"),
        (NextAnswer(tokens=40, reasoning_tokens=30, cached_tokens=2), "stop"),
        (NextAnswer(tokens=400), "length"),
    ],
)
def test_complete_or_at_the_token_limit_the_providers_usage_counts(
    running: RunningChat, alice: Customer, answer: NextAnswer, finish: str
) -> None:
    running.ai.next.add(answer)
    told, row = ended(alice, max_tokens=100)
    assert (told["state"], told["finish_reason"]) == ("complete", finish)
    (entry,) = running.ai.books.billed
    assert (row["input_tokens"], row["output_tokens"]) == (entry.input_tokens, entry.output_tokens)
    assert alice.used() == {"call": 1, "token": entry.input_tokens + entry.output_tokens}
    (log,) = alice.log()
    assert (log["outcome"], log["cost_micros"]) == ("delivered", row["cost_micros"])


def test_without_usage_of_the_provider_it_is_estimated(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(text="x" * 41, usage="none"))
    told, _ = ended(alice, content="y" * 9)
    assert told["usage"] == {"input_tokens": 3, "output_tokens": 11, "estimated": True}
    assert alice.used()["token"] == 14


def test_usage_above_what_was_held_is_counted_in_full(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(tokens=40, usage="wrong"))
    told, _ = ended(alice, max_tokens=100)
    (entry,) = running.ai.books.billed
    assert (told["usage"]["output_tokens"], told["usage"]["estimated"]) == (10 * entry.output_tokens, False)
    assert alice.used()["token"] == 10 * (entry.input_tokens + entry.output_tokens)
    assert (alice.log()[0]["outcome"], alice.held()) == ("delivered", 0)


def test_stopped_before_the_provider_was_asked_nothing_counts(running: RunningChat, alice: Customer) -> None:
    loop_is_held, let_go = threading.Event(), threading.Event()

    async def hold() -> None:
        loop_is_held.set()
        let_go.wait(10)

    replies: RunningReplies = running.app.extensions[ASSEMBLED].built[CHAT].drains[0]
    replies._loop.start(hold())
    assert loop_is_held.wait(10)
    events = alice.stream()
    message_id = events.until("start").data["message_id"]
    generation = replies.of(UUID(message_id))
    assert generation is not None
    with ThreadPoolExecutor(1) as thread:
        stopped = thread.submit(alice.stop, message_id)
        eventually(lambda: generation.stop_reason)
        let_go.set()
        assert stopped.result().get_json()["state"] == "stopped"
    assert events.to_end()[-1].data["state"] == "stopped"
    assert (running.ai.books.entries, alice.used(), alice.log(), alice.held()) == ([], {}, [], 0)


@pytest.mark.parametrize("model", [OPENAI_MODEL, pytest.param("claude-haiku-5-5", marks=pytest.mark.slow)])
def test_stopped_counts_what_was_received(running: RunningChat, alice: Customer, model: str) -> None:
    running.ai.next.add(replace(LONG, stall_after_chunks=3))
    events = alice.stream("y" * 9, model=model)
    message_id = events.until("delta").id.partition(":")[0]  # type: ignore[union-attr]
    stopped = alice.stop(message_id).get_json()
    assert stopped["state"] == "stopped"
    events.to_end()
    assert (events.last.name, events.last.data["state"], events.text) == ("end", "stopped", stopped["content"])
    assert stopped["usage"]["estimated"]
    assert stopped["usage"]["output_tokens"] == -(-len(stopped["content"].encode()) // 4)
    assert alice.used() == {"call": 1, "token": sum(list(stopped["usage"].values())[:2])}
    assert running.ai.books.wait_for_end()
    assert running.ai.books.entries[0].client_left_at is not None
    (log,) = alice.log()
    assert log["outcome"] == "cut_short"
    assert alice.stop(message_id).get_json() == stopped


@pytest.mark.slow
def test_stopped_before_the_request_left_nothing_counts(running: RunningChat, alice: Customer, start: Start) -> None:
    """The provider has taken the connection, and says nothing of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as provider:
        elsewhere = start(OPENAI_BASE_URL=f"https://127.0.0.1:{provider.getsockname()[1]}/v1")
        alice = alice.elsewhere(elsewhere)
        events = alice.stream(model=OPENAI_MODEL, key="stopped-early")
        message_id = events.until("start").data["message_id"]
        connection, _ = provider.accept()
        with connection:
            stopped = alice.stop(message_id).get_json()
    assert events.to_end()[-1].data["state"] == stopped["state"] == "stopped"
    assert (stopped["content"], stopped["usage"]) == ("", {"input_tokens": 0, "output_tokens": 0, "estimated": False})
    assert (alice.used(), alice.held(), alice.log()) == ({}, 0, [])
    again = alice.elsewhere(running).send(model=OPENAI_MODEL, key="stopped-early")
    assert (again.status_code, again.get_json()["reply"]["state"]) == (200, "complete")


def test_stopped_after_the_request_left_the_prompt_counts(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(hold=True))
    events = alice.stream("y" * 9, model=OPENAI_MODEL)
    message_id = events.until("start").data["message_id"]
    assert running.ai.books.wait_for(1)
    stopped = alice.stop(message_id).get_json()
    assert (stopped["state"], stopped["usage"]) == (
        "stopped",
        {"input_tokens": 3, "output_tokens": 0, "estimated": True},
    )
    events.to_end()
    assert alice.used() == {"call": 1, "token": 3}


def test_a_reader_that_goes_away_changes_nothing(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(replace(LONG, hold=True))
    events = alice.stream()
    started = events.until("start").data
    events.answer.close()
    running.ai.next.release()
    follower = alice.follow(started["message_id"])
    follower.to_end()
    assert (follower.last.name, follower.last.data["state"]) == ("end", "complete")
    assert alice.used()["call"] == 1


REFUSED = [
    (NextAnswer(status=429), "service_busy"),
    (NextAnswer(status=500), "provider_failed"),
    (NextAnswer(status=401), "provider_misconfigured"),
    (NextAnswer(reset=True), "provider_failed"),
    (NextAnswer(finish="content_filter"), "content_refused"),
]


@pytest.mark.parametrize(("answer", "error"), REFUSED)
def test_refused_before_the_first_byte_nothing_counts(
    running: RunningChat, alice: Customer, answer: NextAnswer, error: str
) -> None:
    running.ai.next.add(answer)
    told, row = ended(alice)
    assert (told["error"], row["state"], row["error_code"]) == (error, "failed", error)
    assert told["message_id"] == str(row["id"])
    assert (alice.used().get("call"), alice.used().get("token"), alice.held()) == (None, None, 0)
    assert len(running.ai.books.entries) == 1


def test_another_model_of_the_alias_is_tried_once(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(status=500), times=3)
    told, row = ended(alice, model="fast")
    assert (told["error"], row["state"], row["provider"]) == ("provider_failed", "failed", "anthropic")
    assert [entry.face for entry in running.ai.books.entries] == ["openai", "anthropic"]
    assert (alice.used(), alice.held()) == ({"failure": 1}, 0)


def test_as_json_a_failure_is_an_answer_of_its_own(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(status=500))
    answer = alice.send(model=OPENAI_MODEL)
    assert (answer.status_code, answer.get_json()["error"]) == (502, "provider_failed")
    assert alice.message(answer.get_json()["message_id"])["state"] == "failed"


BROKEN = [
    replace(LONG, cut_after_chunks=3),
    replace(LONG, end_after_chunks=3),
    replace(LONG, error_after_chunks=3),
    replace(LONG, garbage_after_chunks=3),
]


@pytest.mark.parametrize("answer", BROKEN)
def test_broken_after_the_first_byte_the_text_stays_and_nothing_counts(
    running: RunningChat, alice: Customer, answer: NextAnswer
) -> None:
    running.ai.next.add(answer)
    told, row = ended(alice)
    assert (row["state"], row["error_code"]) == ("failed", told["error"])
    assert (len(row["content"]), row["cost_micros"] > 0) == (24, True)
    assert (alice.used().get("token"), alice.used()["failure"], alice.held()) == (None, 1, 0)
    assert len(running.ai.books.entries) == 1


@pytest.mark.slow
def test_a_silence_in_a_reply_ends_it(running: RunningChat, start: Start) -> None:
    impatient = start(CHAT_IDLE_TIMEOUT_S="1")
    alice = running.register().elsewhere(impatient)
    running.ai.next.add(replace(LONG, stall_after_chunks=3))
    told, row = ended(alice)
    assert (told["error"], row["state"], len(row["content"])) == ("request_timeout", "failed", 24)
    assert (alice.used().get("token"), alice.held()) == (None, 0)


@pytest.mark.slow
def test_after_twenty_failures_of_an_hour_no_more_are_tried(running: RunningChat) -> None:
    alice = running.register()
    running.ai.next.add(NextAnswer(cut_after_chunks=1), times=20)
    for _ in range(20):
        ended(alice)
    refused = alice.send()
    assert (refused.status_code, refused.get_json()["error"]) == (429, "too_many_failures")
