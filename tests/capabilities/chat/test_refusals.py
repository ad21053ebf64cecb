"""How a message is refused, status by status. Nothing is charged for any of it."""

from datetime import UTC, datetime

import pytest

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.conftest import Start
from tests.capabilities.chat.running_chat import MESSAGES, OPENAI_MODEL, Customer, RunningChat

REGENERATE = f"{MESSAGES}/regenerate"
COUNTED = "INSERT INTO usage_counters (user_id, feature, unit, \"window\", used, allowed) VALUES (%s, 'chat', 'call', %s, 20, 20)"


def test_who_is_not_signed_in(alice: Customer) -> None:
    alice.token = "nothing"
    assert alice.send().status_code == 401


def test_a_body_above_256_kib(alice: Customer) -> None:
    refused = alice.send("x" * 270_000)
    assert (refused.status_code, refused.get_json()["error"]) == (413, "body_too_large")


def test_a_conversation_that_is_full(running: RunningChat, alice: Customer) -> None:
    conversation = alice.send().get_json()["conversation_id"]
    running.rows("UPDATE chat_conversations SET message_count = 5000 WHERE id = %s", conversation)
    running.ai.books.clear()
    body = {"conversation_id": conversation}
    refusals = [alice.send(**body), alice.call("POST", REGENERATE, json=body)]
    assert {(each.status_code, each.get_json()["error"]) for each in refusals} == {(409, "conversation_full")}
    running.rows("UPDATE chat_conversations SET message_count = 4999 WHERE id = %s", conversation)
    assert alice.send(**body).status_code == 409  # there is room for one, and it would be two
    assert running.ai.books.entries == []


@pytest.mark.slow
def test_what_the_smallest_plan_does_not_have(running: RunningChat) -> None:
    bob = running.register(Tier.FREE)
    refusals = [
        (bob.send(model="smart"), 403, "feature_not_in_tier"),
        (bob.send(max_tokens=1_025), 422, "max_tokens_above_plan"),
        (bob.send("x" * 16_000), 422, "prompt_too_long"),
    ]
    running.ai.next.add(NextAnswer(hold=True))
    events = bob.stream()
    events.until("start")
    refusals += [(bob.send(), 429, "rate_limit_exceeded")]
    running.ai.next.release()
    events.to_end()
    assert refusals[-1][0].headers["X-RateLimit-Policy"] == "concurrency"
    running.rows("DELETE FROM usage_counters WHERE user_id = %s", bob.id)
    running.rows(COUNTED, bob.id, f"{datetime.now(UTC):%Y-%m-%d}")
    refusals += [(bob.send(), 429, "rate_limit_exceeded")]
    assert refusals[-1][0].headers["X-RateLimit-Policy"] == "day"
    for answer, status, error in refusals:
        assert (answer.status_code, answer.get_json()["error"]) == (status, error)
    assert len(running.ai.books.entries) == 1


@pytest.mark.slow
def test_a_process_that_has_not_what_it_takes(running: RunningChat, start: Start) -> None:
    """A provider without a key; no place for another reply; a provider that falls silent."""
    small = start(GROQ_API_KEY="", CHAT_MAX_REPLIES="1", CHAT_IDLE_TIMEOUT_S="1")
    alice = running.register().elsewhere(small)
    without = alice.send(model="openai/gpt-oss-120b")
    assert (without.status_code, without.get_json()["error"]) == (503, "model_unavailable")
    running.ai.next.add(NextAnswer(hold=True))
    events = alice.stream()
    events.until("start")
    full = alice.send()
    assert (full.status_code, "Retry-After" in full.headers) == (503, True)
    running.ai.next.release()
    events.to_end()
    running.ai.next.add(NextAnswer(tokens=40, stall_after_chunks=3))
    silent = alice.send(model=OPENAI_MODEL)
    assert (silent.status_code, silent.get_json()["error"]) == (504, "request_timeout")
    assert alice.used()["call"] == 1


@pytest.mark.slow
def test_a_provider_that_is_down_is_left_alone_and_the_others_go_on(running: RunningChat, start: Start) -> None:
    alice = running.register().elsewhere(start(OPENAI_BASE_URL="http://127.0.0.1:1"))
    assert [alice.send(model=OPENAI_MODEL).status_code for _ in range(6)] == [503] * 6
    assert len(alice.log()) == 5  # the last one was not even tried
    for path, body in (
        (MESSAGES, {"content": "hello", "model": "fast"}),
        ("/api/gateway/chat/completion", {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}),
    ):
        answer = alice.call("POST", path, json=body)
        assert (answer.status_code, "claude-haiku-5-5" in answer.text) == (200, True)
    health = alice.call("GET", "/health/providers").get_json()["providers"]
    assert {each["name"]: each["breaker"] for each in health} == {
        "openai": "open",
        "anthropic": "closed",
        "google": "closed",
        "groq": "closed",
    }
    assert alice.used()["call"] == 2
