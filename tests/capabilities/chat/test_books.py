"""GET /api/gateway/chat/usage, the log and the counters, beside what the provider bills."""

from dataclasses import replace
from typing import Any

from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.running_chat import MESSAGES, OPENAI_MODEL, Customer, RunningChat
from tests.capabilities.chat.test_completions import chunks_of, complete

LONG = NextAnswer(tokens=40, chunk_tokens=2)


def usage(customer: Customer) -> dict[str, Any]:
    answer = customer.call("GET", "/api/gateway/chat/usage")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def complete_ones(running: RunningChat, alice: Customer) -> int:
    """Messages and completions that came to their end: what the provider bills for them."""
    running.ai.next.add(replace(LONG, reasoning_tokens=5, cached_tokens=2), times=5)
    first = alice.send("one", model=OPENAI_MODEL)
    again = {"conversation_id": first.get_json()["conversation_id"], "model": OPENAI_MODEL}
    answers = [first, alice.call("POST", f"{MESSAGES}/regenerate", json=again), complete(alice)]
    assert [each.status_code for each in answers] == [200] * 3
    assert alice.stream("two", model=OPENAI_MODEL).to_end()[-1].name == "end"
    assert chunks_of(complete(alice, stream=True))
    billed = running.ai.books.billed
    assert len(billed) == 5
    return sum(entry.input_tokens + entry.output_tokens for entry in billed)


def stopped_ones(running: RunningChat, alice: Customer) -> None:
    """By their user, and a completion by its reader, who went away."""
    running.ai.next.add(replace(LONG, stall_after_chunks=3), times=2)
    events = alice.stream("y" * 9, model=OPENAI_MODEL)
    alice.stop(events.until("delta").id.partition(":")[0])  # type: ignore[union-attr]
    events.to_end()
    left = complete(alice, stream=True)
    assert b'"content":"' in next(left.iter_encoded())
    left.close()


def failed_ones(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(status=500), times=2)
    running.ai.next.add(replace(LONG, cut_after_chunks=3), times=2)
    for _ in range(2):
        assert alice.send(model=OPENAI_MODEL).status_code == 502
        assert complete(alice).status_code == 502


def test_usage_counters_and_log_agree_with_the_provider(running: RunningChat, alice: Customer) -> None:
    before = usage(alice)
    billed = complete_ones(running, alice)
    stopped_ones(running, alice)
    failed_ones(running, alice)
    assert running.ai.books.wait_for_end()
    log = alice.log()
    assert [each["outcome"] for each in log] == ["delivered"] * 5 + ["cut_short"] * 2 + ["failed"] * 4
    of_rows = [sum(each["units"][unit] for unit in ("input_tokens", "output_tokens")) for each in log[:7]]
    assert sum(of_rows[:5]) == billed
    assert all(0 < ours <= 3 + 6 for ours in of_rows[5:])

    told = usage(alice)
    used = {unit: told[unit]["used"] - before[unit]["used"] for unit in ("messages", "tokens")}
    assert used == {"messages": 7, "tokens": sum(of_rows)}
    assert (told["messages"]["held"], told["tokens"]["held"]) == (0, 0)
    assert alice.used() == {"call": 7, "token": sum(of_rows), "failure": 4}
