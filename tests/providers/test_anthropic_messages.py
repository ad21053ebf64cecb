"""Anthropic's wire format: what is sent, what is read, whole and as a stream, and what is no answer."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from providers.anthropic_messages import AnthropicMessages, MessageReader
from providers.completion import NO_OPTIONS, Completion, Finish, Message, Prompt, Role, TokenUsage, estimated_usage
from providers.events import Delta, Event, Reported
from providers.http_client import Reply
from providers.problems import (
    ContentRefused,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
)
from providers.stream_reader import LONGEST_TEXT
from tests.providers.questions import CATALOGUE, MESSAGES, PROMPT

SONNET = CATALOGUE.named("anthropic", "claude-sonnet-5-5")
HAIKU = CATALOGUE.named("anthropic", "claude-haiku-4-5")


def requested(prompt: Prompt = PROMPT, model: Any = SONNET, **changes: Any) -> Any:
    asked = {"max_output_tokens": 100, "temperature": None, "options": NO_OPTIONS, "stream": False, **changes}
    return orjson.loads(AnthropicMessages().request(model, prompt, **asked))


def test_the_system_stands_apart_and_pictures_are_data() -> None:
    document = requested()
    assert set(document) == {"model", "max_tokens", "system", "messages"}
    assert (document["system"], document["max_tokens"]) == ("You solve problems of mathematics.", 100)
    (user,) = document["messages"]
    assert [part["type"] for part in user["content"]] == ["image", "text"]
    assert user["content"][0]["source"] | {"data": ""} == {"type": "base64", "media_type": "image/png", "data": ""}


def test_messages_of_one_role_are_one_turn() -> None:
    said = [Role.USER, Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.USER]
    document = requested(Prompt([Message(role, str(number)) for number, role in enumerate(said)]))
    turns = [(turn["role"], [part["text"] for part in turn["content"]]) for turn in document["messages"]]
    assert turns == [("user", ["0", "1"]), ("assistant", ["2"]), ("user", ["4"])]
    assert document["system"] == "3"


def test_a_temperature_is_sent_where_it_is_taken_and_as_warm_as_it_may_be() -> None:
    assert "temperature" not in requested(temperature=0.5)
    assert requested(model=HAIKU, temperature=0.5)["temperature"] == 0.5
    assert requested(model=HAIKU, temperature=1.7)["temperature"] == 1.0
    with pytest.raises(ValueError, match="options"):
        requested(options={"tools": []})


def answer(**changes: Any) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 4, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 30}
    content = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "x = 2"}]
    return {"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage, **changes}


def read_answer(document: object, status: int = 200, retry_after: str | None = None) -> Completion:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return AnthropicMessages().read(Reply(status, retry_after, body), SONNET, PROMPT)


def test_an_answer_has_its_text_its_usage_with_the_cache_and_its_cost() -> None:
    usage = TokenUsage(42, 4, estimated=False, cached_input_tokens=30)
    cost = SONNET.cost_micros(42, 4, 30)
    assert read_answer(answer()) == Completion("x = 2", SONNET.id, "anthropic", usage, Finish.STOP, cost)
    assert cost == 12 * 2 + 6 + 4 * 10
    assert read_answer(answer(stop_reason="max_tokens")).finish is Finish.LENGTH
    assert read_answer(answer(usage=None)).usage == estimated_usage(MESSAGES, 2)


def test_a_refusal_is_told_and_its_cost_is_known() -> None:
    with pytest.raises(ContentRefused) as failure:
        read_answer(answer(stop_reason="refusal", content=[]))
    assert failure.value.cost_micros > 0


@pytest.mark.parametrize(
    "document",
    [b"", b"<html>", [], {}, None, answer(content=None), answer(content=[{"type": "text"}]), answer(stop_reason="later"),
     answer(content=[]), answer(content=[{"type": "text", "text": "a\0"}]), answer(content=[{"type": "text", "text": 7}])],
)  # fmt: skip
def test_what_is_no_answer_fails(document: object) -> None:
    with pytest.raises(ProviderFailed) as failure:
        read_answer(document)
    assert type(failure.value) is ProviderFailed


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ProviderFailed), (401, ProviderMisconfigured), (402, ProviderMisconfigured), (403, ProviderMisconfigured),
     (404, ProviderMisconfigured), (413, ProviderFailed), (429, ProviderBusy), (500, ProviderBroke), (529, ProviderBroke)],
)  # fmt: skip
def test_errors_of_the_provider(status: int, kind: type[ProviderFailed]) -> None:
    with pytest.raises(ProviderFailed) as failure:
        read_answer({"type": "error", "error": {"type": "any", "message": "its words"}}, status, "7")
    assert type(failure.value) is kind
    assert "its words" not in f"{failure.value} {failure.value.reason}"


def event(kind: str, **members: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **members}) + b"\n\n"


def started(**usage: Any) -> bytes:
    told = {
        "input_tokens": 9,
        "output_tokens": 1,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 5,
        **usage,
    }
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": SONNET.id, "content": []}
    return event("message_start", message={**head, "stop_reason": None, "stop_sequence": None, "usage": told})


def block(index: int, kind: str, **members: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": kind, **members})


def delta(index: int, kind: str, **members: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **members})


def ended(reason: str = "end_turn", **usage: Any) -> bytes:
    told = {"output_tokens": 12, **usage}
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=told)


STOP = event("message_stop")


def read(*pieces: bytes) -> tuple[list[Event], MessageReader]:
    """Raises what a provider would be given up for."""
    reader = MessageReader()
    events = [each for piece in pieces for each in reader.read(piece)]
    if reader.failure is not None:
        raise reader.failure
    return events, reader


THINKING_FIRST = (
    started(),
    block(0, "thinking", thinking="", signature=""),
    event("ping"),
    delta(0, "thinking_delta", thinking="Hm, the size"),
    delta(0, "signature_delta", signature="abc"),
    event("content_block_stop", index=0),
    block(1, "text", text=""),
    delta(1, "text_delta", text="Grö"),
    delta(1, "text_delta", text="ße"),
    event("content_block_stop", index=1),
    event("content_block_of_tomorrow", index=2),
    ended(),
    STOP,
)


@pytest.mark.slow
def test_what_is_read_here_is_what_the_official_package_knows() -> None:
    from anthropic.types import RawMessageStreamEvent  # it takes seconds

    known = TypeAdapter[Any](RawMessageStreamEvent)
    for piece in THINKING_FIRST:
        if b"ping" not in piece and b"tomorrow" not in piece:
            known.validate_json(piece.partition(b"data: ")[2])


def test_a_stream_with_thinking_before_the_text() -> None:
    events, reader = read(*THINKING_FIRST)
    before = TokenUsage(14, 1, estimated=True, cached_input_tokens=5)
    after = TokenUsage(14, 12, estimated=False, cached_input_tokens=5)
    assert events == [Reported(before), Delta("Grö"), Delta("ße"), Reported(after)]
    assert (reader.finish, reader.ended, reader.received) == (Finish.STOP, True, 7)


def test_figures_that_are_told_again_at_the_end_replace_the_first() -> None:
    events, _ = read(started(), ended(input_tokens=20, cache_read_input_tokens=3))
    assert events[-1] == Reported(TokenUsage(23, 12, estimated=False, cached_input_tokens=3))


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_tokens", Finish.LENGTH), ("model_context_window_exceeded", Finish.LENGTH), ("stop_sequence", Finish.STOP),
     ("refusal", Finish.CONTENT_FILTER)],
)  # fmt: skip
def test_why_it_ended(reason: str, finish: Finish) -> None:
    assert read(started(), ended(reason), STOP)[1].finish is finish


@pytest.mark.parametrize(
    ("kind", "failed"),
    [("overloaded_error", ProviderBroke), ("api_error", ProviderBroke), ("rate_limit_error", ProviderBusy),
     ("authentication_error", ProviderMisconfigured), ("invalid_request_error", ProviderFailed), (7, ProviderBroke)],
)  # fmt: skip
def test_an_error_inside_a_stream_ends_it(kind: object, failed: type[ProviderFailed]) -> None:
    with pytest.raises(ProviderFailed) as failure:
        read(started(), delta(0, "text_delta", text="a"), event("error", error={"type": kind, "message": "its words"}))
    assert type(failure.value) is failed


@pytest.mark.parametrize(
    "piece",
    [b"data: {\n\n", b"data: []\n\n", b"data: {}\n\n", b"data: 7\n\n", event("message_start"), event("content_block_delta"),
     event("content_block_delta", delta={"type": "text_delta"}), delta(0, "text_delta", text=7), delta(0, "text_delta", text="\0"),
     event("message_delta", delta={"stop_reason": "later"}), event("error"), event("message_start", message=[])],
)  # fmt: skip
def test_what_is_no_event_fails(piece: bytes) -> None:
    with pytest.raises(ProviderFailed) as failure:
        read(started(), piece)
    assert failure.value.reason == "reply_malformed"


def test_a_reply_without_an_end_is_given_up() -> None:
    with pytest.raises(ProviderFailed) as failure:
        read(*[delta(0, "text_delta", text="a" * 100_000)] * (LONGEST_TEXT // 100_000 + 2))
    assert failure.value.reason == "reply_too_large"


MEMBERS = st.sampled_from(["type", "delta", "text", "content_block", "message", "usage", "output_tokens", "error"])
KINDS = st.sampled_from(
    ["message_start", "message_delta", "content_block_start", "content_block_delta", "error", "text_delta"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=3) | KINDS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(MEMBERS, children, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40)
@given(KINDS, JSON)
def test_no_document_breaks_the_reading(kind: str, document: object) -> None:
    for each in (
        document,
        {"type": kind, "delta": document, "message": document, "content_block": document, "error": document},
    ):
        try:
            events, reader = read(b"data: " + orjson.dumps(each) + b"\n\n")
        except ProviderFailed:
            continue
        assert reader.received >= 0
        assert all(event.text for event in events if isinstance(event, Delta))
