"""One completion, and the thread that reads it. Nothing of it is stored, so nobody can take it up again: when its reader goes away
it is stopped, and what had come counts.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing, suppress
from itertools import chain
from time import monotonic, sleep
from typing import Any, Final

from capabilities.chat.completions.answers import (
    CachedTokens,
    ChatCompletion,
    ChunkWriter,
    CompletionChoice,
    CompletionUsage,
    FinishReason,
    Heading,
    RepliedMessage,
)
from capabilities.chat.completions.tool_calls import CalledTools, pieces_of
from capabilities.chat.models import MessageState
from capabilities.chat.replies.ended import Ended
from capabilities.chat.replies.events import JOINED_SECONDS, PING_SECONDS
from capabilities.chat.replies.generation import Asked, Generation, Ids, StopReason
from capabilities.chat.replies.live_text import Reader
from database.base import Clock
from metering.idempotency import kept_form
from metering.open_call import OpenCall
from providers.assembly import Providers
from providers.completion import Finish, TokenUsage
from providers.events import Event, ToolCalls
from providers.loop import ProviderLoop
from providers.problems import CallStopped
from security.api.streams import PING

Part = str | list[dict[str, Any]] | None
"""Text, pieces of calls of tools, or None for some seconds of silence."""
STOP_SECONDS: Final = 10.0
ALL_CAME: Final = Ended(MessageState.STREAMING)
"""Nothing more comes; how it ended is known when it is counted."""


class Completion(Generation):
    """`document`: the whole answer, once it was counted."""

    def __init__(self, call: OpenCall, asked: Asked, providers: Providers, clock: Clock) -> None:
        request_id = call.running.request_id
        super().__init__(
            Ids(call.running.caller.user_id, request_id, request_id, request_id), call, asked, providers, clock
        )
        self.document = b""
        self.usage = TokenUsage(0, 0, estimated=True)
        self.tool_pieces: list[dict[str, Any]] = []
        self._created = int(clock().timestamp())

    @property
    def heading(self) -> Heading:
        """Known when something has come: until then another model may take over."""
        return Heading(f"chatcmpl-{self.request_id.hex}", self._created, self.model.id)

    @property
    def finish_reason(self) -> FinishReason:
        """Of one that is whole."""
        assert self._finish is not None
        return self._finish.value

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            self.text.end(ALL_CAME)

    def _take(self, event: Event) -> None:
        if isinstance(event, ToolCalls):
            self.tool_pieces += pieces_of(event.delta)
            self.text.append(b"")  # wakes the reader
        else:
            super()._take(event)

    def _note(self, usage: TokenUsage, used: int, cost: int) -> None:
        super()._note(usage, used, cost)
        self.usage = usage
        if self._finish is not None:
            self.document = self._whole(self._finish).model_dump_json().encode()
            self._call.tally.answer = kept_form(self.document) if self._call.running.held is not None else None

    def _named(self) -> dict[str, str]:
        return {}

    def _whole(self, finish: Finish) -> ChatCompletion:
        tools, heading = CalledTools(), self.heading
        tools.add(self.tool_pieces)
        message = RepliedMessage(content=self.text.since(0).decode() or None, tool_calls=list(tools.whole()) or None)
        return ChatCompletion(
            id=heading.id,
            created=heading.created,
            model=heading.model,
            choices=[CompletionChoice(message=message, finish_reason=finish.value)],
            usage=told(self.usage),
        )


def parts_of(completion: Completion, loop: ProviderLoop, at_end: Callable[[], None]) -> Generator[Part]:
    """As they come. Raises the problem of one that failed. When it is closed before the end, the completion is stopped. Calls
    `at_end`, however it ends.
    """
    task: Future[None] | None = None
    reader = Reader(completion.text)
    try:
        task = loop.start(completion.run())
        taken, said_at = 0, monotonic()
        while reader.ended is None or taken < len(completion.tool_pieces):
            text = reader.read(said_at + PING_SECONDS - monotonic())
            pieces = completion.tool_pieces[taken:]
            taken += len(pieces)
            silent = monotonic() - said_at >= PING_SECONDS
            if pieces:
                yield pieces
            if text:
                yield text.decode()
            elif silent and not pieces:
                yield None
            if pieces or text or silent:
                said_at = monotonic()
                sleep(JOINED_SECONDS)
    finally:
        reader.close()
        completion.stop(StopReason.USER)
        if task is not None:
            with suppress(CancelledError, TimeoutError):
                task.result(STOP_SECONDS)
        ended, _ = completion.settle()
        at_end()
    if ended.problem is not None:
        raise ended.problem
    if ended.state is MessageState.STOPPED:
        raise CallStopped


def chunks_of(
    completion: Completion, first: Sequence[Part], parts: Generator[Part], *, include_usage: bool
) -> Iterator[bytes]:
    writer: ChunkWriter | None = None
    with closing(parts):
        for part in chain(first, parts):
            if part is None:
                yield PING
                continue
            if writer is None:
                writer = ChunkWriter(completion.heading, include_usage=include_usage)
                yield writer.role(text=isinstance(part, str))
            yield writer.text(part) if isinstance(part, str) else writer.tool_calls(part)
    writer = writer or ChunkWriter(completion.heading, include_usage=include_usage)
    yield writer.end(completion.finish_reason, told(completion.usage))


def told(usage: TokenUsage) -> CompletionUsage:
    return CompletionUsage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=CachedTokens(cached_tokens=usage.cached_input_tokens),
        estimated=usage.estimated,
    )
