"""A provider that is called over HTTP, in the format it speaks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from time import perf_counter
from typing import Any, TypeVar
from uuid import UUID

import structlog

from metering.breaker import Breaker
from providers import audio
from providers.audio import Recording, Speech, Transcript
from providers.audio_models import Listener, Speaker
from providers.catalogue import Model
from providers.completion import (
    NO_OPTIONS,
    Completion,
    Finish,
    Format,
    Message,
    Prompt,
    TokenUsage,
    estimated_usage,
    tokens_of,
)
from providers.events import Event, Finished, Reported
from providers.health import ProviderHealth
from providers.http_client import LARGEST_REPLY, HttpClient, Reply
from providers.metrics import PROVIDER_COST, PROVIDER_SECONDS, PROVIDER_TOKENS
from providers.problems import (
    CallStopped,
    ContentRefused,
    ProviderBroke,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderTimedOut,
)
from providers.stream_reader import StreamReader
from providers.wire_format import WireFormat

JSON = "application/json"
END_SECONDS = 0.5
"""How long the end of a stream is waited for that has said all, so that its connection can be used again."""
Answered = TypeVar("Answered", Transcript, Speech)


class HttpProvider:
    """One per process, shared by all threads. `base_url` is from the settings, never from a user. `asked_model` is the one whose
    description is asked for to see whether the provider is well.
    """

    mock = False

    def __init__(
        self, name: str, base_url: str, key: str, *, asked_model: Model, wire: WireFormat, http: HttpClient
    ) -> None:
        self.name = name
        self.asked_model = asked_model
        self.breaker = Breaker()
        self.health = ProviderHealth(name, self.breaker, self.try_key)
        self._base_url = base_url
        self._wire = wire
        self._headers = {**wire.headers(key), "Accept": JSON, "User-Agent": "mirroros"}
        self.http = http

    @property
    def format(self) -> Format:
        return self._wire.format

    def complete(
        self,
        model: Model,
        messages: Sequence[Message],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
        request_id: UUID,
    ) -> Completion:
        started, prompt = perf_counter(), Prompt(messages)
        body = self._wire.request(
            model, prompt, max_output_tokens=max_output_tokens, temperature=None, options=NO_OPTIONS, stream=False
        )
        try:
            reply = self.http.request(
                "POST",
                self._base_url + self._wire.path,
                headers={**self._headers, **self._wire.call_headers(request_id), "Content-Type": JSON},
                body=body,
                deadline_seconds=deadline_seconds,
            )
            completion = self._wire.read(reply, model, prompt)
        except ProviderFailed as failure:
            _note_most(failure, model, messages, max_output_tokens)
            self._failed(model.id, failure, perf_counter() - started)
            raise
        seconds = perf_counter() - started
        self._completed(model, completion.usage, seconds, latency=seconds)
        return completion

    async def stream(
        self,
        model: Model,
        prompt: Prompt,
        *,
        max_output_tokens: int,
        temperature: float | None = None,
        options: Mapping[str, Any] = NO_OPTIONS,
        deadline_seconds: float,
        idle_seconds: float,
        request_id: UUID,
    ) -> AsyncGenerator[Event, None]:
        started, reader, ended, latency = perf_counter(), self._wire.reader(), False, 0.0
        body = self._wire.request(
            model,
            prompt,
            max_output_tokens=max_output_tokens,
            temperature=temperature,
            options=options,
            stream=True,
        )
        try:
            async with aclosing(
                self.http.stream(
                    self._base_url + self._wire.path,
                    headers={**self._headers, **self._wire.call_headers(request_id), "Content-Type": JSON},
                    body=body,
                    failure_of=self._wire.failure_of,
                    deadline_seconds=deadline_seconds,
                    idle_seconds=idle_seconds,
                )
            ) as received:
                try:
                    async for data in received:
                        latency = latency or perf_counter() - started
                        for event in reader.read(data):
                            yield event
                        if reader.failure is not None:
                            raise reader.failure
                        if reader.ended:
                            break
                except ProviderFailed:
                    if reader.finish is None:  # otherwise only the usage is missing
                        raise
                finish, usage = _finish_of(reader), _taken(prompt, reader)
                if usage is not reader.usage:
                    yield Reported(usage)
                ended = True
                self._completed(model, usage, perf_counter() - started, latency=latency)
                yield Finished(finish)
                await _read_end(received)
        except ProviderFailed as failure:
            ended = True
            failure.begun = reader.begun
            if reader.begun or reader.usage is not None:
                failure.cost_micros = _cost_of(model, _taken(prompt, reader))
            else:
                _note_most(failure, model, prompt.messages, max_output_tokens)
            self._failed(model.id, failure, perf_counter() - started)
            raise
        finally:
            if not ended:  # whoever read it does not want the rest
                PROVIDER_SECONDS.labels(self.name, model.id, "stopped").observe(perf_counter() - started)
                PROVIDER_COST.labels(self.name, model.id).inc(_cost_of(model, _taken(prompt, reader)))

    async def transcribe(
        self, model: Listener, recording: Recording, *, deadline_seconds: float, request_id: UUID
    ) -> Transcript:
        body, media_type = audio.transcription_request(model, recording)
        return await self._ask_audio(
            audio.TRANSCRIPTIONS,
            body,
            media_type,
            model=model.id,
            read=lambda reply: audio.read_transcript(reply, model, recording),
            refused=audio.transcription_failure,
            most=model.cost_micros(recording.seconds),
            deadline_seconds=deadline_seconds,
            request_id=request_id,
        )

    async def speak(self, model: Speaker, text: str, *, deadline_seconds: float, request_id: UUID) -> Speech:
        return await self._ask_audio(
            audio.SPEECH,
            audio.speech_request(model, text),
            JSON,
            model=model.id,
            read=lambda reply: audio.read_speech(reply, model, text),
            most=model.cost_micros(len(text)),
            deadline_seconds=deadline_seconds,
            request_id=request_id,
            accept="application/octet-stream",
            largest=audio.LARGEST_SPEECH,
        )

    async def _ask_audio(
        self,
        path: str,
        body: bytes,
        media_type: str,
        *,
        model: str,
        read: Callable[[Reply], Answered],
        most: int,
        deadline_seconds: float,
        request_id: UUID,
        refused: Callable[[ProviderFailed, int], ProviderFailed] = lambda failure, _: failure,
        accept: str = JSON,
        largest: int = LARGEST_REPLY,
    ) -> Answered:
        """`most`: what the call may cost when nobody tells."""
        started = perf_counter()
        try:
            reply = await self.http.exchange(
                self._base_url + path,
                headers={
                    **self._headers,
                    **self._wire.call_headers(request_id),
                    "Accept": accept,
                    "Content-Type": media_type,
                },
                body=body,
                deadline_seconds=deadline_seconds,
                largest_reply=largest,
            )
            if reply.status != 200:
                raise refused(self._wire.failure_of(reply), reply.status)
            answered = read(reply)
        except ProviderFailed as failure:
            if isinstance(failure, ProviderTimedOut):
                failure.cost_micros = most
            self._failed(model, failure, perf_counter() - started)
            raise
        except asyncio.CancelledError:  # nobody wants it any more
            PROVIDER_SECONDS.labels(self.name, model, "stopped").observe(perf_counter() - started)
            PROVIDER_COST.labels(self.name, model).inc(most)
            raise
        seconds = perf_counter() - started
        self._answered(model, answered.cost_micros, seconds, latency=seconds)
        return answered

    def try_key(self, seconds: float) -> None:
        """Ask for the description of a model, which costs nothing. Raises a ProviderFailed."""
        reply = self.http.request(
            "GET",
            self._base_url + self._wire.model_path(self.asked_model),
            headers=self._headers,
            body=None,
            deadline_seconds=seconds,
        )
        if not self._wire.knows_model(reply):
            raise self._wire.failure_of(reply)

    def _completed(self, model: Model, usage: TokenUsage, seconds: float, *, latency: float) -> None:
        self._answered(model.id, _cost_of(model, usage), seconds, latency=latency)
        PROVIDER_TOKENS.labels(self.name, model.id, "input").inc(usage.input_tokens)
        PROVIDER_TOKENS.labels(self.name, model.id, "output").inc(usage.output_tokens)

    def _answered(self, model: str, cost_micros: int, seconds: float, *, latency: float) -> None:
        self.health.note(None, latency)
        PROVIDER_SECONDS.labels(self.name, model, "completed").observe(seconds)
        PROVIDER_COST.labels(self.name, model).inc(cost_micros)

    def _failed(self, model: str, failure: ProviderFailed, seconds: float) -> None:
        self.health.note(failure)
        PROVIDER_SECONDS.labels(self.name, model, failure.error).observe(seconds)
        PROVIDER_COST.labels(self.name, model).inc(failure.cost_micros)
        log = structlog.get_logger()
        tell = log.error if isinstance(failure, ProviderMisconfigured) else log.warning
        tell(failure.error, provider=self.name, model=model, reason=failure.reason)


def _cost_of(model: Model, usage: TokenUsage) -> int:
    return model.cost_micros(usage.input_tokens, usage.output_tokens, usage.cached_input_tokens)


def _note_most(failure: ProviderFailed, model: Model, messages: Sequence[Message], max_output_tokens: int) -> None:
    """The provider may go on with what was sent and not answered, and bill all that it was allowed."""
    if isinstance(failure, ProviderTimedOut | CallStopped) and failure.sent:
        failure.cost_micros = _cost_of(model, estimated_usage(messages, max_output_tokens))


def _taken(prompt: Prompt, reader: StreamReader) -> TokenUsage:
    """By what has come so far: the provider's own figures, and what they leave out is estimated."""
    output_tokens = tokens_of(reader.received)
    if reader.usage is None:
        return estimated_usage(prompt.messages, output_tokens)
    if reader.usage.estimated:
        return replace(reader.usage, output_tokens=max(reader.usage.output_tokens, output_tokens))
    return reader.usage


def _finish_of(reader: StreamReader) -> Finish:
    """Of a stream that came to its end. Raises a ProviderFailed for one that is no reply. All that it was allowed may have gone into
    thinking.
    """
    if reader.finish is None:
        raise ProviderBroke("stream_cut")
    if reader.begun or reader.finish is Finish.LENGTH:
        return reader.finish
    raise ContentRefused("refusal") if reader.finish is Finish.CONTENT_FILTER else ProviderFailed("reply_empty")


async def _read_end(received: AsyncGenerator[bytes, None]) -> None:
    with suppress(TimeoutError, ProviderFailed):
        async with asyncio.timeout(END_SECONDS):
            async for _ in received:
                pass
