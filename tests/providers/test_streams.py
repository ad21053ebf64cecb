"""Streams of all four providers, against the stand-in and a server of the test's own: what comes of each, every way in which one can
end, and that nothing of it is left behind.
"""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from metering.settle import Outcome
from providers.bodies import ProviderStatus
from providers.completion import Finish, Message, Prompt, Role, TokenUsage, estimated_usage
from providers.events import Delta, Event, Finished
from providers.http_client import HttpClient
from providers.http_provider import HttpProvider
from providers.mock_provider import MockProvider
from providers.problems import (
    CallStopped,
    ContentRefused,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimedOut,
    ProviderUnreachable,
)
from providers.stream_reader import LONGEST_TEXT
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.metric_values import rising
from tests.providers.questions import LUNA, MODELS, ask, provider_at
from tests.providers.raw_provider import RawProvider, serving
from tests.providers.reading import Read, read_stream, stream_of
from tests.sandbox.ai_provider import anthropic_sdk, openai_sdk

PROMPT = Prompt([Message(Role.SYSTEM, "Answer briefly."), Message(Role.USER, "Wie groß ist π?")])
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def read(provider: HttpProvider, **changes: Any) -> Read:
    return read_stream(provider.http.loop, stream_of(provider, MODELS[provider.name], prompt=PROMPT, **changes))


@dataclass(frozen=True)
class Told:
    text: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    finish: str | None


def of_official_sdk(ai_server: AIServer, name: str, most: int) -> Told:
    """As the provider's own package reads the same stream."""
    system, user = (message.text for message in PROMPT.messages)
    if name == "anthropic":
        asked: Any = {"model": MODELS[name].id, "system": system, "messages": [{"role": "user", "content": user}]}
        with anthropic_sdk(ai_server).messages.stream(max_tokens=most, **asked) as stream:
            message = stream.get_final_message()
        usage, text = message.usage, "".join(block.text for block in message.content if block.type == "text")
        cached = usage.cache_read_input_tokens or 0
        return Told(text, usage.input_tokens + cached, usage.output_tokens, cached, message.stop_reason)
    text, reason, told = "", None, None
    messages: Any = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    for chunk in openai_sdk(ai_server, name).chat.completions.create(
        model=MODELS[name].id,
        max_completion_tokens=most,
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
    ):
        for choice in chunk.choices or ():
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
        told = chunk.usage or told
    assert told is not None
    details = told.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    return Told(text, told.prompt_tokens, told.total_tokens - told.prompt_tokens, cached, reason)


REPLIES = {
    "plain": NextAnswer(),
    "long": NextAnswer(tokens=2000),
    "multi-byte": NextAnswer(split_utf8=True, cached_tokens=5),
    "reasoning": NextAnswer(reasoning_tokens=40),
    "cut at its most tokens": NextAnswer(tokens=2000),
    "wrong usage": NextAnswer(usage="wrong"),
}
SAME_FINISH = {"end_turn": "stop", "max_tokens": "length"}


@pytest.mark.slow
@pytest.mark.parametrize("reply", REPLIES)
def test_we_read_what_the_official_package_reads(ai_server: AIServer, each: HttpProvider, reply: str) -> None:
    most = 20 if reply.startswith("cut") else 4000
    ai_server.next.add(REPLIES[reply], times=2)
    ours = read(each, most=most)
    told = of_official_sdk(ai_server, each.name, most)
    assert ours.failure is None
    assert (ours.text, ours.finish) == (told.text, SAME_FINISH.get(told.finish or "", told.finish))
    usage = TokenUsage(told.input_tokens, told.output_tokens, estimated=False, cached_input_tokens=told.cached_tokens)
    assert ours.reported[-1] == usage
    assert isinstance(ours.events[-1], Finished)
    mine, sdks = ai_server.books.as_json()
    for member in ("method", "path", "key", "model", "text_sha256", "status", "billed", "complete", "answer_sha256"):
        assert mine[member] == sdks[member], member
    if reply != "wrong usage":
        assert (mine["input_tokens"], mine["output_tokens"]) == (usage.input_tokens, usage.output_tokens)


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
    ai_server: AIServer, each: HttpProvider, trouble: dict[str, Any], failed: type[ProviderFailed], reason: str
) -> None:
    ai_server.next.add(NextAnswer(**trouble))
    failure = read(each).failure
    assert isinstance(failure, ProviderFailed)
    assert (type(failure), failure.reason, failure.sent, failure.begun) == (failed, reason, 1, False)
    assert failure.cost_micros == 0
    assert len(list(ai_server.books.as_json())) == 1


AFTER_THE_FIRST_WORD: dict[str, tuple[dict[str, Any], type[ProviderFailed], str]] = {
    "cut": ({"cut_after_chunks": 10}, ProviderBroke, "connection_lost"),
    "ended": ({"end_after_chunks": 10}, ProviderBroke, "stream_cut"),
    "error": ({"error_after_chunks": 10}, ProviderBroke, "error_in_stream"),
    "garbage": ({"garbage_after_chunks": 10}, ProviderFailed, "reply_malformed"),
    "huge": ({"huge_chunk_after_chunks": 10}, ProviderFailed, "reply_too_large"),
}
TEXT = "Größe " * 100


@pytest.mark.parametrize("trouble", AFTER_THE_FIRST_WORD)
def test_trouble_after_the_first_word_keeps_the_text_and_knows_the_cost(
    ai_server: AIServer, each: HttpProvider, trouble: str
) -> None:
    changes, failed, reason = AFTER_THE_FIRST_WORD[trouble]
    if (each.name, trouble) == ("google", "error"):  # it stands in the stream as it is, and is no event
        reason = "stream_cut"
    ai_server.next.add(NextAnswer(text=TEXT, **changes))
    check_begun(read(each), each.name, failed, reason)


def check_begun(ours: Read, name: str, failed: type[ProviderFailed], reason: str) -> None:
    failure = ours.failure
    assert isinstance(failure, ProviderFailed)
    assert (type(failure), failure.reason, failure.sent, failure.begun) == (failed, reason, 1, True)
    assert 20 < len(ours.text) < len(TEXT)
    assert TEXT.startswith(ours.text)
    assert (failure.cost_micros > 0) is (MODELS[name].input_micros is not None)
    assert ours.finish is None


@pytest.mark.slow
def test_a_stream_that_stalls_is_given_up(ai_server: AIServer, each: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(text=TEXT, stall_after_chunks=10))
    check_begun(read(each, idle=0.5), each.name, ProviderTimedOut, "timeout")


@pytest.mark.slow
@pytest.mark.parametrize("each", ["openai", "anthropic"], indirect=True)
def test_a_reply_that_goes_on_for_ever_is_given_up(ai_server: AIServer, each: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(endless=True, chunk_tokens=5000))
    ours = read(each, idle=10)
    assert isinstance(ours.failure, ProviderFailed)
    assert ours.failure.reason == "reply_too_large"
    assert len(ours.text.encode()) <= LONGEST_TEXT


@pytest.mark.slow
def test_closing_a_stream_of_the_stand_in_is_seen_by_it_at_once(ai_server: AIServer, each: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(endless=True, tokens_per_second=100))
    stream = stream_of(each, MODELS[each.name], prompt=PROMPT)
    each.http.loop.start(first_event(stream)).result(10)
    left = time.time()
    (entry,) = ai_server.books.entries
    while entry.client_left_at is None:
        assert time.time() < left + 5
        time.sleep(0.01)
    assert not entry.complete


@pytest.mark.slow
def test_the_head_must_come_in_time(ai_server: AIServer, provider: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(header_pause_seconds=30))
    failure = read(provider, idle=0.3).failure
    assert isinstance(failure, ProviderTimedOut)
    assert (failure.outcome, failure.begun) == (Outcome.UNKNOWN, False)
    most = estimated_usage(PROMPT.messages, 2048)
    assert failure.cost_micros == LUNA.cost_micros(most.input_tokens, most.output_tokens)


def test_usage_that_nobody_tells_is_estimated(ai_server: AIServer, provider: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(text="Größe", usage="none"))
    ours = read(provider)
    assert ours.reported == [estimated_usage(PROMPT.messages, 2)]
    assert ours.finish is Finish.STOP


def test_a_refusal_before_the_first_word_is_a_failure(ai_server: AIServer, each: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(finish="content_filter"))
    failure = read(each).failure
    assert isinstance(failure, ContentRefused)
    assert (failure.status, failure.begun) == (422, False)


def test_nobody_at_the_address(http: HttpClient) -> None:
    failure = read(provider_at("http://127.0.0.1:1/v1", "key", http)).failure
    assert isinstance(failure, ProviderUnreachable)
    assert (failure.sent, failure.cost_micros) == (0, 0)


def test_a_task_that_is_cancelled_before_the_request_left_is_told_so(http: HttpClient) -> None:
    """The provider has taken the connection, and says nothing of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        provider = provider_at(f"https://127.0.0.1:{listener.getsockname()[1]}/v1", "key", http)

        async def cancelled() -> BaseException | Event:
            first = asyncio.ensure_future(anext(stream_of(provider)))
            connection, _ = await asyncio.get_running_loop().run_in_executor(None, listener.accept)
            with connection:
                first.cancel()
                return (await asyncio.gather(first, return_exceptions=True))[0]

        failure = http.loop.start(cancelled()).result(30)
    assert isinstance(failure, CallStopped)
    assert (failure.sent, failure.cost_micros) == (0, 0)


def test_a_stream_changes_health_and_metrics(ai_server: AIServer, provider: HttpProvider) -> None:
    read(provider)
    health = provider.health.read()
    assert (health.status, health.latency_ms is not None) == (ProviderStatus.UP, True)
    (entry,) = ai_server.books.as_json()
    label = 'provider="openai",model="gpt-6-luna"'
    with rising(
        mirroros_provider_duration_seconds_count={f'{label},outcome="completed"': 1},
        mirroros_provider_tokens_total={
            f'{label},direction="input"': entry["input_tokens"],
            f'{label},direction="output"': entry["output_tokens"],
        },
    ):
        read(provider)
    ai_server.next.add(NextAnswer(status=401))
    read(provider)
    assert provider.health.read().status is ProviderStatus.MISCONFIGURED


def chunk(**delta: Any) -> bytes:
    return in_chunks(b"data: " + orjson.dumps({"choices": [{"delta": delta}]}) + b"\n\n")


def end(reason: str = "stop") -> bytes:
    return in_chunks(b"data: " + orjson.dumps({"choices": [{"delta": {}, "finish_reason": reason}]}) + b"\n\n")


def in_chunks(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


DONE, END = in_chunks(b"data: [DONE]\n\n"), b"0\r\n\r\n"


def test_a_connection_whose_stream_was_read_to_its_end_is_used_again(http: HttpClient) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="a") + end() + DONE)
        time.sleep(0.05)
        connection.sendall(END)

    with serving(respond) as raw:
        for _ in range(3):
            assert read(provider_at(raw.url, "key", http)).text == "a"
        assert raw.most_connections == 1


def test_what_was_finished_stands_though_its_end_is_missing(http: HttpClient) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="abcde") + end("length"))
        connection.shutdown(socket.SHUT_RDWR)

    with serving(respond) as raw:
        ours = read(provider_at(raw.url, "key", http))
    assert (ours.text, ours.finish, ours.failure) == ("abcde", Finish.LENGTH, None)
    assert ours.reported == [estimated_usage(PROMPT.messages, 2)]


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [("length", None), ("stop", "reply_empty"), ("tool_calls", "reply_empty"), ("content_filter", "refusal")],
)
def test_a_reply_without_a_word_is_one_only_when_thinking_took_all(
    http: HttpClient, reason: str, outcome: str | None
) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + end(reason) + DONE + END)

    with serving(respond) as raw:
        ours = read(provider_at(raw.url, "key", http))
    assert getattr(ours.failure, "reason", None) == outcome
    assert ours.finish is (None if outcome else Finish.LENGTH)


def test_what_came_before_a_refusal_stands(http: HttpClient) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="a") + end("content_filter") + DONE + END)

    with serving(respond) as raw:
        ours = read(provider_at(raw.url, "key", http))
    assert (ours.text, ours.finish) == ("a", Finish.CONTENT_FILTER)


@pytest.mark.slow
@pytest.mark.parametrize(("idle", "seconds"), [(0.4, 30), (30, 0.4)])
def test_a_stream_that_falls_silent_or_never_ends_is_given_up_in_time(
    http: HttpClient, idle: float, seconds: float
) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="a"))
        while seconds < idle:  # each piece comes in time, the whole takes for ever
            connection.sendall(in_chunks(b": ping\n\n"))
            time.sleep(0.02)
        connection.recv(1)

    with serving(respond) as raw:
        started = time.monotonic()
        ours = read(provider_at(raw.url, "key", http), idle=idle, seconds=seconds)
        assert 0.39 <= time.monotonic() - started < 5
    assert isinstance(ours.failure, ProviderTimedOut)
    assert ours.failure.begun


@pytest.mark.slow
def test_comments_keep_a_stream_alive(http: HttpClient) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD)
        for _number in range(8):
            connection.sendall(in_chunks(b": ping\n\n"))
            time.sleep(0.2)
        connection.sendall(chunk(content="a") + end() + DONE + END)

    with serving(respond) as raw:
        assert read(provider_at(raw.url, "key", http), idle=1).text == "a"


@pytest.mark.slow
def test_a_reader_that_takes_its_time_is_not_the_providers_silence(http: HttpClient) -> None:
    read_first = threading.Event()

    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + chunk(content="a"))
        assert read_first.wait(10)
        connection.sendall(chunk(content="b") + end() + DONE + END)

    async def slowly(stream: AsyncGenerator[Event, None]) -> str:
        text = ""
        async for event in stream:
            read_first.set()
            await asyncio.sleep(0.7 if text == "" else 0)
            text += event.text if isinstance(event, Delta) else ""
        return text

    with serving(respond) as raw:
        stream = stream_of(provider_at(raw.url, "key", http), idle=0.3)
        assert http.loop.start(slowly(stream)).result(20) == "ab"


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


async def first_event(stream: AsyncGenerator[Event, None]) -> Event:
    async for event in stream:
        await stream.aclose()
        return event
    raise AssertionError


async def all_events(stream: AsyncGenerator[Event, None]) -> list[Event]:
    return [event async for event in stream]


def test_closing_it_closes_the_connection_at_once(http: HttpClient, endless: tuple[Endless, RawProvider]) -> None:
    provider = provider_at(endless[1].url, "key", http)
    label = 'provider="openai",model="gpt-6-luna"'
    with rising(mirroros_provider_duration_seconds_count={f'{label},outcome="stopped"': 1}):
        assert http.loop.start(first_event(stream_of(provider))).result(10) == Delta("word ")
    assert endless[0].closed.wait(5)


def test_cancelling_its_reader_closes_the_connection_at_once(
    http: HttpClient, endless: tuple[Endless, RawProvider]
) -> None:
    reading = http.loop.start(all_events(stream_of(provider_at(endless[1].url, "key", http))))
    assert endless[0].began.wait(10)
    assert reading.cancel()
    assert endless[0].closed.wait(5)


@pytest.mark.slow
def test_cancelling_before_the_first_byte_closes_the_connection(ai_server: AIServer, each: HttpProvider) -> None:
    ai_server.next.add(NextAnswer(hold=True))
    reading = each.http.loop.start(all_events(stream_of(each, MODELS[each.name], prompt=PROMPT)))
    assert ai_server.books.wait_for(1)
    assert reading.cancel()
    (entry,) = ai_server.books.entries
    deadline = time.monotonic() + 5
    while entry.client_left_at is None and time.monotonic() < deadline:
        time.sleep(0.01)
    ai_server.next.release()
    assert entry.client_left_at is not None


def test_the_end_of_the_process_closes_the_connection(http: HttpClient, endless: tuple[Endless, RawProvider]) -> None:
    reading = http.loop.start(all_events(stream_of(provider_at(endless[1].url, "key", http))))
    assert endless[0].began.wait(10)
    http.loop.close()
    assert endless[0].closed.wait(5)
    assert reading.cancelled()


def test_a_call_of_a_loop_that_was_closed_begins_a_new_one(provider: HttpProvider) -> None:
    provider.http.loop.close()
    assert read(provider).finish is Finish.STOP


def test_what_a_model_or_a_provider_refuses_is_not_sent(http: HttpClient) -> None:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD + end("length") + DONE + END)

    as_sent = [{"role": "user", "name": "alice", "content": "hello"}]
    options = {"tools": [{"type": "function"}], "top_p": 0.5}
    with serving(respond) as raw:
        for name in ("openai", "groq"):
            stream = stream_of(
                provider_at(raw.url, "key", http, MODELS[name]),
                MODELS[name],
                prompt=Prompt((), as_sent),
                temperature=0.5,
                options=options,
            )
            assert read_stream(http.loop, stream).finish is Finish.LENGTH
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


def test_the_mock_streams_what_it_would_answer(http: HttpClient) -> None:
    mock = MockProvider("openai")
    ours = read_stream(http.loop, stream_of(mock))
    whole = ask(mock)
    assert (ours.text, ours.reported, ours.finish) == (whole.text, [whole.usage], Finish.STOP)
    assert len(ours.events) > 5
