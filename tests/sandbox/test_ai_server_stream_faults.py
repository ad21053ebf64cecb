"""Faults inside a stream as the providers' own SDKs meet them, and what the books say was sent and billed."""

import asyncio
import contextlib
import json
import threading
from hashlib import sha256
from typing import Any

import pytest
import requests

from sandbox.ai_server.books import Entry
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from tests.sandbox.ai_provider import (
    MODELS,
    ai_server,
    anthropic_sdk,
    async_anthropic_sdk,
    async_openai_sdk,
    openai_sdk,
)

TEXT = "Twelve here." * 10
"""Ten chunks of three tokens."""
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]


def stream_of(providers: AIServer, face: str, *, timeout: float = 20) -> Any:
    if face == "anthropic":
        ask = anthropic_sdk(providers).messages.create
        return ask(model=MODELS[face], max_tokens=500, messages=HELLO, stream=True)
    completions = openai_sdk(providers, face, timeout=timeout).chat.completions
    return completions.create(model=MODELS[face], messages=HELLO, stream=True)


def raw_stream(providers: AIServer, face: str) -> str:
    """Past the SDK's own reading."""
    path = f"{providers.base_url(face)}{'/v1/messages' if face == 'anthropic' else '/chat/completions'}"
    headers = {"Authorization": f"Bearer {providers.keys[face]}", "anthropic-version": "2023-06-01"}
    body = {"model": MODELS[face], "messages": HELLO, "max_completion_tokens": 500, "stream": True}
    if face == "anthropic":
        body["max_tokens"] = body.pop("max_completion_tokens")
    return requests.post(path, json=body, headers=headers, timeout=20).content.decode()


def text_in(event: Any) -> str:
    """Of a chunk, or of Anthropic's event."""
    if hasattr(event, "choices"):
        return (event.choices[0].delta.content or "") if event.choices else ""
    return str(getattr(event.delta, "text", "")) if event.type == "content_block_delta" else ""


class Reader:
    """Keeps what came, also when the stream broke."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def read(self, stream: Any) -> "Reader":
        for event in stream:
            self.note(event)
        return self

    def read_some(self, stream: Any, pieces: int) -> "Reader":
        """And go away."""
        with contextlib.closing(stream):
            for event in stream:
                self.note(event)
                if len(self.pieces) == pieces:
                    break
        return self

    def note(self, event: Any) -> None:
        if text_in(event):
            self.pieces.append(text_in(event))


def only_entry(providers: AIServer) -> Entry:
    assert providers.books.wait_for_end()
    (entry,) = providers.books.entries
    return entry


def assert_sent(entry: Entry, text: str) -> None:
    assert (entry.answer_bytes, entry.answer_sha256) == (len(text.encode()), sha256(text.encode()).hexdigest())


@pytest.fixture
def broken() -> tuple[type[Exception], ...]:
    """What the SDKs raise for a connection that breaks or is silent."""
    import httpx2
    import openai

    return openai.APIConnectionError, httpx2.TransportError


@pytest.mark.parametrize("face", MODELS)
def test_a_cut_stream_is_billed_as_far_as_it_came(
    providers: AIServer, broken: tuple[type[Exception], ...], face: str
) -> None:
    providers.next.add(NextAnswer(text=TEXT, cut_after_chunks=2, reasoning_tokens=6))
    reader = Reader()
    with pytest.raises(broken):
        reader.read(stream_of(providers, face))
    assert "".join(reader.pieces) == TEXT[:24]
    entry = only_entry(providers)
    assert (entry.status, entry.billed, entry.complete, entry.client_left_at) == (200, True, False, None)
    assert (entry.chunks, entry.output_tokens, entry.input_tokens) == (2, 6 + 6, 2)
    assert_sent(entry, TEXT[:24])


@pytest.mark.parametrize("face", MODELS)
def test_a_stream_stalls_until_its_reader_goes(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(text=TEXT, stall_after_chunks=1))
    assert Reader().read_some(stream_of(providers, face), 1).pieces == [TEXT[:12]]
    entry = only_entry(providers)
    assert entry.client_left_at is not None and entry.client_left_at >= entry.received_at
    assert (entry.complete, entry.chunks, entry.output_tokens) == (False, 1, 3)


@pytest.mark.parametrize("face", MODELS)
def test_a_stream_ends_without_its_end(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(text=TEXT, end_after_chunks=3))
    stream = list(stream_of(providers, face))
    assert "".join(text_in(each) for each in stream) == TEXT[:36]
    last = stream[-1]
    assert last.type == "content_block_delta" if face == "anthropic" else last.choices[0].finish_reason is None
    assert (only_entry(providers).complete, only_entry(providers).output_tokens) == (False, 9)


@pytest.mark.parametrize("face", ["openai", "groq", "anthropic"])
def test_an_error_comes_in_the_middle(providers: AIServer, face: str) -> None:
    import anthropic
    import openai

    providers.next.add(NextAnswer(text=TEXT, error_after_chunks=2))
    reader = Reader()
    error: Any = anthropic.APIStatusError if face == "anthropic" else openai.APIError
    with pytest.raises(error) as raised:
        reader.read(stream_of(providers, face))
    assert "".join(reader.pieces) == TEXT[:24]
    assert ("overloaded_error" if face == "anthropic" else "server_error") in json.dumps(raised.value.body)
    assert (only_entry(providers).complete, only_entry(providers).output_tokens) == (False, 6)


def test_google_puts_its_error_between_the_events_so_that_no_reader_of_events_sees_it(providers: AIServer) -> None:
    providers.next.add(NextAnswer(text=TEXT, error_after_chunks=2), times=2)
    assert "".join(Reader().read(stream_of(providers, "google")).pieces) == TEXT[:24]
    answer = raw_stream(providers, "google")
    (error,) = json.loads(answer.rpartition("\n\n")[2])
    assert error["error"]["status"] == "UNAVAILABLE" and "[DONE]" not in answer


@pytest.mark.parametrize("face", MODELS)
def test_garbage_comes_in_the_middle_and_the_stream_goes_on(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(text=TEXT, garbage_after_chunks=2), times=2)
    reader = Reader()
    with pytest.raises(json.JSONDecodeError):
        reader.read(stream_of(providers, face))
    assert "".join(reader.pieces) == TEXT[:24]
    assert raw_stream(providers, face).count(TEXT[:12]) == 10
    assert providers.books.wait_for_end()
    assert (providers.books.entries[1].complete, providers.books.entries[1].output_tokens) == (True, 30)


@pytest.mark.parametrize("face", MODELS)
def test_a_huge_line_is_part_of_the_text(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(text=TEXT, huge_chunk_after_chunks=2))
    reader = Reader().read(stream_of(providers, face))
    assert len(reader.pieces[2]) == 2 * 1024 * 1024
    assert "".join(reader.pieces[:2] + reader.pieces[3:]) == TEXT
    entry = only_entry(providers)
    assert (entry.chunks, entry.output_tokens) == (11, 30 + 512 * 1024)
    assert_sent(entry, "".join(reader.pieces))


@pytest.mark.parametrize("face", MODELS)
def test_usage_is_missing_or_wrong_and_the_books_are_right(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(text=TEXT, usage="none"))
    providers.next.add(NextAnswer(text=TEXT, usage="wrong"))
    for times in (0, 10):
        if face == "anthropic":
            told = [
                each.usage.output_tokens
                for each in stream_of(providers, face)
                if each.type == "message_delta" and each.usage
            ]
        else:
            ask: Any = openai_sdk(providers, face).chat.completions.create
            chunks = ask(model=MODELS[face], messages=HELLO, stream=True, stream_options={"include_usage": True})
            told = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
        assert told[-1:] == ([30 * times] if times else [])
    assert [entry.output_tokens for entry in providers.books.billed] == [30, 30]


@pytest.mark.parametrize("face", MODELS)
def test_an_answer_never_ends_until_its_reader_goes(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(text=TEXT, endless=True, tokens_per_second=3_000))
    reader = Reader().read_some(stream_of(providers, face), 16)
    entry = only_entry(providers)
    assert "".join(reader.pieces) == (TEXT * 2)[: 16 * 12]
    assert entry.client_left_at is not None and not entry.complete and entry.chunks >= 16
    assert entry.output_tokens == 3 * entry.chunks == entry.answer_bytes // 4


@pytest.mark.parametrize("face", ["openai", "anthropic"])
def test_an_asynchronous_reader_goes(providers: AIServer, face: str) -> None:
    providers.next.add(NextAnswer(text=TEXT, endless=True, tokens_per_second=300))

    async def read_two() -> list[str]:
        if face == "anthropic":
            async with async_anthropic_sdk(providers) as client:
                ask: Any = client.messages.create
                return await two_of(await ask(model=MODELS[face], max_tokens=99, messages=HELLO, stream=True))
        async with async_openai_sdk(providers, face) as sdk:
            ask = sdk.chat.completions.create
            return await two_of(await ask(model=MODELS[face], messages=HELLO, stream=True))

    async def two_of(stream: Any) -> list[str]:
        reader = Reader()
        async with stream:
            async for event in stream:
                reader.note(event)
                if len(reader.pieces) == 2:
                    break
        return reader.pieces

    assert "".join(asyncio.run(read_two())) == TEXT[:24]
    entry = only_entry(providers)
    assert entry.client_left_at is not None and not entry.complete and entry.chunks >= 2


def test_tokens_come_no_faster_than_was_wanted(providers: AIServer) -> None:
    providers.next.add(NextAnswer(text=TEXT, tokens_per_second=300, reasoning_tokens=15))
    assert "".join(Reader().read(stream_of(providers, "openai")).pieces) == TEXT
    entry = only_entry(providers)
    assert entry.ended_at is not None and entry.ended_at - entry.received_at >= 45 / 300
    assert (entry.chunks, entry.output_tokens) == (10, 45)


def test_chunks_are_as_large_as_was_wanted(providers: AIServer) -> None:
    providers.next.add(NextAnswer(text=TEXT, chunk_tokens=1))
    providers.next.add(NextAnswer(text=TEXT, chunk_tokens=100))
    sizes = [[len(piece) for piece in Reader().read(stream_of(providers, "groq")).pieces] for _ in range(2)]
    assert sizes == [[4] * 30, [120]]


@pytest.mark.parametrize("slow", [{"hold": True}, {"delay_seconds": 30.0}, {"header_pause_seconds": 30.0}])
def test_who_leaves_before_the_first_byte_has_paid_for_the_question(
    providers: AIServer, broken: tuple[type[Exception], ...], slow: dict[str, Any]
) -> None:
    providers.next.add(NextAnswer(text=TEXT, **slow))
    with pytest.raises(broken):
        stream_of(providers, "openai", timeout=0.2)
    assert providers.books.wait_until(lambda entries: any(each.client_left_at for each in entries))
    providers.next.release()
    entry = only_entry(providers)
    assert (entry.billed, entry.input_tokens, entry.output_tokens, entry.chunks) == (True, 2, 0, 0)


def test_a_fault_behind_the_last_chunk_comes_before_the_end(
    providers: AIServer, broken: tuple[type[Exception], ...]
) -> None:
    providers.next.add(NextAnswer(text=TEXT, cut_after_chunks=1_000))
    reader = Reader()
    with pytest.raises(broken):
        reader.read(stream_of(providers, "openai"))
    assert "".join(reader.pieces) == TEXT
    assert (only_entry(providers).complete, only_entry(providers).output_tokens) == (False, 30)


def test_a_stream_ends_where_it_is_when_the_provider_stops(broken: tuple[type[Exception], ...]) -> None:
    with ai_server() as server:
        server.next.add(NextAnswer(text=TEXT, endless=True, tokens_per_second=300))
        stream = stream_of(server, "openai")
        next(iter(stream))
        server.stop()
        with pytest.raises(broken):
            list(stream)
        (entry,) = server.books.entries
        assert entry.ended_at is not None and (entry.complete, entry.client_left_at) == (False, None)
        server.start()
        assert "".join(Reader().read(stream_of(server, "openai")).pieces).startswith("You asked")


def test_a_slow_reader_holds_back_its_own_stream_alone(providers: AIServer) -> None:
    providers.next.add(NextAnswer(endless=True, chunk_tokens=10_000))
    with contextlib.closing(stream_of(providers, "openai")) as slow:
        next(iter(slow))
        assert Reader().read(stream_of(providers, "openai")).pieces
        first, second = providers.books.entries
        assert second.complete and first.answer_bytes < 64 * 1024 * 1024
    assert providers.books.wait_for_end()


def test_many_streams_run_at_once_and_the_books_have_each(providers: AIServer) -> None:
    providers.next.add(NextAnswer(text=TEXT, tokens_per_second=1_000, hold=True), times=20)
    read: list[str] = []

    def ask() -> None:
        read.append("".join(Reader().read(stream_of(providers, "openai")).pieces))

    readers = [threading.Thread(target=ask) for _ in range(20)]
    for each in readers:
        each.start()
    assert providers.books.wait_for(20)
    providers.next.release()
    for each in readers:
        each.join(20)
    assert read == [TEXT] * 20
    assert providers.books.wait_for_end()
    assert [(entry.complete, entry.output_tokens) for entry in providers.books.billed] == [(True, 30)] * 20
    assert providers.books.most_at_once == 20


@pytest.mark.slow
def test_three_hundred_streams_run_at_ten_chunks_a_second(providers: AIServer) -> None:
    providers.next.add(NextAnswer(text=TEXT, tokens_per_second=30, hold=True), times=300)
    host, port = providers.url.removeprefix("http://").split(":")
    body = json.dumps({"model": MODELS["openai"], "messages": HELLO, "stream": True})
    request = (
        f"POST /openai/v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {providers.keys['openai']}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    )

    async def read() -> str:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request.encode())
        answer = await reader.read()
        writer.close()
        return answer.decode()

    async def read_all() -> list[str]:
        readers = [asyncio.create_task(read()) for _ in range(300)]
        assert await asyncio.to_thread(providers.books.wait_for, 300, 60)
        providers.next.release()
        return await asyncio.gather(*readers)

    answers = asyncio.run(read_all())
    assert [answer.count(TEXT[:12]) for answer in answers] == [10] * 300
    entries = providers.books.billed
    assert [(entry.complete, entry.chunks) for entry in entries] == [(True, 10)] * 300
    assert min((entry.ended_at or 0) - entry.received_at for entry in entries) >= 1
    assert providers.books.most_at_once == 300


def test_another_process_says_what_is_usual(providers: AIServer) -> None:
    controls = f"{providers.url}/controls"
    said = requests.post(f"{controls}/usual-answer", json={"text": TEXT, "chunk_tokens": 30}, timeout=10)
    assert said.json() == {"waiting": 0}
    assert Reader().read(stream_of(providers, "openai")).pieces == [TEXT]
    requests.post(f"{controls}/next-answer", json={"text": "once"}, timeout=10)
    assert Reader().read(stream_of(providers, "openai")).pieces == ["once"]
    assert Reader().read(stream_of(providers, "openai")).pieces == [TEXT]
    requests.post(f"{controls}/clear", timeout=10)
    assert "".join(Reader().read(stream_of(providers, "openai")).pieces).startswith("You asked")
