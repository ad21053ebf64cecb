"""POST /api/gateway/chat/completion and /api/gateway/openai/v1: OpenAI's format, and what is counted of it."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from werkzeug.test import TestResponse

from auth.tiers import Tier
from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.conftest import Start
from tests.capabilities.chat.running_chat import OPENAI_MODEL, Customer, RunningChat
from tests.capabilities.chat.test_completion_bodies import CALLING, PNG, TOOL, USER, picture
from tests.capabilities.solve.made_pictures import formula

COMPLETION = "/api/gateway/chat/completion"


def complete(customer: Customer, *messages: object, key: str | None = None, **members: object) -> TestResponse:
    body: dict[str, Any] = {"model": OPENAI_MODEL, "messages": messages or [USER], **members}
    return customer.call("POST", COMPLETION, key=key, json=body)


def chunks_of(answer: TestResponse) -> list[dict[str, Any]]:
    """Of a stream that came to its end."""
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream"), answer.text
    *events, last, rest = answer.data.split(b"\n\n")
    assert (last, rest) == (b"data: [DONE]", b"")
    return [orjson.loads(event.removeprefix(b"data: ")) for event in events if event != b": ping"]


def test_a_completion_is_answered_and_counted(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(text="Hi there"))
    answer = complete(alice, max_completion_tokens=500)
    assert answer.status_code == 200, answer.text
    told, (entry,), (row,) = answer.get_json(), running.ai.books.entries, alice.log()
    (choice,) = told["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hi there", "refusal": None}
    assert (choice["finish_reason"], told["model"], told["object"]) == ("stop", OPENAI_MODEL, "chat.completion")
    used = told["usage"]
    assert (used["prompt_tokens"], used["completion_tokens"]) == (entry.input_tokens, entry.output_tokens)
    assert (used["total_tokens"], used["estimated"]) == (entry.input_tokens + entry.output_tokens, False)
    assert told["id"] == f"chatcmpl-{UUID(row['id']).hex}"
    assert (row["feature"], row["status"], row["model"]) == ("chat", 200, OPENAI_MODEL)
    assert alice.used() == {"call": 1, "token": used["total_tokens"]}
    assert alice.held() == 0
    assert answer.headers["X-Max-Completion-Tokens"] == "500"
    assert {"RateLimit", "RateLimit-Policy"} <= set(answer.headers.keys())


def test_nothing_of_it_is_stored(running: RunningChat, alice: Customer) -> None:
    stored = [f"SELECT 1 FROM {table} WHERE user_id = %s" for table in ("chat_conversations", "chat_messages")]
    before = [running.rows(rows, alice.id) for rows in stored]  # of other tests
    assert complete(alice).status_code == 200
    assert [running.rows(rows, alice.id) for rows in stored] == before


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gpt-6-luna", "claude-haiku-5-5", "gemini-3.5-flash-lite", "openai/gpt-oss-120b"])
def test_a_stream_says_the_same_as_the_provider(running: RunningChat, alice: Customer, model: str) -> None:
    text = "Grüße, 世界! 🙂 " * 9
    running.ai.next.add(NextAnswer(text=text, reasoning_tokens=5))
    chunks = chunks_of(complete(alice, model=model, stream=True, stream_options={"include_usage": True}))
    (entry,) = running.ai.books.billed
    *pieces, finished, last = chunks
    assert pieces[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(each["choices"][0]["delta"]["content"] for each in pieces) == text
    assert (finished["choices"][0]["delta"], finished["choices"][0]["finish_reason"]) == ({}, "stop")
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (
        entry.input_tokens,
        entry.output_tokens,
    )
    assert {(each["id"], each["model"], each["object"]) for each in chunks} == {
        (chunks[0]["id"], model, "chat.completion.chunk")
    }
    assert all(each["usage"] is None for each in chunks[:-1])
    assert alice.used() == {"call": 1, "token": entry.input_tokens + entry.output_tokens}


def test_without_the_option_no_chunk_speaks_of_usage(alice: Customer) -> None:
    chunks = chunks_of(complete(alice, stream=True))
    assert all("usage" not in each and each["choices"] for each in chunks)


def test_at_the_limit_the_reply_is_cut(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(tokens=400))
    told = complete(alice, max_tokens=20).get_json()
    assert told["choices"][0]["finish_reason"] == "length"
    assert told["usage"]["completion_tokens"] == 20


def error_of(answer: TestResponse) -> dict[str, Any]:
    told = answer.get_json()
    assert (set(told), answer.mimetype) == ({"error", "request_id"}, "application/json")
    return dict(told["error"])


INVALID = "validation_failed"


@pytest.mark.parametrize(
    ("members", "refusal"),
    [
        ({"model": "gpt-none"}, (422, INVALID, "model")),
        ({"max_tokens": 16_385}, (422, "max_tokens_above_plan", None)),
        ({"unknown": 1}, (422, INVALID, "unknown")),
        ({"messages": [USER, {"role": "assistant", "content": "Hi"}]}, (422, INVALID, "messages[1].role")),
        ({"messages": [USER, {"role": "system", "content": "x"}, USER]}, (422, INVALID, "messages[1].role")),
        ({"messages": [USER, CALLING, USER]}, (422, INVALID, "messages[2]")),
        (
            {"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]},
            (422, INVALID, "messages[0].tool_call_id"),
        ),
        ({"messages": [{"role": "user", "content": "a\0b"}]}, (400, "malformed_json", None)),
        ({"messages": [{"role": "user", "content": "x" * 32_000}] * 5}, (422, "prompt_too_long", None)),
        ({"model": "claude-haiku-5-5", "tools": [TOOL]}, (422, INVALID, "tools")),
        ({"model": "claude-haiku-5-5", "response_format": {"type": "json_object"}}, (422, INVALID, "response_format")),
        ({"model": "claude-haiku-5-5", "messages": [picture(PNG)]}, (422, INVALID, "messages[0].content[0]")),
        ({"model": "openai/gpt-oss-120b", "messages": [picture(PNG)]}, (422, INVALID, "messages[0].content[0]")),
    ],
)
def test_bad_input_is_refused_and_free(
    running: RunningChat, alice: Customer, members: dict[str, Any], refusal: tuple[int, str, str | None]
) -> None:
    answer = complete(alice, **members)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == refusal
    assert (running.ai.books.entries, alice.used(), alice.held()) == ([], {}, 0)


def test_half_a_surrogate_pair_is_refused(alice: Customer) -> None:
    body = b'{"model": "fast", "messages": [{"role": "user", "content": "\\ud800"}]}'
    answer = alice.call("POST", COMPLETION, data=body, content_type="application/json")
    assert (answer.status_code, error_of(answer)["code"]) == (400, "malformed_json")


def test_a_body_above_256_kib_is_refused(alice: Customer) -> None:
    answer = complete(alice, *[{"role": "user", "content": "x" * 30_000}] * 9)
    assert (answer.status_code, error_of(answer)["code"]) == (413, "body_too_large")


@pytest.mark.slow
def test_a_model_above_the_plan_is_refused(running: RunningChat) -> None:
    answer = complete(running.register(Tier.FREE), model="smart")
    assert (answer.status_code, error_of(answer)["type"]) == (403, "permission_error")
    assert error_of(answer)["code"] == "feature_not_in_tier"


@pytest.mark.slow
def test_a_model_without_a_provider_is_not_available(running: RunningChat, start: Start) -> None:
    alone = start(GROQ_API_KEY="", ANTHROPIC_API_KEY="")
    answer = complete(running.register().elsewhere(alone), model="openai/gpt-oss-120b")
    assert (answer.status_code, error_of(answer)["type"]) == (503, "server_error")
    assert error_of(answer)["code"] == "model_unavailable"


def test_who_is_not_signed_in_is_told_in_the_same_form(alice: Customer) -> None:
    alice.token = "nothing"
    answer = complete(alice)
    assert (answer.status_code, error_of(answer)["type"]) == (401, "authentication_error")
    assert "WWW-Authenticate" in answer.headers


@pytest.mark.slow
def test_a_limit_is_told_in_the_same_form(running: RunningChat) -> None:
    bob = running.register(Tier.FREE)
    answers = [complete(bob) for _ in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert error_of(answers[-1])["type"] == "rate_limit_error"
    assert "Retry-After" in answers[-1].headers


@pytest.mark.parametrize("stream", [True, False])
def test_what_fails_before_the_first_word_is_an_ordinary_answer(
    running: RunningChat, alice: Customer, *, stream: bool
) -> None:
    running.ai.next.add(NextAnswer(status=500))
    answer = complete(alice, stream=stream)
    assert (answer.status_code, error_of(answer)["code"]) == (502, "provider_failed")
    assert (alice.used(), alice.held()) == ({"failure": 1}, 0)


@pytest.mark.slow
def test_another_model_of_an_alias_replies_when_the_first_is_refused(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(face="openai", status=500))
    chunks = chunks_of(complete(alice, model="fast", stream=True))
    assert {each["model"] for each in chunks} == {"claude-haiku-5-5"}
    assert [entry.face for entry in running.ai.books.entries] == ["openai", "anthropic"]
    assert alice.used()["call"] == 1


def test_what_breaks_in_the_middle_is_told_in_the_stream_and_free(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(tokens=40, cut_after_chunks=3))
    answer = complete(alice, stream=True)
    *_, last, rest = answer.data.split(b"\n\n")
    told = orjson.loads(last.removeprefix(b"data: "))
    assert (answer.status_code, told["error"]["code"], rest) == (200, "provider_failed", b"")
    assert (alice.used(), alice.held()) == ({"failure": 1}, 0)


def test_a_reader_that_goes_away_stops_it_and_what_came_counts(running: RunningChat, alice: Customer) -> None:
    running.ai.next.add(NextAnswer(tokens=40, chunk_tokens=2, stall_after_chunks=3))
    answer = complete(alice, {"role": "user", "content": "y" * 9}, stream=True, max_tokens=100)
    parts = answer.iter_encoded()
    while b'"content":"' not in (part := next(parts)) or b'"role"' in part:
        pass
    assert alice.held() > 0
    answer.close()
    assert running.ai.books.wait_for_end()
    assert running.ai.books.entries[0].client_left_at is not None
    (row,) = alice.log()
    assert (row["outcome"], row["details"]["estimated"]) == ("cut_short", True)
    assert 3 < alice.used()["token"] <= 3 + 24 // 4
    assert alice.held() == 0


@pytest.mark.slow
def test_a_process_that_is_told_to_stop_ends_them(running: RunningChat, start: Start) -> None:
    ending = start(CHAT_DRAIN_S="0")
    alice = running.register().elsewhere(ending)
    running.ai.next.add(NextAnswer(endless=True, tokens_per_second=200))
    answer = complete(alice, stream=True)
    parts = answer.iter_encoded()
    next(parts)
    for drain in ending.app.extensions["drains"]:
        drain.drain()
    *_, last = parts
    assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "service_unavailable"
    assert (alice.log()[0]["outcome"], alice.used()["call"]) == ("cut_short", 1)
    assert complete(alice).status_code == 503


@pytest.mark.parametrize("stream", [False, True])
def test_a_repeated_request_is_answered_from_what_was_kept(
    running: RunningChat, alice: Customer, *, stream: bool
) -> None:
    key = uuid4().hex
    first = complete(alice, key=key, stream=stream)
    assert first.data
    whole = complete(alice, key=key)
    again = chunks_of(complete(alice, key=key, stream=True, stream_options={"include_usage": True}))
    assert whole.headers["Idempotency-Replayed"] == "true"
    told = whole.get_json()
    text = "".join(each["choices"][0]["delta"].get("content", "") for each in again if each["choices"])
    assert (text, again[-1]["usage"], again[0]["id"]) == (
        told["choices"][0]["message"]["content"],
        told["usage"],
        told["id"],
    )
    assert first.status_code == 200
    other = complete(alice, {"role": "user", "content": "Something else"}, key=key)
    assert (other.status_code, error_of(other)["code"]) == (422, "idempotency_key_reused")
    assert (len(running.ai.books.entries), alice.used()["call"]) == (1, 1)


def test_a_tool_is_called_and_its_answer_taken(running: RunningChat, alice: Customer) -> None:
    message = complete(alice, tools=[TOOL]).get_json()["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert (message["content"], call["function"]["name"]) == (None, "weather")
    chunks = chunks_of(complete(alice, tools=[TOOL], stream=True))
    pieces = [piece for each in chunks for piece in each["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(piece["function"]["arguments"] for piece in pieces) == call["function"]["arguments"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    result = {"role": "tool", "tool_call_id": call["id"], "content": "20 degrees"}
    answered = complete(alice, USER, message, result, tools=[TOOL])
    assert answered.get_json()["choices"][0]["finish_reason"] == "stop", answered.text


def test_pictures_are_held_at_3000_tokens_and_passed_on(running: RunningChat, alice: Customer) -> None:
    shown = picture("data:image/png;base64," + b64encode(formula()).decode())
    answer = complete(alice, shown, max_tokens=100)
    assert answer.status_code == 200, answer.text
    (received,) = running.ai.books.entries[0].pictures
    assert received.size == len(formula())
    too_many = complete(alice, *[shown] * 22)
    assert error_of(too_many)["code"] == "prompt_too_long"


@pytest.mark.slow
def test_a_reply_is_shortened_to_what_is_left_of_the_day(running: RunningChat) -> None:
    bob = running.register(Tier.FREE)
    used = "INSERT INTO usage_counters (user_id, feature, unit, \"window\", used, allowed) VALUES (%s, 'chat', 'token', %s, %s, 50000)"
    running.rows(used, bob.id, f"{datetime.now(UTC):%Y-%m-%d}", 49_900)
    prompt = {"role": "user", "content": "x" * 20}  # at most 26 tokens
    answer = complete(bob, prompt, max_tokens=1_000)
    assert (answer.status_code, answer.headers["X-Max-Completion-Tokens"]) == (200, "74")
    running.rows("UPDATE usage_counters SET used = 49950 WHERE user_id = %s AND unit = 'token'", bob.id)
    refused = complete(bob, prompt)
    assert (refused.status_code, error_of(refused)["code"]) == (429, "rate_limit_exceeded")


@pytest.mark.slow
def test_usage_says_what_is_used_held_and_left(running: RunningChat) -> None:
    bob = running.register(Tier.FREE)
    running.ai.next.add(NextAnswer(tokens=40, stall_after_chunks=3))
    answer = complete(bob, {"role": "user", "content": "x" * 20}, stream=True, max_tokens=100)
    next(answer.iter_encoded())
    told = bob.call("GET", "/api/gateway/chat/usage").get_json()
    assert (told["tier"], told["messages"]) == ("free", {"limit": 20, "used": 0, "held": 1, "left": 19})
    assert told["tokens"] == {"limit": 50_000, "used": 0, "held": 126, "left": 49_874}
    answer.close()
    told = bob.call("GET", "/api/gateway/chat/usage").get_json()
    assert told["messages"] == {"limit": 20, "used": 1, "held": 0, "left": 19}
    used = bob.used()["token"]
    assert told["tokens"] == {"limit": 50_000, "used": used, "held": 0, "left": 50_000 - used}


@pytest.mark.slow
def test_models_say_what_the_plan_includes(running: RunningChat) -> None:
    bob = running.register(Tier.FREE)
    told = bob.call("GET", "/api/gateway/chat/models").get_json()
    models = {each["id"]: each for each in told["models"]}
    luna, sol = models["gpt-6-luna"], models["gpt-6-sol"]
    assert (told["default_model"], luna["aliases"], luna["allowed"], sol["allowed"]) == ("fast", ["fast"], True, False)
    assert (luna["provider"], luna["context"], luna["vision"], luna["status"]) == ("openai", 1_050_000, True, "up")
    assert luna["price"]["input_micros"] == 100_000
    listed = bob.call("GET", "/api/gateway/openai/v1/models").get_json()
    assert {each["id"]: (each["object"], each["owned_by"]) for each in listed["data"]} == {
        each["id"]: ("model", each["provider"]) for each in told["models"]
    }


def test_a_key_needs_the_scope(alice: Customer) -> None:
    made = [
        alice.call("POST", "/api/auth/tokens", json={"name": "robot", "scopes": [scope]}).get_json()["token"]
        for scope in ("chat", "predict")
    ]
    statuses = []
    for alice.token in made:
        statuses += [complete(alice).status_code, alice.call("GET", "/api/gateway/chat/usage").status_code]
    assert statuses == [200, 200, 403, 403]
