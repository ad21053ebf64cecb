"""One reply while a provider generates it: a task on the providers' loop, and no connection to anybody who reads it."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import structlog

from capabilities.chat.metrics import ADDED_SECONDS, DELTAS, ENDED, FIRST_TEXT_SECONDS
from capabilities.chat.models import MessageState
from capabilities.chat.replies.bodies import LeftToday
from capabilities.chat.replies.ended import SHUTDOWN, Ended
from capabilities.chat.replies.live_text import LiveText
from database.base import Clock
from metering.breaker import BreakerIsOpen
from metering.open_call import OpenCall
from metering.rate_limit_headers import DAY, TOKEN_POLICY
from metering.settle import Outcome, UsageNotRecorded
from providers.assembly import Providers
from providers.catalogue import Model
from providers.completion import NO_OPTIONS, Finish, Prompt, TokenUsage
from providers.events import Delta, Event, Finished, Reported
from providers.problems import CallStopped, ContentRefused, ProviderFailed, ProviderTimedOut
from security.edge.problems import InternalError, Problem

BYTES_PER_TOKEN: Final = 4
"""OpenAI's rule of thumb (help.openai.com, "What are tokens and how to count them?"), for what no provider counted."""
NOT_ELSEWHERE: Final = (ContentRefused, ProviderTimedOut, CallStopped)
"""Another model would be asked in vain, or too late."""


class StopReason(StrEnum):
    USER = "user"
    SHUTDOWN = SHUTDOWN
    DATABASE = "database"
    """It was away for so long that nobody could count the reply."""
    GONE = "gone"
    """The conversation was deleted."""


@dataclass(frozen=True)
class Ids:
    user_id: UUID
    conversation_id: UUID
    user_message_id: UUID
    message_id: UUID


@dataclass(frozen=True)
class Asked:
    """`models`: the one that is asked, and others that would do. Seconds are those of the whole reply, and of a silence in it."""

    models: Sequence[Model]
    prompt: Prompt
    max_tokens: int
    temperature: float | None
    reply_seconds: float
    idle_seconds: float
    options: Mapping[str, Any] = field(default_factory=lambda: NO_OPTIONS)

    @property
    def estimated_input(self) -> int:
        return _tokens(sum(len(message.text.encode()) for message in self.prompt.messages))


class Generation:
    """`run` on the loop, then `settle` in a thread that may wait; `stop` from anywhere."""

    def __init__(self, ids: Ids, call: OpenCall, asked: Asked, providers: Providers, clock: Clock) -> None:
        self.ids = ids
        self.text = LiveText()
        self.request_id = call.running.request_id
        self.first_token_at: datetime | None = None
        self.stop_reason: StopReason | None = None
        self.has_row: Future[bool] = Future()
        """Done once its row was written, or could not be."""
        self.settling = False
        self.in_redis = 0
        """Bytes that were copied there."""
        self.in_row = 0
        self._call, self._asked, self._providers, self._clock = call, asked, providers, clock
        self.model = asked.models[0]
        self._usage: TokenUsage | None = None
        self._finish: Finish | None = None
        self._begun = False
        """The provider was asked."""
        self._failure: Exception | None = None
        self._lock = threading.Lock()
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    def stop(self, reason: StopReason) -> None:
        """The first reason counts. What was received is kept."""
        with self._lock:
            self.stop_reason = self.stop_reason or reason
            task = self._task
        if task is not None:
            with suppress(RuntimeError):  # the loop ended, and with it the task
                task[0].call_soon_threadsafe(task[1].cancel)

    async def run(self) -> None:
        """Until the last byte, however it ends."""
        task = asyncio.ensure_future(self._generate())
        with self._lock:
            self._task = asyncio.get_running_loop(), task
            if self.stop_reason is not None:
                task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            with self._lock:
                self.stop_reason = self.stop_reason or StopReason.SHUTDOWN
        except ProviderFailed as failure:
            self._failure = failure
        except Exception as error:
            structlog.get_logger().error("reply_broke", message=str(self.ids.message_id), exc_info=error)
            self._failure = error

    def settle(self) -> tuple[Ended, dict[str, object]]:
        """Count it. How it ended, and what its row is to say of that."""
        self.settling = True
        if self._failure is not None:
            return self._failed(self._failure)
        stopped = None if self._finish is not None else self.stop_reason
        if stopped is not None and not self._begun:
            self._call.released()
            return self._ended(stopped, TokenUsage(0, 0, estimated=False), 0)
        usage = self._used(stopped)
        cost = self.model.cost_micros(usage.input_tokens, usage.output_tokens, usage.cached_input_tokens)
        used = usage.input_tokens + usage.output_tokens
        self._note(usage, used, cost)
        if not self._call.answered(Outcome.DELIVERED if stopped is None else Outcome.CUT_SHORT):
            return self._failed(UsageNotRecorded())
        return self._ended(stopped, usage, cost)

    async def _generate(self) -> None:
        first, *others = self._asked.models
        try:
            await self._ask(first)
        except ProviderFailed as failure:
            other = self._other(others, failure)
            if other is None:
                raise
            await self._ask(other)

    def _other(self, others: Sequence[Model], failure: ProviderFailed) -> Model | None:
        """The next model, when the first was refused before it said anything."""
        if failure.begun or isinstance(failure, NOT_ELSEWHERE):
            return None
        for model in others:
            try:
                self._call.moved(self._providers.of(model).breaker, failure.health)
            except BreakerIsOpen:
                continue
            return model
        return None

    async def _ask(self, model: Model) -> None:
        self.model = model
        provider = self._providers.of(model)
        self._call.tally.provider, self._call.tally.model = provider.name, model.id
        if not self._begun:
            ADDED_SECONDS.observe(self._call.running.elapsed_ms() / 1000)
        self._begun = True
        events = provider.stream(
            model,
            self._asked.prompt,
            max_output_tokens=self._asked.max_tokens,
            temperature=self._asked.temperature,
            options=self._asked.options,
            deadline_seconds=self._asked.reply_seconds,
            idle_seconds=self._asked.idle_seconds,
            request_id=self.request_id,
        )
        async with aclosing(events):
            async for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Delta):
            self._publish(event.text)
        elif isinstance(event, Reported):
            self._usage = event.usage
        elif isinstance(event, Finished):
            self._finish = event.finish

    def _publish(self, text: str) -> None:
        if self.first_token_at is None:
            self.first_token_at = self._clock()
            FIRST_TEXT_SECONDS.labels(self.model.provider).observe(self._call.running.elapsed_ms() / 1000)
        DELTAS.inc()
        self.text.append(text.encode())

    def _used(self, stopped: StopReason | None) -> TokenUsage:
        """As the provider counts, else as many as we see. Of a reply that was stopped never more than was held for it."""
        reported, seen = self._usage, _tokens(len(self.text))
        if stopped is None and reported is not None:
            return reported
        taken = self._asked.estimated_input if reported is None else reported.input_tokens
        held = self._call.granted(TOKEN_POLICY)
        taken = min(taken, held) if stopped else taken
        made = min(seen, held - taken) if stopped else seen
        cached = 0 if reported is None else reported.cached_input_tokens
        return TokenUsage(taken, made, estimated=True, cached_input_tokens=cached)

    def _note(self, usage: TokenUsage, used: int, cost: int) -> None:
        tally = self._call.tally
        tally.amounts[1] = used
        tally.units |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        tally.details["estimated"] = usage.estimated
        tally.cost_micros = cost

    def _failed(self, failure: Exception) -> tuple[Ended, dict[str, object]]:
        problem = failure if isinstance(failure, Problem) else InternalError()
        reason, cost = problem.error, 0
        if isinstance(problem, ProviderFailed):
            reason, cost = problem.reason, problem.cost_micros
            if self._usage is not None or len(self.text):
                usage = self._used(None)
                cost = max(cost, self.model.cost_micros(usage.input_tokens, usage.output_tokens))
        self._call.tally.cost_micros = cost
        self._call.failed(failure)
        self._tell(MessageState.FAILED, reason)
        problem.members |= self._named()
        ended = Ended(MessageState.FAILED, model=self.model.id, problem=problem)
        return ended, {"state": MessageState.FAILED, "error_code": problem.error, "cost_micros": cost, **self._row()}

    def _ended(self, stopped: StopReason | None, usage: TokenUsage, cost: int) -> tuple[Ended, dict[str, object]]:
        state = MessageState.COMPLETE if stopped is None else MessageState.STOPPED
        retryable = stopped in (StopReason.SHUTDOWN, StopReason.DATABASE)
        finish = None if self._finish is None else self._finish.value
        self._tell(state, stopped.value if stopped is not None else finish or "")
        counted = {
            "finish_reason": finish,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "estimated": usage.estimated,
        }
        ended = Ended(
            state, model=self.model.id, retryable=retryable, remaining=self._remaining(usage), **counted  # type: ignore[arg-type]
        )
        code = SHUTDOWN if retryable else None
        return ended, {"state": state, "error_code": code, "cost_micros": cost, **counted, **self._row()}

    def _remaining(self, usage: TokenUsage) -> LeftToday:
        running = self._call.running
        left = running.remaining(TOKEN_POLICY)
        given_back = self._call.granted(TOKEN_POLICY) - usage.input_tokens - usage.output_tokens
        return LeftToday(messages=running.remaining(DAY), tokens=None if left is None else max(0, left + given_back))

    def _row(self) -> dict[str, object]:
        return {
            "content": self.text.since(0).decode(),
            "model": self.model.id,
            "provider": self.model.provider,
            "first_token_at": self.first_token_at,
            "finished_at": self._clock(),
        }

    def _named(self) -> dict[str, str]:
        return {"conversation_id": str(self.ids.conversation_id), "message_id": str(self.ids.message_id)}

    def _tell(self, state: MessageState, reason: str) -> None:
        ENDED.labels(self.model.provider, state.value, reason).inc()
        structlog.get_logger().info(
            "reply_ended",
            call=str(self.request_id),
            message=str(self.ids.message_id),
            model=self.model.id,
            state=state.value,
            reason=reason,
            bytes=len(self.text),
        )


def _tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
