"""Streams of every face through the provider's own SDK: their form, and that they say what the whole answer says."""

import asyncio
import json
from typing import Any

import pytest
import requests

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.sandbox.ai_provider import (
    CHAT_COMPLETIONS,
    MODELS,
    anthropic_sdk,
    asked,
    asked_of_anthropic,
    async_anthropic_sdk,
    async_openai_sdk,
    openai_sdk,
    picture,
)

USAGE = {"stream_options": {"include_usage": True}}
LETTERS = "√2 ≈ 1.41 · 答え 😀 é"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def streamed(providers: AIServer, face: str, **body: Any) -> list[Any]:
    sdk = openai_sdk(providers, face)
    return list(sdk.chat.completions.create(model=MODELS[face], messages=asked(), stream=True, **USAGE | body))


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def raw(providers: AIServer, face: str, **body: Any) -> requests.Response:
    """Past the SDK's own reading."""
    anthropic = face == "anthropic"
    prefix = next(each.prefix for each in providers.faces if each.name == face)
    whole = {"model": MODELS[face], "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    whole |= {"max_tokens": 500} if anthropic else USAGE
    return requests.post(
        f"{providers.url}{prefix}{'/messages' if anthropic else '/chat/completions'}",
        json=whole | body,
        headers={"Authorization": f"Bearer {providers.keys[face]}", "anthropic-version": "2023-06-01"},
        timeout=20,
    )


def events(answer: requests.Response) -> list[Any]:
    """The data of all events but the last, which is [DONE]."""
    *data, done = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    return [json.loads(each) for each in data]


@pytest.mark.parametrize("face", CHAT_COMPLETIONS)
def test_a_streamed_chat_completion_says_the_same(providers: AIServer, face: str) -> None:
    whole = openai_sdk(providers, face).chat.completions.create(model=MODELS[face], messages=asked())
    chunks = streamed(providers, face)
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert chunks[0].choices[0].delta.role == "assistant" and not chunks[0].choices[0].delta.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    first, second = providers.books.billed
    assert (first.input_tokens, first.output_tokens) == (second.input_tokens, second.output_tokens)
    assert (first.answer_sha256, first.complete) == (second.answer_sha256, second.complete)
    assert (second.streamed, second.chunks) == (True, len([chunk for chunk in chunks if text_of([chunk])]))


@pytest.mark.parametrize("face", CHAT_COMPLETIONS)
def test_an_asynchronous_client_reads_the_same(providers: AIServer, face: str) -> None:
    async def read() -> list[Any]:
        async with async_openai_sdk(providers, face) as sdk:
            ask: Any = sdk.chat.completions.create
            stream = await ask(model=MODELS[face], messages=asked(), stream=True, **USAGE)
            return [chunk async for chunk in stream]

    assert text_of(asyncio.run(read())) == text_of(streamed(providers, face))


def test_a_streamed_message_says_the_same(providers: AIServer) -> None:
    messages = anthropic_sdk(providers).messages
    whole = messages.create(model=MODELS["anthropic"], max_tokens=100, messages=asked_of_anthropic(picture()))

    async def read() -> Any:
        async with async_anthropic_sdk(providers) as sdk:
            ask = sdk.messages.stream(model=MODELS["anthropic"], max_tokens=100, messages=asked_of_anthropic(picture()))
            async with ask as stream:
                return await stream.get_final_message()

    with messages.stream(model=MODELS["anthropic"], max_tokens=100, messages=asked_of_anthropic(picture())) as stream:
        last: Any = stream.get_final_message()
    for each in (last, asyncio.run(read())):
        assert (each.content[0].text, each.stop_reason) == (whole.content[0].text, whole.stop_reason)  # type: ignore[union-attr]
        assert each.usage == whole.usage


def test_openai_tells_usage_in_a_last_chunk_without_choices(providers: AIServer) -> None:
    *others, last = events(raw(providers, "openai"))
    assert last["choices"] == [] and last["usage"]["total_tokens"] > 0
    assert all(chunk["usage"] is None and len(chunk["choices"]) == 1 for chunk in others)
    assert any("obfuscation" in chunk for chunk in others)
    plain = events(raw(providers, "openai", stream_options={"include_obfuscation": False}))
    assert not any("usage" in chunk or "obfuscation" in chunk for chunk in plain)
    assert len({chunk["id"] for chunk in plain}) == 1


def test_google_tells_usage_in_every_chunk_and_a_last_one_of_null(providers: AIServer) -> None:
    *others, last = events(raw(providers, "google"))
    assert last["choices"] is None
    growing = [chunk["usage"]["completion_tokens"] for chunk in others if "usage" in chunk]
    assert growing == sorted(set(growing)) and growing[-1] == last["usage"]["completion_tokens"]


def test_groq_tells_usage_in_x_groq_also_when_nobody_asked(providers: AIServer) -> None:
    first, *_, last = events(raw(providers, "groq", stream_options=None))
    assert first["x_groq"]["id"] == last["x_groq"]["id"]
    assert last["x_groq"]["usage"]["completion_tokens"] == providers.books.billed[0].output_tokens
    assert "usage" not in last and last["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"messages": [{"role": "user", "content": "x", "name": "bob"}]}, "property 'name' is unsupported"),
        ({"logprobs": True}, "`logprobs` is not supported"),
        ({"n": 2}, "number must be at most 1"),
    ],
)
def test_groq_refuses_what_it_does_not_support(providers: AIServer, body: dict[str, Any], message: str) -> None:
    answer = raw(providers, "groq", **body)
    assert answer.status_code == 400 and message in answer.json()["error"]["message"]


def test_anthropic_opens_and_closes_its_blocks_and_counts_up(providers: AIServer) -> None:
    providers.next.add(NextAnswer(reasoning_tokens=4, text="Hello", cached_tokens=1))
    answer = raw(providers, "anthropic")
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    named = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert named == [each["type"] for each in told]
    assert [each for each in named if each != "content_block_delta"] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_stop",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    starts = [each["content_block"]["type"] for each in told if each["type"] == "content_block_start"]
    assert starts == ["thinking", "text"]
    opened, closed = told[0]["message"]["usage"], told[-2]["usage"]
    entry = providers.books.entries[0]
    assert (opened["input_tokens"], opened["cache_read_input_tokens"]) == (entry.input_tokens - 1, 1)
    assert (opened["output_tokens"], closed["output_tokens"]) == (1, entry.output_tokens)


@pytest.mark.parametrize("face", MODELS)
def test_reasoning_is_billed_and_comes_before_the_text(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(reasoning_tokens=40, text=LETTERS))
    if face == "anthropic":
        with anthropic_sdk(providers).messages.stream(
            model=MODELS[face], max_tokens=500, messages=[{"role": "user", "content": "Hello"}]
        ) as stream:
            last: Any = stream.get_final_message()
        assert [block.type for block in last.content] == ["thinking", "text"]
        assert (last.content[1].text, last.usage.output_tokens_details.thinking_tokens) == (LETTERS, 40)
        told = last.usage.output_tokens
    else:
        chunks = streamed(providers, face)
        assert text_of(chunks) == LETTERS
        told = chunks[-1].usage.total_tokens - chunks[-1].usage.prompt_tokens
    assert told == providers.books.billed[0].output_tokens == 40 + -(-len(LETTERS) // 4)


@pytest.mark.parametrize("face", CHAT_COMPLETIONS)
def test_a_tool_is_called(providers: AIServer, face: str) -> None:
    sdk = openai_sdk(providers, face).chat.completions
    whole: Any = sdk.create(model=MODELS[face], messages=asked(), tools=[WEATHER])  # type: ignore[list-item]
    (call,) = whole.choices[0].message.tool_calls
    chunks = streamed(providers, face, tools=[WEATHER], tool_choice="required")
    (opening,) = chunks[0].choices[0].delta.tool_calls
    parts = [chunk.choices[0].delta.tool_calls for chunk in chunks if chunk.choices]
    arguments = "".join(part[0].function.arguments for part in parts if part)
    assert (opening.function.name, opening.type, opening.id[:5]) == ("weather", "function", "call_")
    assert arguments == call.function.arguments and json.loads(arguments)["city"].startswith("Answer ")
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "tool_calls"
    said = {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}
    answered = sdk.create(model=MODELS[face], messages=[*asked(), said, result], tools=[WEATHER])  # type: ignore[list-item]
    assert "Sunny" in (answered.choices[0].message.content or "")


def test_a_tool_that_is_not_offered_or_not_wanted(providers: AIServer) -> None:
    other = {"type": "function", "function": {"name": "other"}}
    assert raw(providers, "openai", tools=[WEATHER], tool_choice=other).status_code == 400
    assert text_of(streamed(providers, "openai", tools=[WEATHER], tool_choice="none")).startswith("You asked")


def test_several_choices_are_streamed_side_by_side(providers: AIServer) -> None:
    chunks = [chunk for chunk in streamed(providers, "openai", n=2) if chunk.choices]
    said = [
        "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices[0].index == number)
        for number in (0, 1)
    ]
    assert said[0] == said[1] != ""
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("face", MODELS)
def test_letters_are_split_over_network_writes(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(text=LETTERS, split_utf8=True, trickle_pause_seconds=0.002))
    answer = raw(providers, face)
    assert json.dumps(LETTERS, ensure_ascii=False)[1:5] in answer.content.decode()
    (entry,) = providers.books.billed
    assert entry.complete and entry.answer_bytes > len(LETTERS.encode())


def test_a_long_reply_has_the_tokens_that_were_wanted(providers: AIServer) -> None:
    providers.next.add(NextAnswer(tokens=2_000, chunk_tokens=50))
    chunks = streamed(providers, "openai", max_completion_tokens=5_000)
    assert len(text_of(chunks)) == 8_000
    assert (chunks[-1].usage.completion_tokens, providers.books.billed[0].chunks) == (2_000, 40)
    providers.next.add(NextAnswer(tokens=2_000, reasoning_tokens=20))
    cut = streamed(providers, "openai", max_completion_tokens=30)
    assert (len(text_of(cut)), cut[-1].usage.completion_tokens) == (40, 30)
    assert cut[-2].choices[0].finish_reason == "length"
