"""Requests for completions in OpenAI's format: what is taken, what is refused, and how that is told."""

from typing import Any

import orjson
import pytest

from capabilities.chat.completions.bodies import CompletionBody
from capabilities.chat.completions.error_form import openai_error
from security.api.request_bodies import parse
from security.edge.problems import MalformedJson, Problem, TooBusy, ValidationFailed

USER = {"role": "user", "content": "Hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
PNG = "data:image/png;base64,iVBORw0KGgo="


def read(*messages: object, **members: object) -> CompletionBody:
    return parse(CompletionBody, orjson.dumps({"model": "fast", "messages": messages or [USER], **members}))


def picture(url: str, **members: object) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **members}}]}


def told(problem: Problem) -> dict[str, Any]:
    return openai_error(problem.body("request-1")).model_dump(mode="json")


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [{"role": "developer", "content": "Be short"}, USER],
        [USER, {"role": "assistant", "content": "Hi", "refusal": None, "annotations": [], "audio": None}, USER],
        [USER, {**CALLING, "content": "", "parsed": None}, {"role": "tool", "tool_call_id": "call_1", "content": "20"}],
        [USER, CALLING, {"role": "tool", "tool_call_id": "call_1", "content": "20 degrees"}],
        [{"role": "user", "name": "alice", "content": [{"type": "text", "text": "Hello"}]}],
        [picture(PNG, detail="low")],
    ],
)
def test_what_openai_takes_is_taken(messages: list[object]) -> None:
    read(*messages)


def test_members_that_change_nothing_are_not_passed_on() -> None:
    harmless = {
        "n": 1,
        "logprobs": False,
        "store": False,
        "user": "alice",
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "safety_identifier": "x",
        "prompt_cache_key": "y",
        "modalities": ["text"],
        "response_format": {"type": "text"},
        "top_p": None,
    }
    assert read(**harmless).options() == {}


def test_members_that_change_the_reply_are_passed_on_as_they_came() -> None:
    schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    options = {
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 7,
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "reasoning_effort": "low",
    }
    assert read(**options).options() == options
    assert read(stop="END").options() == {"stop": ["END"]}


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [USER] * 201}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x" * 32_001}]}, "messages[0].content[0].text"),
        ({"messages": [USER, {"role": "user"}]}, "messages[1]"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{**USER, "tool_call_id": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "system", "content": picture(PNG)["content"]}]}, "messages[0]"),
        ({"messages": [picture("https://example.com/a.png")]}, "messages[0].content[0].image_url.url"),
        ({"messages": [picture("data:image/png;base64,AAAA")]}, "messages[0].content[0].image_url.url"),
        ({"messages": [picture(PNG + "\n")]}, "messages[0].content[0].image_url.url"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, None),
        ({"temperature": 2.1}, "temperature"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"store": True}, "store"),
        ({"functions": []}, "functions"),
        ({"stream_options": {"include_usage": True}}, None),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_refused_is_named_as_openai_names_it(members: dict[str, Any], field: str | None) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        read(**members)
    error = told(refusal.value)["error"]
    assert (error["param"], error["type"], error["code"]) == (field, "invalid_request_error", "validation_failed")
    assert (field or "the body") in error["message"]


def test_every_error_has_openais_form() -> None:
    assert told(TooBusy()) == {
        "error": {"message": TooBusy.title, "type": "server_error", "param": None, "code": "too_busy"},
        "request_id": "request-1",
    }
    assert told(MalformedJson())["error"]["type"] == "invalid_request_error"
