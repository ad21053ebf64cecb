"""GET /api/gateway/chat/messages/{id}/stream: a reply is taken up again from any of its bytes, at any process."""

from collections.abc import Callable, Iterator
from random import Random

import pytest

from capabilities.chat.replies.sweep import sweep_replies
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.valkey import EmbeddedValkey
from tests.capabilities.chat.conftest import Start
from tests.capabilities.chat.running_chat import Customer, RunningChat

TEXT = "".join(f"{number}: √π ≈ 1.772 · größer · 答え 😀\n" for number in range(30))
RUNNING = NextAnswer(text=TEXT, chunk_tokens=2, tokens_per_second=150)
"""For two seconds."""
CUTS = 100


def boundaries(text: str) -> list[int]:
    """Where characters begin, in bytes."""
    positions, at = [], 0
    for character in text:
        positions.append(at)
        at += len(character.encode())
    return [*positions, at]


def assert_can_be_cut_anywhere(
    alice: Customer, others: list[Customer], half_way: Callable[[], None] = lambda: None
) -> None:
    """At a hundred random places, each time going on at another of the processes. Of the event in which it is cut, what comes behind
    is thrown away.
    """
    message_id = alice.stream().until("start").data["message_id"]
    random = Random(message_id)
    text = b""
    for number, cut in enumerate(sorted(random.sample(boundaries(TEXT), CUTS))):
        if number == CUTS // 2:
            half_way()
        events = random.choice(others).follow(message_id, Last_Event_ID=f"{message_id}:{len(text)}")
        coming = iter(events)
        while len(text) < cut:
            event = next(coming)
            if event.name == "delta":
                text += event.data["text"].encode()
                assert event.position == len(text)
        text = text[:cut]
        events.answer.close()
    rest = others[0].follow(message_id, len(text))
    rest.to_end()
    assert rest.last.name == "end"
    assert (text + rest.text.encode()).decode() == TEXT == alice.message(message_id)["content"]


@pytest.mark.slow
def test_it_is_cut_and_taken_up_again_at_the_same_process(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(RUNNING)
    assert_can_be_cut_anywhere(alice, [alice])


@pytest.mark.slow
def test_it_is_cut_and_taken_up_again_at_another_process(running: RunningChat, start: Start, redis_url: str) -> None:
    alice = running.register()
    running.ai.next.add(RUNNING)
    assert_can_be_cut_anywhere(alice, [alice, alice.elsewhere(start(redis_url))])


@pytest.mark.slow
def test_without_redis_it_is_taken_up_again_from_the_row(running: RunningChat, start: Start) -> None:
    first, second = start(), start()
    alice = running.register()
    running.ai.next.add(RUNNING)
    assert_can_be_cut_anywhere(alice.elsewhere(first), [alice.elsewhere(first), alice.elsewhere(second)])


@pytest.fixture
def redis_of_test(own_valkey: EmbeddedValkey) -> Iterator[EmbeddedValkey]:
    yield own_valkey


@pytest.mark.slow
def test_it_is_cut_and_taken_up_again_while_redis_is_killed(
    running: RunningChat, start: Start, redis_of_test: EmbeddedValkey
) -> None:
    first, second = start(redis_of_test.url), start(redis_of_test.url)
    alice = running.register()
    running.ai.next.add(RUNNING)
    others = [alice.elsewhere(first), alice.elsewhere(second)]
    assert_can_be_cut_anywhere(others[0], others, redis_of_test.kill)


@pytest.mark.slow
def test_redis_may_be_killed_in_the_middle(running: RunningChat, start: Start, redis_of_test: EmbeddedValkey) -> None:
    first, second = start(redis_of_test.url), start(redis_of_test.url)
    alice = running.register()
    running.ai.next.add(NextAnswer(text=TEXT, chunk_tokens=2, tokens_per_second=150))
    local = alice.elsewhere(first).stream()
    message_id = local.until("start").data["message_id"]
    follower = alice.elsewhere(second).follow(message_id)
    assert follower.until("delta").data["text"]
    redis_of_test.kill()
    follower.to_end()
    local.to_end()
    assert (local.last.name, follower.last.name) == ("end", "end")
    assert (local.text, follower.text) == (TEXT, TEXT)


def test_a_reply_that_ended_is_read_like_one_that_runs(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(text=TEXT))
    events = alice.stream()
    events.to_end()
    message_id = events.seen[0].data["message_id"]
    for position in Random(1).sample(boundaries(TEXT), 10):
        rest = alice.follow(message_id, position)
        rest.to_end()
        assert rest.text.encode() == TEXT.encode()[position:]
        assert len(rest.seen) == 2 + bool(rest.text)
        # Who asks in the moment after the end may still be told what is left.
        assert {**rest.last.data, "remaining": None} == {**events.last.data, "remaining": None}


@pytest.mark.parametrize("at", ["inside", "beyond", "negative", "foreign", "garbled"])
def test_a_position_that_the_text_does_not_have_is_refused(running: RunningChat, alice: Customer, at: str) -> None:
    running.ai.next.add(NextAnswer(text=TEXT))
    message_id = alice.send().get_json()["reply"]["id"]
    size = len(TEXT.encode())
    inside = next(each for each in range(size) if each not in boundaries(TEXT))
    answer = {
        "inside": lambda: alice.try_to_follow(message_id, inside),
        "beyond": lambda: alice.try_to_follow(message_id, size + 1),
        "negative": lambda: alice.try_to_follow(message_id, -1),
        "foreign": lambda: alice.try_to_follow(message_id, Last_Event_ID="01900000-0000-7000-8000-000000000000:0"),
        "garbled": lambda: alice.try_to_follow(message_id, Last_Event_ID=f"{message_id}:-1"),
    }[at]()
    assert answer.status_code == 422, answer.text


def test_a_message_of_ones_own_has_no_stream(running: RunningChat, alice: Customer) -> None:
    assert alice.try_to_follow(alice.send().get_json()["message"]["id"]).status_code == 404


def test_a_reply_whose_process_is_silent_has_failed(running: RunningChat, alice: Customer) -> None:
    message_id = alice.send().get_json()["reply"]["id"]
    running.rows(
        "UPDATE chat_messages SET state = 'streaming', owner = 'gone', owner_until = now() - interval '1 second' WHERE id = %s",
        message_id,
    )
    events = alice.follow(message_id)
    events.to_end()
    assert [each.name for each in events.seen] == [None, "delta", "error"]
    assert events.last.data["error"] == "reply_interrupted"
    with running.app.app_context():
        assert sweep_replies() == 1


def test_readers_are_few_enough_for_the_threads(running: RunningChat, alice: Customer, start: Start) -> None:
    small = start(CHAT_MAX_STREAMS="2")
    alice = alice.elsewhere(small)
    running.ai.next.add(NextAnswer(hold=True))
    first = alice.stream()
    message_id = first.until("start").data["message_id"]
    second = alice.follow(message_id)
    assert (alice.try_to_follow(message_id).status_code, alice.send().status_code) == (503, 503)
    second.answer.close()
    running.ai.next.release()
    assert alice.follow(message_id).to_end()[-1].name == "end"
    first.to_end()
