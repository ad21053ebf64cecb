"""Every face through the provider's own SDK: what it answers, what it refuses, and in which words."""

import json
from typing import Any

import pytest
import requests

from sandbox.ai_server.catalogue import openai_models, openai_shutdowns
from sandbox.ai_server.server import AIServer
from tests.sandbox.ai_provider import (
    CHAT_COMPLETIONS,
    MODELS,
    anthropic_sdk,
    asked,
    asked_of_anthropic,
    data_uri,
    openai_sdk,
    picture,
)


@pytest.mark.parametrize("face", CHAT_COMPLETIONS)
def test_a_chat_completion_has_text_usage_and_finish(providers: AIServer, face: str) -> None:
    ask = openai_sdk(providers, face).chat.completions.create
    answer = ask(model=MODELS[face], messages=asked(data_uri(picture())))
    again = ask(model=MODELS[face], messages=asked(data_uri(picture())))
    other = ask(model=MODELS[face], messages=asked(data_uri(picture(size=(65, 48)))))
    text = answer.choices[0].message.content
    assert text is not None and "Solve this" in text and "PNG 64x48" in text
    assert again.choices[0].message.content == text != other.choices[0].message.content
    assert (answer.choices[0].finish_reason, answer.model, answer.object) == ("stop", MODELS[face], "chat.completion")
    first, *_ = providers.books.billed
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (first.input_tokens, first.output_tokens)
    assert answer.usage.total_tokens == first.input_tokens + first.output_tokens


def test_a_message_has_text_usage_and_stop_reason(providers: AIServer) -> None:
    answer = anthropic_sdk(providers).messages.create(
        model=MODELS["anthropic"], max_tokens=100, system="Be short.", messages=asked_of_anthropic(picture())
    )
    assert answer.content[0].type == "text" and "PNG 64x48" in answer.content[0].text
    assert (answer.stop_reason, answer.role, answer.id[:4]) == ("end_turn", "assistant", "msg_")
    (entry,) = providers.books.billed
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (entry.input_tokens, entry.output_tokens)


def test_the_models_are_those_of_the_package_that_are_still_offered(providers: AIServer) -> None:
    listed = {model.id for model in openai_sdk(providers).models.list()}
    assert listed == set(openai_models())
    assert "gpt-6-luna" in listed
    assert "gpt-4-vision-preview" in openai_shutdowns() and "gpt-4-vision-preview" not in listed
    assert {model.id for model in openai_sdk(providers, "groq").models.list()} >= {MODELS["groq"]}
    assert {model.id for model in openai_sdk(providers, "google").models.list()} >= {f"models/{MODELS['google']}"}
    assert MODELS["anthropic"] in {model.id for model in anthropic_sdk(providers).models.list()}
    assert openai_sdk(providers).models.retrieve("gpt-6-luna").id == "gpt-6-luna"


def refusal(providers: AIServer, face: str, key: str | None = None, **body: Any) -> tuple[int, Any]:
    """Status and error as they stand in the answer, past the SDK's own checks."""
    path = "/messages" if face == "anthropic" else "/chat/completions"
    prefix = next(each.prefix for each in providers.faces if each.name == face)
    headers = {"Authorization": f"Bearer {key or providers.keys[face]}", "anthropic-version": "2023-06-01"}
    answer = requests.post(f"{providers.url}{prefix}{path}", json=body, headers=headers, timeout=10)
    return answer.status_code, answer.json()


def test_a_wrong_key_is_refused_in_the_words_of_each_provider(providers: AIServer) -> None:
    from anthropic import AuthenticationError as NotLetIn
    from openai import AuthenticationError, BadRequestError

    with pytest.raises(AuthenticationError, match="Incorrect API key provided: sk-wrong") as refused:
        openai_sdk(providers, key="sk-wrong-key-of-somebody").models.list()
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(AuthenticationError, match="Invalid API Key"):
        openai_sdk(providers, "groq", key="gsk_wrong").models.list()
    with pytest.raises(BadRequestError) as google:
        openai_sdk(providers, "google", key="AIzaWrong").models.list()
    assert google.value.response.json()[0]["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    with pytest.raises(NotLetIn, match="invalid x-api-key"):
        anthropic_sdk(providers, key="wrong").models.list()
    assert providers.books.billed == []


@pytest.mark.parametrize("face", MODELS)
def test_an_unknown_model_is_404(providers: AIServer, face: str) -> None:
    status, error = refusal(providers, face, model="nope-1", max_tokens=5, messages=[{"role": "user", "content": "x"}])
    assert status == 404
    assert {
        "openai": "model_not_found",
        "groq": "model_not_found",
        "google": "NOT_FOUND",
        "anthropic": "not_found_error",
    }[face] in json.dumps(error)


def test_a_model_that_was_shut_down_is_404_as_well(providers: AIServer) -> None:
    status, error = refusal(providers, "openai", model="gpt-4-vision-preview", messages=asked())
    assert (status, error["error"]["code"]) == (404, "model_not_found")
    assert "deprecated" in error["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"foo": 1}, None, None),
        ({"messages": [{"role": "user", "content": "x", "colour": "red"}]}, "unknown_parameter", "messages[0].colour"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "invalid_type", "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "missing_required_parameter", "messages[0].content"),
        ({"messages": []}, "empty_array", "messages"),
        ({"messages": [*asked(), None]}, "invalid_type", "messages[1]"),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"n": True}, "invalid_type", "n"),
        ({"n": 0}, "integer_below_min_value", "n"),
        ({"max_tokens": 5}, "unsupported_parameter", "max_tokens"),
        ({"temperature": 0.2}, "unsupported_value", "temperature"),
        ({"response_format": {"type": "yaml"}}, "invalid_value", "response_format.type"),
    ],
)
def test_openai_takes_only_what_the_package_knows(
    providers: AIServer, body: dict[str, Any], code: str | None, param: str | None
) -> None:
    status, error = refusal(providers, "openai", **{"model": "gpt-6-luna", "messages": asked(), **body})
    assert (status, error["error"]["type"]) == (400, "invalid_request_error")
    assert (error["error"]["code"], error["error"]["param"]) == (code, param)
    assert providers.books.billed == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"foo": 1}, "foo: Extra inputs are not permitted"),
        ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role: Input should be"),
        ({"messages": []}, "messages: at least one message is required"),
    ],
)
def test_anthropic_takes_only_what_the_package_knows(providers: AIServer, body: dict[str, Any], message: str) -> None:
    usual = {"model": MODELS["anthropic"], "max_tokens": 50, "messages": [{"role": "user", "content": "x"}]}
    status, error = refusal(providers, "anthropic", **{**usual, **body})
    assert (status, error["type"], error["error"]["type"]) == (400, "error", "invalid_request_error")
    assert error["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("claude-sonnet-5-5", {"temperature": 1}, "`temperature` is deprecated for this model."),
        ("claude-opus-4-8", {"top_p": 0.5}, "`top_p` is deprecated for this model."),
        ("claude-haiku-4-5", {"temperature": 1.5}, "temperature: range: 0..1"),
        ("claude-haiku-4-5", {"temperature": "hot"}, "temperature: Input should be a valid number"),
        ("claude-haiku-4-5", {"temperature": 0.5, "top_k": 40}, None),
    ],
)
def test_newer_models_of_anthropic_refuse_what_older_ones_take(
    providers: AIServer, model: str, body: dict[str, Any], message: str | None
) -> None:
    messages = [{"role": "user", "content": "x"}]
    status, answer = refusal(providers, "anthropic", model=model, max_tokens=5, messages=messages, **body)
    assert (status, answer.get("error", {}).get("message")) == (200 if message is None else 400, message)


def test_what_is_not_json_or_not_there_is_refused(providers: AIServer) -> None:
    headers = {"Authorization": f"Bearer {providers.keys['openai']}"}
    url = providers.base_url("openai")
    assert requests.post(f"{url}/chat/completions", data=b"{", headers=headers, timeout=10).status_code == 400
    assert requests.get(f"{url}/nothing", headers=headers, timeout=10).status_code == 404
    assert requests.get(f"{providers.url}/elsewhere", timeout=10).status_code == 404


def test_an_answer_ends_at_the_tokens_that_were_allowed(providers: AIServer) -> None:
    answer = openai_sdk(providers).chat.completions.create(
        model="gpt-6-luna", messages=asked(), max_completion_tokens=5
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None and answer.usage.completion_tokens == 5


def test_a_wanted_schema_is_kept(providers: AIServer) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "steps": {"type": "array", "items": {"type": "string"}}},
        "required": ["answer", "steps"],
        "additionalProperties": False,
    }
    answer = openai_sdk(providers).chat.completions.create(
        model="gpt-6-luna",
        messages=asked(),
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": True}},
    )
    said = json.loads(answer.choices[0].message.content or "")
    assert said["answer"].startswith("Answer ") and len(said["steps"]) == 2
