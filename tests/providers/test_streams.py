"""Streams of all four providers, against the stand-in and a server of the test's own: what comes of each, every way in which one can
end, and that nothing of it is left behind.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anthropic
import openai
import orjson
import pytest

from metering.settle import Outcome
from providers.anthropic_messages import AnthropicMessages
from providers.bodies import ProviderStatus
from providers.chat_completions import ChatCompletions
from providers.completion import Finish, Message, Prompt, Role, estimated_usage
from providers.events import Delta, Event, Finished
from providers.http_client import HttpClient
from providers.http_provider import HttpProvider
from providers.loop import ProviderLoop
from providers.mock_provider import MockProvider
from providers.problems import (
    ContentRefused,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimedOut,
    ProviderUnreachable,
)
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.metric_values import rising
from tests.providers.questions import CATALOGUE, LUNA, ask
from tests.providers.raw_provider import RawProvider, serving
from tests.providers.reading import Read, read_stream, stream_of

PROMPT = Prompt([Message(Role.SYSTEM, "Answer briefly."), Message(Role.USER, "Wie groß ist π?")])
MODELS = {
    "openai": LUNA,
    "anthropic": CATALOGUE.named("anthropic", "claude-sonnet-5-5"),
    "google": CATALOGUE.named("google", "gemini-3-flash-preview"),
    "groq": CATALOGUE.named("groq", "openai/gpt-oss-120b"),
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=list(MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def called(server: AIServer, http: HttpClient, name: str) -> HttpProvider:
    return provider_of(name, server.base_url(name), server.keys[name], http)


def provider_of(name: str, url: str, key: str, http: HttpClient) -> HttpProvider:
    wire = AnthropicMessages() if name == "anthropic" else ChatCompletions(names=name != "groq")
    return HttpProvider(name, url, key, asked_model=MODELS[name], wire=wire, http=http)


@pytest.fixture
def server(ai_server: AIServer) -> AIServer:
    ai_server.next.clear()
    ai_server.books.clear()
    return ai_server


@pytest.fixture
def loop(http: HttpClient) -> ProviderLoop:
    return http._loop


def read(loop: ProviderLoop, provider: HttpProvider, name: str = "openai", **changes: Any) -> Read:
    return read_stream(loop, stream_of(provider, MODELS[name], prompt=PROMPT, **changes))


def of_official_sdk(server: AIServer, name: str, most: int = 2048) -> tuple[str, tuple[int, int], str | None]:
    """The text, the tokens and the reason, as the provider's own package reads the same stream."""
    system, user = (message.text for message in PROMPT.messages)
    key, url = server.keys[name], server.base_url(name)
    if name == "anthropic":
        with (
            anthropic.Anthropic(api_key=key, base_url=url, max_retries=0) as client,
            client.messages.stream(
                model=MODELS[name].id, max_tokens=most, system=system, messages=[{"role": "user", "content": user}]
            ) as stream,
        ):
            message = stream.get_final_message()
        usage = message.usage
        text = "".join(block.text for block in message.content if block.type == "text")
        return text, (usage.input_tokens, usage.output_tokens), message.stop_reason
    text, tokens, reason = "", (0, 0), None
    with openai.OpenAI(api_key=key, base_url=url, max_retries=0) as official:
        chunks = official.chat.completions.create(
            model=MODELS[name].id,
            max_completion_tokens=most,
            messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in chunks:
            for choice in chunk.choices or ():
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
            if chunk.usage is not None:
                tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    return text, tokens, reason


REPLIES = {
    "plain": NextAnswer(),
    "long": NextAnswer(huge_bytes=60_000),
    "multi-byte": NextAnswer(split_utf8=True),
    "cut short": NextAnswer(),
}
SAME_FINISH = {"end_turn": "stop", "max_tokens": "length"}


@pytest.mark.parametrize("reply", REPLIES)
def test_we_read_what_the_official_package_reads(
    server: AIServer, http: HttpClient, loop: ProviderLoop, name: str, reply: str
) -> None:
    most = {"cut short": 5, "long": 100_000}.get(reply, 2048)
    server.next.add(REPLIES[reply], times=2)
    ours = read(loop, called(server, http, name), name, most=most)
    text, tokens, reason = of_official_sdk(server, name, most)
    assert ours.failure is None
    assert (ours.text, ours.finish) == (text, SAME_FINISH.get(reason or "", reason))
    usage = ours.reported[-1]
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (*tokens, False)
    assert isinstance(ours.events[-1], Finished)
    mine, sdks = server.books.as_json()
    for member in (
        "method",
        "path",
        "key",
        "model",
        "text_sha256",
        "status",
        "input_tokens",
        "output_tokens",
        "billed",
    ):
        assert mine[member] == sdks[member], member


@pytest.mark.parametrize(
    ("trouble", "failed", "reason"),
    [
        ({"status": 400}, ProviderFailed, "status_400"),
        ({"status": 401}, ProviderMisconfigured, "status_401"),
        ({"status": 429, "retry_after": 9}, ProviderBusy, "status_429"),
        ({"status": 500}, ProviderBroke, "status_500"),
        ({"status": 529}, ProviderBroke, "status_529"),
        ({"redirect_to": "/openai/v1/chat/completions"}, ProviderFailed, "status_307"),
        ({"reset": True}, ProviderBroke, "connection_lost"),
        ({"body": "<html>busy</html>"}, ProviderBroke, "stream_cut"),
        ({"body": "data: <html>\n\n"}, ProviderFailed, "reply_malformed"),
        ({"body": ""}, ProviderBroke, "stream_cut"),
    ],
)
def test_trouble_before_the_first_word_is_one_call_that_had_not_begun(
    server: AIServer,
    http: HttpClient,
    loop: ProviderLoop,
    name: str,
    trouble: dict[str, Any],
    failed: type[ProviderFailed],
    reason: str,
) -> None:
    server.next.add(NextAnswer(**trouble))
    provider = called(server, http, name)
    failure = read(loop, provider, name).failure
    assert isinstance(failure, ProviderFailed)
    assert (type(failure), failure.reason, failure.sent, failure.begun) == (failed, reason, 1, False)
    assert failure.cost_micros == 0
    assert len(list(server.books.as_json())) == 1


@pytest.mark.parametrize(
    ("trouble", "failed"),
    [({"cut_after_bytes": 1500}, ProviderBroke), ({"stall_after_bytes": 1500}, ProviderTimedOut)],
)
def test_trouble_after_the_first_word_keeps_the_text_and_knows_the_cost(
    server: AIServer,
    http: HttpClient,
    loop: ProviderLoop,
    name: str,
    trouble: dict[str, Any],
    failed: type[ProviderFailed],
) -> None:
    server.next.add(NextAnswer(text="Größe " * 500, **trouble))
    ours = read(loop, called(server, http, name), name, idle=0.5)
    failure = ours.failure
    assert isinstance(failure, ProviderFailed)
    assert (type(failure), failure.sent, failure.begun) == (failed, 1, True)
    assert ours.text
    assert ("Größe " * 500).startswith(ours.text)
    if MODELS[name].input_micros is not None:
        assert failure.cost_micros > 0
    assert ours.finish is None


def test_the_head_must_come_in_time(server: AIServer, http: HttpClient, loop: ProviderLoop) -> None:
    server.next.add(NextAnswer(header_pause_seconds=30))
    failure = read(loop, called(server, http, "openai"), idle=0.3).failure
    assert isinstance(failure, ProviderTimedOut)
    assert (failure.outcome, failure.begun) == (Outcome.UNKNOWN, False)
    most = estimated_usage(PROMPT.messages, 2048)
    assert failure.cost_micros == LUNA.cost_micros(most.input_tokens, most.output_tokens)


def test_usage_that_nobody_tells_is_estimated(server: AIServer, http: HttpClient, loop: ProviderLoop) -> None:
    server.next.add(NextAnswer(text="Größe", usage="none"))
    ours = read(loop, called(server, http, "openai"))
    assert ours.reported == [estimated_usage(PROMPT.messages, 2)]
    assert ours.finish is Finish.STOP


def test_a_refusal_before_the_first_word_is_a_failure(
    server: AIServer, http: HttpClient, loop: ProviderLoop, name: str
) -> None:
    server.next.add(NextAnswer(finish="content_filter"))
    failure = read(loop, called(server, http, name), name).failure
    assert isinstance(failure, ContentRefused)
    assert (failure.status, failure.begun) == (422, False)


def test_nobody_at_the_address(http: HttpClient, loop: ProviderLoop) -> None:
    failure = read(loop, provider_of("openai", "http://127.0.0.1:1/v1", "key", http)).failure
    assert isinstance(failure, ProviderUnreachable)
    assert (failure.sent, failure.cost_micros) == (0, 0)


def test_a_stream_changes_health_and_metrics(server: AIServer, http: HttpClient, loop: ProviderLoop) -> None:
    provider = called(server, http, "openai")
    read(loop, provider)
    health = provider.health.read()
    assert (health.status, health.latency_ms is not None) == (ProviderStatus.UP, True)
    (entry,) = server.books.as_json()
    label = 'provider="openai",model="gpt-6-luna"'
    with rising(
        mirroros_provider_duration_seconds_count={f'{label},outcome="completed"': 1},
        mirroros_provider_tokens_total={
            f'{label},direction="input"': entry["input_tokens"],
            f'{label},direction="output"': entry["output_tokens"],
        },
    ):
        read(loop, provider)
    server.next.add(NextAnswer(status=401))
    read(loop, provider)
    assert provider.health.read().status is ProviderStatus.MISCONFIGURED


def chunk(**delta: Any) -> bytes:
    return in_chunks(b"data: " + orjson.dumps({"choices": [{"delta": delta}]}) + b"\n\n")


def finish(reason: str = "stop") -> bytes:
    return in_chunks(b"data: " + orjson.dumps({"choices": [{"delta": {}, "finish_reason": reason}]}) + b"\n\n")


def in_chunks(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


DONE, END = in_chunks(b"data: [DONE]\n\n"), b"0\r\n\r\n"


def test_a_connection_whose_stream_was_read_to_its_end_is_used_again(http: HttpClient, loop: ProviderLoop) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="a") + finish() + DONE)
        time.sleep(0.05)
        connection.sendall(END)

    with serving(respond) as raw:
        for _ in range(3):
            assert read(loop, provider_of("openai", raw.url, "key", http)).text == "a"
        assert raw.most_connections == 1


def test_what_was_finished_stands_though_its_end_is_missing(http: HttpClient, loop: ProviderLoop) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="abcde") + finish("length"))
        connection.shutdown(socket.SHUT_RDWR)

    with serving(respond) as raw:
        ours = read(loop, provider_of("openai", raw.url, "key", http))
    assert (ours.text, ours.finish, ours.failure) == ("abcde", Finish.LENGTH, None)
    assert ours.reported == [estimated_usage(PROMPT.messages, 2)]


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("length", None), ("stop", "reply_empty"), ("tool_calls", "reply_empty"), ("content_filter", "refusal")],
)
def test_a_reply_without_a_word_is_one_only_when_thinking_took_all(
    http: HttpClient, loop: ProviderLoop, reason: str, outcome: str | None
) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + finish(reason) + DONE + END)

    with serving(respond) as raw:
        ours = read(loop, provider_of("openai", raw.url, "key", http))
    assert getattr(ours.failure, "reason", None) == outcome
    assert ours.finish is (None if outcome else Finish.LENGTH)


def test_what_came_before_a_refusal_stands(http: HttpClient, loop: ProviderLoop) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="a") + finish("content_filter") + DONE + END)

    with serving(respond) as raw:
        ours = read(loop, provider_of("openai", raw.url, "key", http))
    assert (ours.text, ours.finish) == ("a", Finish.CONTENT_FILTER)


@pytest.mark.parametrize(("idle", "seconds"), [(0.4, 30), (30, 0.4)])
def test_a_stream_that_falls_silent_or_never_ends_is_given_up_in_time(
    http: HttpClient, loop: ProviderLoop, idle: float, seconds: float
) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="a"))
        while seconds < idle:  # each piece comes in time, the whole takes for ever
            connection.sendall(in_chunks(b": ping\n\n"))
            time.sleep(0.02)
        connection.recv(1)

    with serving(respond) as raw:
        started = time.monotonic()
        ours = read(loop, provider_of("openai", raw.url, "key", http), idle=idle, seconds=seconds)
        assert 0.39 <= time.monotonic() - started < 5
    assert isinstance(ours.failure, ProviderTimedOut)
    assert ours.failure.begun


def test_comments_keep_a_stream_alive(http: HttpClient, loop: ProviderLoop) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD)
        for _ in range(8):
            connection.sendall(in_chunks(b": ping\n\n"))
            time.sleep(0.2)
        connection.sendall(chunk(content="a") + finish() + DONE + END)

    with serving(respond) as raw:
        assert read(loop, provider_of("openai", raw.url, "key", http), idle=1).text == "a"


def test_a_reader_that_takes_its_time_is_not_the_providers_silence(http: HttpClient, loop: ProviderLoop) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="a"))
        connection.sendall(chunk(content="b") + finish() + DONE + END)

    async def slowly(stream: Any) -> str:
        text = ""
        async for event in stream:
            await asyncio.sleep(0.25)
            text += event.text if isinstance(event, Delta) else ""
        return text

    with serving(respond) as raw:
        stream = stream_of(provider_of("openai", raw.url, "key", http), idle=0.2)
        assert loop.start(slowly(stream)).result(20) == "ab"


class Endless:
    """A provider that goes on until its connection is closed."""

    def __init__(self) -> None:
        self.began, self.closed = threading.Event(), threading.Event()

    def respond(self, connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD)
        with suppress(OSError):
            while True:
                connection.sendall(chunk(content="word "))
                self.began.set()
                time.sleep(0.01)
        self.closed.set()
        raise ConnectionError


@pytest.fixture
def endless() -> Iterator[tuple[Endless, RawProvider]]:
    endless = Endless()
    with serving(endless.respond) as raw:
        yield endless, raw


async def first_event(stream: Any) -> Event:
    async for event in stream:
        found: Event = event
        await stream.aclose()
        return found
    raise AssertionError


async def all_events(stream: Any) -> list[Event]:
    return [event async for event in stream]


def test_closing_it_closes_the_connection_at_once(
    http: HttpClient, loop: ProviderLoop, endless: tuple[Endless, RawProvider]
) -> None:
    provider = provider_of("openai", endless[1].url, "key", http)
    label = 'provider="openai",model="gpt-6-luna"'
    with rising(mirroros_provider_duration_seconds_count={f'{label},outcome="stopped"': 1}):
        assert loop.start(first_event(stream_of(provider))).result(10) == Delta("word ")
    assert endless[0].closed.wait(5)


def test_cancelling_its_reader_closes_the_connection_at_once(
    http: HttpClient, loop: ProviderLoop, endless: tuple[Endless, RawProvider]
) -> None:
    reading = loop.start(all_events(stream_of(provider_of("openai", endless[1].url, "key", http))))
    assert endless[0].began.wait(10)
    assert reading.cancel()
    assert endless[0].closed.wait(5)


def test_the_end_of_the_process_closes_the_connection(
    http: HttpClient, loop: ProviderLoop, endless: tuple[Endless, RawProvider]
) -> None:
    reading = loop.start(all_events(stream_of(provider_of("openai", endless[1].url, "key", http))))
    assert endless[0].began.wait(10)
    loop.close()
    assert endless[0].closed.wait(5)
    assert reading.cancelled()


def test_a_call_of_a_loop_that_was_closed_begins_a_new_one(
    server: AIServer, http: HttpClient, loop: ProviderLoop
) -> None:
    loop.close()
    assert read(loop, called(server, http, "openai")).finish is Finish.STOP


def test_what_a_model_or_a_provider_refuses_is_not_sent(http: HttpClient, loop: ProviderLoop) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + finish("length") + DONE + END)

    as_sent = [{"role": "user", "name": "alice", "content": "hello"}]
    options = {"tools": [{"type": "function"}], "top_p": 0.5}
    bodies = []
    with serving(respond) as raw:
        for name in ("openai", "groq"):
            stream = stream_of(
                provider_of(name, raw.url, "key", http),
                MODELS[name],
                prompt=Prompt((), as_sent),
                temperature=0.5,
                options=options,
            )
            assert read_stream(loop, stream).finish is Finish.LENGTH
        bodies = [orjson.loads(request.partition(b"\r\n\r\n")[2]) for request in raw.requests]
    streamed = {"max_completion_tokens": 2048, "stream": True, "stream_options": {"include_usage": True}}
    tools = {"tools": options["tools"], **streamed}
    assert bodies == [
        {"model": "gpt-6-luna", "messages": as_sent, **tools},
        {
            "model": "openai/gpt-oss-120b",
            "messages": [{"role": "user", "content": "hello"}],
            "temperature": 0.5,
            "top_p": 0.5,
            **tools,
        },
    ]


def test_the_mock_streams_what_it_would_answer(loop: ProviderLoop) -> None:
    mock = MockProvider("openai")
    ours = read_stream(loop, stream_of(mock))
    whole = ask(mock)
    assert (ours.text, ours.reported, ours.finish) == (whole.text, [whole.usage], Finish.STOP)
    assert len(ours.events) > 5
