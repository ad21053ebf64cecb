"""OpenAI's own Python client at /api/gateway/openai/v1, with an API key of ours, beside the same client at the stand-in."""

from collections.abc import Iterator

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.chat.running_chat import BASE, OPENAI_MODEL, Customer, RunningChat
from tests.capabilities.chat.test_completion_bodies import TOOL

MODELS = {
    "openai": OPENAI_MODEL,
    "anthropic": "claude-haiku-5-5",
    "google": "gemini-3.5-flash-lite",
    "groq": "openai/gpt-oss-120b",
}
ANSWERS = {
    "plain": NextAnswer(text="Hello there"),
    "long": NextAnswer(tokens=300),
    "multi-byte": NextAnswer(text="Grüße, 世界! 🙂 " * 9),
    "reasoning": NextAnswer(text="42", reasoning_tokens=30),
    "at the limit": NextAnswer(tokens=1_000),
}


def key_of(customer: Customer) -> str:
    made = customer.call("POST", "/api/auth/tokens", json={"name": "sdk", "scopes": ["chat"]}).get_json()
    return str(made["token"])


@pytest.fixture
def client(running: RunningChat, alice: Customer) -> Iterator[openai.OpenAI]:
    transport = httpx2.WSGITransport(app=running.app)
    with openai.OpenAI(
        api_key=key_of(alice),
        base_url=f"{BASE}/api/gateway/openai/v1",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
    ) as sdk:
        yield sdk


@pytest.mark.slow
@pytest.mark.parametrize("face", MODELS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_through_us_it_reads_what_the_provider_says(
    running: RunningChat, client: openai.OpenAI, face: str, answer: str
) -> None:
    asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
    running.ai.next.add(ANSWERS[answer], times=2)
    whole = client.chat.completions.create(model=MODELS[face], messages=asked, max_completion_tokens=500)
    chunks = list(
        client.chat.completions.create(
            model=MODELS[face],
            messages=asked,
            max_completion_tokens=500,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert [entry.face for entry in running.ai.books.billed] == [face, face]
    text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    (finish,) = [each.choices[0].finish_reason for each in chunks if each.choices and each.choices[0].finish_reason]
    assert (text, finish) == (whole.choices[0].message.content, whole.choices[0].finish_reason)
    assert finish == ("length" if answer == "at the limit" else "stop")
    for used, entry in zip((whole.usage, chunks[-1].usage), running.ai.books.billed, strict=True):
        assert used is not None
        assert (used.prompt_tokens, used.completion_tokens) == (entry.input_tokens, entry.output_tokens)
        assert entry.answer_bytes == len(text.encode())


def test_it_lists_models_and_understands_errors(running: RunningChat, client: openai.OpenAI, alice: Customer) -> None:
    assert {model.id: model for model in client.models.list()}["openai/gpt-oss-120b"] == client.models.retrieve(
        "openai/gpt-oss-120b"
    )
    with pytest.raises(openai.NotFoundError) as no_model:
        client.models.retrieve("openai/gpt-none")
    assert no_model.value.code == "not_found"
    with pytest.raises(openai.UnprocessableEntityError) as unknown:
        client.chat.completions.create(model="gpt-none", messages=[{"role": "user", "content": "Hello"}])
    assert (unknown.value.param, unknown.value.code) == ("model", "validation_failed")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="tok_nothing").models.list()
    running.ai.next.add(NextAnswer(tokens=40, cut_after_chunks=3))
    stream = client.chat.completions.create(
        model=OPENAI_MODEL, messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    with pytest.raises(openai.APIError) as broken:
        list(stream)
    assert broken.value.code == "provider_failed"
    assert alice.used() == {"failure": 1}


def test_its_helpers_for_streams_and_tools_work(client: openai.OpenAI) -> None:
    asked = [{"role": "user", "content": "How warm is it?"}]
    with client.chat.completions.stream(
        model=OPENAI_MODEL, messages=asked, tools=[TOOL]  # type: ignore[arg-type, list-item]
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "20 degrees"}
    answered = client.chat.completions.create(
        model=OPENAI_MODEL, messages=[*asked, message, result], tools=[TOOL]  # type: ignore[list-item]
    )
    assert answered.choices[0].message.content
