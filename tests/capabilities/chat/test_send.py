"""POST /api/gateway/chat/messages: one message, one reply, as JSON or as events."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import random
from threading import Barrier
from time import sleep

import pytest

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.conftest import Start
from tests.capabilities.chat.running_chat import EVENT_STREAM, MESSAGES, OPENAI_MODEL, Customer, RunningChat

MANY = 50
SENDS = 200
SHORT = NextAnswer(text="Hello, Alice. 答え 😀", chunk_tokens=1)


def test_a_message_without_a_conversation_makes_one_and_gets_a_reply(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(SHORT)
    answer = alice.send("What is it?\nSay it.")
    assert answer.status_code == 200, answer.text
    told = answer.get_json()
    assert (told["message"]["content"], told["message"]["parent_id"]) == ("What is it?\nSay it.", None)
    reply = told["reply"]
    assert (reply["content"], reply["state"], reply["finish_reason"]) == (SHORT.text, "complete", "stop")
    assert (reply["parent_id"], reply["model"]) == (told["message"]["id"], OPENAI_MODEL)
    (entry,) = running.ai.books.billed
    assert reply["usage"] == {
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "estimated": False,
    }
    assert alice.used() == {"call": 1, "token": entry.input_tokens + entry.output_tokens}
    assert alice.held() == 0
    assert {"day", "tokens", "burst", "concurrency"} <= set(
        answer.headers["RateLimit-Policy"].replace('"', " ").split()
    )
    (conversation,) = running.rows("SELECT * FROM chat_conversations WHERE id = %s", told["conversation_id"])
    assert (conversation["title"], conversation["message_count"]) == ("What is it?", 2)
    assert str(conversation["current_leaf_id"]) == reply["id"]


def test_events_carry_the_text_and_where_each_ends(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(SHORT)
    events = alice.stream()
    assert (events.answer.headers["Content-Type"], events.answer.headers["Cache-Control"]) == (
        "text/event-stream",
        "no-store",
    )
    assert events.answer.headers["X-Accel-Buffering"] == "no"
    first, *deltas, last = events.to_end()
    assert (first.name, last.name) == ("start", "end")
    assert events.text == SHORT.text
    sizes = [len(each.data["text"].encode()) for each in deltas]
    assert [each.position for each in deltas] == [sum(sizes[: each + 1]) for each in range(len(sizes))]
    assert {each.id.partition(":")[0] for each in deltas if each.id} == {first.data["message_id"]}
    stored = alice.message(first.data["message_id"])
    assert (stored["content"], stored["id"]) == (SHORT.text, first.data["message_id"])
    assert last.data["usage"] == stored["usage"]
    assert (last.data["state"], last.data["finish_reason"], last.data["cost_cents"]) == ("complete", "stop", 0)
    used = replace(alice, before={}).used()
    assert last.data["remaining"] == {"messages": 5_000 - used["call"], "tokens": 10_000_000 - used["token"]}


def test_a_reply_can_be_asked_for_as_events_in_the_body(running: RunningChat, alice: Customer) -> None:
    assert alice.send(stream=True).headers["Content-Type"] == "text/event-stream"
    both = alice.call(
        "POST", MESSAGES, headers={"Accept": "text/event-stream, application/json"}, json={"content": "x"}
    )
    assert both.headers["Content-Type"] == "application/json"


def test_a_conversation_goes_on_where_it_is_and_the_model_sees_it(running: RunningChat, alice: Customer) -> None:
    first = alice.send("one").get_json()
    second = alice.stream("two", conversation_id=first["conversation_id"])
    start = second.until("start").data
    second.to_end()
    assert start["context"] == {"sent": 3, "dropped": 0}
    assert alice.message(start["user_message_id"])["parent_id"] == first["reply"]["id"]
    branched = alice.send(
        "another", conversation_id=first["conversation_id"], parent_id=first["reply"]["id"]
    ).get_json()
    assert branched["message"]["sibling_ids"] == [start["user_message_id"], branched["message"]["id"]]
    anew = alice.send("from the start", conversation_id=first["conversation_id"], parent_id=None).get_json()
    assert anew["message"]["sibling_ids"] == [first["message"]["id"], anew["message"]["id"]]


def test_another_version_of_a_reply_becomes_its_sibling(running: RunningChat, alice: Customer) -> None:
    first = alice.send("one").get_json()
    again = alice.call("POST", f"{MESSAGES}/regenerate", json={"conversation_id": first["conversation_id"]}).get_json()
    assert again["message"]["id"] == first["message"]["id"]
    assert again["reply"]["sibling_ids"] == [first["reply"]["id"], again["reply"]["id"]]
    named = {"conversation_id": first["conversation_id"], "message_id": first["reply"]["id"]}
    third = alice.call("POST", f"{MESSAGES}/regenerate", json=named, headers=EVENT_STREAM)
    assert third.status_code == 200
    assert b"event: end" in third.data
    assert alice.used()["call"] == 3


@pytest.mark.slow
def test_many_sends_with_one_key_are_one_call_one_message_and_many_readers(
    running: RunningChat, start: Start, redis_url: str
) -> None:
    """At two processes."""
    alice, other = running.register(), start(redis_url)
    running.ai.next.add(NextAnswer(tokens=60, chunk_tokens=1, tokens_per_second=60))

    def send(number: int) -> str:
        events = (alice if number % 2 else alice.elsewhere(other)).stream("once", key="one-key")
        events.to_end()
        assert events.last.name == "end", events.last
        return events.text

    with ThreadPoolExecutor(MANY) as threads:
        texts = set(threads.map(send, range(MANY)))
    message, reply = running.rows("SELECT * FROM chat_messages WHERE user_id = %s ORDER BY id", alice.id)
    assert (message["role"], reply["role"], texts) == ("user", "assistant", {reply["content"]})
    assert len(running.ai.books.entries) == 1
    assert alice.used()["call"] == 1
    later = alice.send("once", key="one-key")
    assert (later.get_json()["reply"]["id"], later.headers["Idempotency-Replayed"]) == (str(reply["id"]), "true")
    assert alice.send("twice", key="one-key").status_code == 422
    assert len(running.ai.books.entries) == 1


def test_a_budget_for_less_shortens_the_reply_and_says_so(running: RunningChat) -> None:
    bob = running.register(Tier.FREE)
    running.rows(
        "INSERT INTO usage_counters (user_id, feature, unit, window, used)"
        " VALUES (%s, 'chat', 'token', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 49850)".replace(
            "window", '"window"'
        ),
        bob.id,
    )
    running.ai.next.add(NextAnswer(tokens=500))
    events = bob.stream("x")
    events.to_end()
    start, end = events.seen[0].data, events.last.data
    assert (start["max_tokens"], start["max_tokens_reduced"]) == (150 - 17, True)
    assert end["finish_reason"] == "length"
    refused = bob.send("x")
    assert (refused.status_code, refused.headers["X-RateLimit-Policy"]) == (429, "tokens")


def test_a_repeated_request_gets_the_running_reply_of_a_conversation_too(running: RunningChat, alice: Customer) -> None:
    """Though its last message is then a reply that is still being written."""
    conversation = alice.send().get_json()["conversation_id"]
    running.ai.next.add(NextAnswer(hold=True))
    first = alice.stream("again", key="in-a-conversation", conversation_id=conversation)
    started = first.until("start").data
    second = alice.stream("again", key="in-a-conversation", conversation_id=conversation)
    assert second.until("start").data["message_id"] == started["message_id"]
    assert alice.send("other", key="in-a-conversation", conversation_id=conversation).status_code == 422
    assert alice.send("again", key="another", conversation_id=conversation).status_code == 409
    running.ai.next.release()
    last = second.to_end()[-1]  # first what was begun last: Flask's contexts are a stack in each thread
    assert (last.name, first.to_end()[-1].name, first.text) == ("end", "end", second.text)
    assert alice.used()["call"] == 2


@pytest.mark.slow
def test_two_hundred_parallel_sends_do_not_overspend_a_budget_for_ten(running: RunningChat) -> None:
    """Of many lengths. What is left between the least and the most that each asks for is granted. Who is told that too many run at
    once asks again, until it is the tokens that are used up.
    """
    alice = running.register()
    left = 10 * (17 + 100)
    counted = (
        'INSERT INTO usage_counters (user_id, feature, unit, "window", used)'
        " VALUES (%s, 'chat', 'token', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD'), %s)"
    )
    running.rows(counted, alice.id, 10_000_000 - left)
    alice = alice.from_now_on()
    for number in range(SENDS):
        running.ai.next.add(NextAnswer(tokens=1 + number * 7 % 150))
    together = Barrier(SENDS)

    def send(number: int) -> str:
        together.wait(30)
        while True:
            answer = alice.send("x" * (1 + number % 40), max_tokens=100)
            if answer.status_code == 200:
                return "answered"
            if (policy := answer.headers["X-RateLimit-Policy"]) != "concurrency":
                return policy
            sleep(random())

    with ThreadPoolExecutor(SENDS) as threads:
        ended = Counter(threads.map(send, range(SENDS)))
    assert ended.keys() == {"answered", "tokens"}
    assert ended["answered"] >= 8
    billed = sum(entry.input_tokens + entry.output_tokens for entry in running.ai.books.billed)
    assert alice.used() == {"call": ended["answered"], "token": billed}
    assert (billed <= left, alice.held()) == (True, 0)


@pytest.mark.slow
def test_the_other_model_of_an_alias_replies_when_the_first_refuses(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(face="openai", status=503))
    told = alice.send().get_json()
    assert (told["reply"]["state"], told["reply"]["provider"]) == ("complete", "anthropic")
    refused, answered = running.ai.books.entries
    assert (refused.face, refused.status, answered.status) == ("openai", 503, 200)
    assert alice.used()["call"] == 1


BAD = [
    ({"content": ""}, 422),
    ({"content": "x" * 32_001}, 422),
    ({"content": "\0"}, 400),
    ({"content": "\ud800"}, 400),
    ({"content": "x", "colour": "red"}, 422),
    ({"content": "x", "max_tokens": 0}, 422),
    ({"content": "x", "max_tokens": 16_385}, 422),
    ({"content": "x", "temperature": 2.1}, 422),
    ({"content": "x", "model": "nobody"}, 422),
    ({"content": "x", "conversation_id": "01900000-0000-7000-8000-000000000000"}, 404),
    ({"content": "x", "parent_id": "01900000-0000-7000-8000-000000000000"}, 422),
]


@pytest.mark.parametrize(("body", "status"), BAD)
def test_a_bad_message_is_refused_and_costs_nothing(
    running: RunningChat, alice: Customer, body: dict[str, object], status: int
) -> None:
    answer = alice.call("POST", MESSAGES, json=body)
    assert answer.status_code == status, answer.text
    assert (running.ai.books.entries, alice.used(), alice.held()) == ([], {}, 0)


def test_nothing_of_another_person_can_be_named(running: RunningChat, alice: Customer) -> None:
    told = alice.send().get_json()
    running.ai.books.clear()
    bob = running.register()
    conversation, reply = told["conversation_id"], told["reply"]["id"]
    own = bob.send().get_json()["conversation_id"]
    tried = [
        bob.send(conversation_id=conversation),
        bob.send(conversation_id=own, parent_id=reply),
        bob.call("POST", f"{MESSAGES}/regenerate", json={"conversation_id": conversation}),
        bob.call("GET", f"{MESSAGES}/{reply}"),
        bob.try_to_follow(reply),
        bob.stop(reply),
    ]
    assert [each.status_code for each in tried] == [404] * 6
    assert len(running.ai.books.entries) == 1


def test_a_reply_is_not_answered_before_it_has_ended(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(hold=True))
    events = alice.stream()
    started = events.until("start").data
    refused = [
        alice.send(conversation_id=started["conversation_id"]),
        alice.send(conversation_id=started["conversation_id"], parent_id=started["message_id"]),
        alice.call("POST", f"{MESSAGES}/regenerate", json={"conversation_id": started["conversation_id"]}),
    ]
    assert [each.status_code for each in refused] == [409] * 3
    running.ai.next.release()
    assert events.to_end()[-1].name == "end"
