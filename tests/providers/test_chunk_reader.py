"""Streams of OpenAI's format, as OpenAI, Google and Groq write it: what is read from each chunk, and what is no chunk."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from providers.chat_completions import ChunkReader
from providers.completion import Finish, TokenUsage
from providers.events import Delta, Event, Reported, ToolCalls
from providers.problems import (
    ContentRefused,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
)
from providers.stream_reader import LONGEST_TEXT

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
REPORTED = Reported(TokenUsage(9, 4, estimated=False))
DONE = b"data: [DONE]\n\n"
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-6-luna"}


def chunk(delta: Any = None, finish: str | None = None, **members: Any) -> bytes:
    choices = [{"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}]
    return data({**HEAD, "choices": choices, **members})


def data(document: object) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def read(*pieces: bytes) -> tuple[list[Event], ChunkReader]:
    """Raises what a provider would be given up for."""
    reader = ChunkReader()
    events = [event for piece in pieces for event in reader.read(piece)]
    if reader.failure is not None:
        raise reader.failure
    return events, reader


def test_a_stream_of_openai() -> None:
    """As the official package types it: the role first, null usage in every chunk, the usage in a last one without choices."""
    stream = [
        chunk({"role": "assistant", "content": "", "refusal": None}, usage=None, obfuscation="aB"),
        chunk({"content": "Grö"}, usage=None, obfuscation="c"),
        chunk({"content": "ße"}, usage=None),
        chunk({}, "stop", usage=None),
        data({**HEAD, "choices": [], "usage": USAGE, "service_tier": "default"}),
        DONE,
    ]
    for piece in stream[:-1]:
        ChatCompletionChunk.model_validate_json(piece[6:], strict=True)
    events, reader = read(*stream)
    assert events == [Delta("Grö"), Delta("ße"), REPORTED]
    assert (reader.finish, reader.ended, reader.begun, reader.received) == (Finish.STOP, True, True, 7)


def test_a_stream_of_google_has_the_usage_beside_the_text_and_null_choices() -> None:
    events, reader = read(
        chunk({"role": "assistant", "content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": 1}),
        chunk({"content": "b"}, "stop", usage=USAGE),
        data({**HEAD, "choices": None, "usage": USAGE}),
        DONE,
    )
    assert events == [Delta("a"), Reported(TokenUsage(9, 1, estimated=False)), Delta("b"), REPORTED]
    assert reader.finish is Finish.STOP


def test_what_google_thinks_is_told_in_the_total_alone() -> None:
    events, _ = read(data({"choices": [], "usage": {**USAGE, "total_tokens": 113}}))
    assert events == [Reported(TokenUsage(9, 104, estimated=False))]


def test_a_stream_of_groq_has_the_usage_in_a_member_of_its_own() -> None:
    events, _ = read(
        chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
        chunk({"reasoning": "let me think", "channel": "analysis"}),
        chunk({"content": "a"}),
        chunk({}, "stop", x_groq={"id": "req_1", "usage": {**USAGE, "queue_time": 0.1}}),
        DONE,
    )
    assert events == [Delta("a"), REPORTED]


def test_cached_tokens_are_among_those_of_the_input() -> None:
    told = {**USAGE, "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0}}
    events, _ = read(data({"choices": [], "usage": told}))
    assert events == [Reported(TokenUsage(9, 4, estimated=False, cached_input_tokens=8))]


def test_calls_of_tools_are_handed_on_as_they_came() -> None:
    calls = [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "now", "arguments": ""}}]
    events, reader = read(chunk({"role": "assistant", "content": None, "tool_calls": calls}), chunk({}, "tool_calls"))
    assert events == [ToolCalls({"tool_calls": calls})]
    assert (reader.finish, reader.begun) == (Finish.TOOL_CALLS, True)


def test_a_refusal_in_the_models_words_is_no_text() -> None:
    events, reader = read(chunk({"refusal": "I cannot"}), chunk({}, "stop"))
    assert (events, reader.finish, reader.begun) == ([], Finish.CONTENT_FILTER, False)


@pytest.mark.parametrize(
    "usage", [{}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": 10**12}, [1], "x"]
)
def test_usage_that_cannot_be_is_not_reported(usage: object) -> None:
    events, reader = read(chunk({"content": "a"}, "stop", usage=usage))
    assert (events, reader.usage) == ([Delta("a")], None)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (
            {"message": "The server had an error", "type": "server_error", "code": None},
            ProviderBroke,
            "error_in_stream",
        ),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, ProviderBusy, "status_429"),
        ({"code": 429, "status": "RESOURCE_EXHAUSTED"}, ProviderBusy, "status_429"),
        ({"code": 503, "status": "UNAVAILABLE"}, ProviderBroke, "error_in_stream"),
        ({"code": "insufficient_quota"}, ProviderMisconfigured, "insufficient_quota"),
        ({"code": "content_filter"}, ContentRefused, "content_filter"),
        ("overloaded", ProviderBroke, "error_in_stream"),
    ],
)
@pytest.mark.parametrize("in_a_list", [False, True])
def test_an_error_inside_a_stream_ends_it(
    error: object, kind: type[ProviderFailed], reason: str, *, in_a_list: bool
) -> None:
    whole = {"error": error}
    with pytest.raises(ProviderFailed) as failure:
        read(chunk({"content": "a"}), data([whole] if in_a_list else whole))
    assert (type(failure.value), failure.value.reason) == (kind, reason)


@pytest.mark.parametrize(
    "piece",
    [
        b"data: {\n\n",
        b"data: \xff\n\n",
        b"data: null\n\n",
        b"data: 7\n\n",
        b"data: []\n\n",
        b"data: " + b"[" * 100_000 + b"\n\n",
        data({"choices": [7]}),
        data({"choices": {"a": 1}}),
        data({"choices": [{"delta": "text"}]}),
        data({"choices": [{"delta": {"content": ["a"]}}]}),
        chunk({"content": "a\0b"}),
        chunk({}, "next_year"),
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
    ],
)
def test_what_is_no_chunk_fails(piece: bytes) -> None:
    with pytest.raises(ProviderFailed) as failure:
        read(chunk({"content": "a"}), piece)
    assert (type(failure.value), failure.value.reason) == (ProviderFailed, "reply_malformed")


@pytest.mark.parametrize(
    "delta", [{"content": "ö" * 50_000}, {"tool_calls": [{"function": {"arguments": "a" * 100_000}}]}]
)
def test_a_reply_without_an_end_is_given_up(delta: object) -> None:
    with pytest.raises(ProviderFailed) as failure:
        read(*[chunk(delta)] * (LONGEST_TEXT // 100_000 + 2))
    assert failure.value.reason == "reply_too_large"


MEMBERS = st.sampled_from(
    [
        "choices",
        "delta",
        "content",
        "refusal",
        "tool_calls",
        "finish_reason",
        "usage",
        "prompt_tokens",
        "x_groq",
        "error",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(MEMBERS, children, max_size=4),
    max_leaves=12,
)


@settings(max_examples=40)
@given(JSON)
def test_no_document_breaks_the_reading(document: object) -> None:
    for each in (document, {"choices": [{"delta": document}]}, {"choices": [], "usage": document, "x_groq": document}):
        try:
            events, reader = read(data(each))
        except ProviderFailed:
            continue
        assert reader.received >= 0
        assert all(event.text for event in events if isinstance(event, Delta))
