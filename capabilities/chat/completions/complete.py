"""Make a completion: what is special about it among metered calls (metering.metered_calls owns their order)."""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Final

import orjson

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.chat.choose_models import LEAST_REPLY, MODELS_TRIED, PROMPT_OF_UNKNOWN, longest_reply, models_for
from capabilities.chat.completions.answers import ChatCompletion, chunks_of_whole
from capabilities.chat.completions.completion import Completion, Part, chunks_of, parts_of
from capabilities.chat.completions.read_request import Question
from capabilities.chat.plan_limits import FEATURE, ChatLimits
from capabilities.chat.replies.generation import Asked, StopReason
from capabilities.chat.replies.problems import PromptTooLong
from capabilities.chat.replies.reader_slots import ReaderSlots
from database.base import Clock
from metering.breaker import BreakerIsOpen
from metering.limits import CALL, TOKENS, Ask, Burst, Draw, Standing
from metering.metered_calls import MeteredCalls
from metering.open_call import Delivered, OpenCall
from metering.rate_limit_headers import DAY, TOKEN_POLICY
from metering.windows import day_of
from metering.work import Allowance, Work
from providers.assembly import Providers
from providers.catalogue import Model
from providers.problems import CallStopped
from security.edge.client_left import client_left
from security.secrets.hmac_sha256 import hmac_sha256

METHOD, PATH = "POST", "/api/gateway/chat/completion"
"""At every address: a key stands for the same request at all of them."""
MAX_TOKENS_HEADER: Final = "X-Max-Completion-Tokens"


@dataclass(frozen=True)
class Prepared:
    """`models` are tried in their order. `max_tokens`: the longest reply of any of them."""

    models: Sequence[Model]
    max_tokens: int


@dataclass(frozen=True)
class Begun:
    """`first` of `parts` was read already, so that what fails before it is an ordinary answer."""

    completion: Completion
    first: Sequence[Part]
    parts: Generator[Part]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Completer:
    """One per process. `calls` by provider. `drain_seconds`: how long completions go on once the process was told to stop.
    `longest_call`: what a call with its settling takes at most. `hash_key`: the server's key of `request_data_hash`.
    """

    calls: Mapping[str, MeteredCalls]
    providers: Providers
    plans: Mapping[Tier, ChatLimits]
    readers: ReaderSlots
    ongoing: "OngoingCompletions"
    reply_seconds: float
    idle_seconds: float
    longest_call: float
    hash_key: bytes
    clock: Clock

    def whole(self, caller: Caller, question: Question, idempotency_key: str | None) -> Delivered:
        """Raises a Problem for every way in which there is no completion; none of them is charged."""
        begun = self._begin(caller, question, idempotency_key)
        if isinstance(begun, Delivered):
            return begun
        with closing(begun.parts):
            for _ in begun.parts:
                if client_left():
                    raise CallStopped
        return Delivered(begun.completion.document, begun.headers)

    def streamed(
        self, caller: Caller, question: Question, idempotency_key: str | None
    ) -> tuple[Iterator[bytes], Mapping[str, str]]:
        """The chunks, which must be closed, and the answer's headers. Raises a Problem for what fails before the first one."""
        options = question.body.stream_options
        include_usage = bool(options is not None and options.include_usage)
        begun = self._begin(caller, question, idempotency_key)
        if isinstance(begun, Delivered):
            stored = ChatCompletion.model_validate_json(begun.body)
            return chunks_of_whole(stored, include_usage=include_usage), begun.headers
        return chunks_of(begun.completion, begun.first, begun.parts, include_usage=include_usage), begun.headers

    def usage(self, caller: Caller) -> tuple[Ask, Standing]:
        """Today's figures, nothing taken. Raises LimitsUnavailable."""
        work = self._work("", None, lambda who, now: self._allowance(who.tier, 1, 1, now))
        return next(iter(self.calls.values())).usage(caller, work)

    def _begin(self, caller: Caller, question: Question, key: str | None) -> Delivered | Begun:
        if self.ongoing.draining:
            raise CallStopped(sent=0)
        prepared = cache(lambda tier: self._prepared(tier, question))

        def allowance(who: Caller, now: datetime) -> Allowance:
            longest = prepared(who.tier).max_tokens
            least, most = question.most_input + min(LEAST_REPLY, longest), question.most_input + longest
            return self._allowance(who.tier, least, most, now)

        with self.readers.until_failure():
            work = self._work(self._fingerprint(question), key, allowance)
            call, models = self._admitted(caller, work, prepared(caller.tier).models)
            if isinstance(call, Delivered):
                self.readers.give_back()
                return call
        return self._started(call, models, question)

    def _prepared(self, tier: Tier, question: Question) -> Prepared:
        plan = self.plans[tier]
        named = models_for(self.providers.catalogue, self.calls.keys(), question.body.model, tier, self.clock())
        models = question.able(named, {name: each.format for name, each in self.providers.by_name.items()})[
            :MODELS_TRIED
        ]
        contexts = [model.context for model in models if model.context is not None]
        room = min(contexts, default=PROMPT_OF_UNKNOWN) - question.most_input
        if room < LEAST_REPLY or (plan.longest_prompt is not None and question.most_input > plan.longest_prompt):
            raise PromptTooLong(min(plan.longest_prompt or room + question.most_input, room + question.most_input))
        wanted = question.body.wanted_tokens
        most = min(room, longest_reply(tier, plan, models, wanted))
        return Prepared(models, most if wanted is None else min(wanted, most))

    def _admitted(
        self, caller: Caller, work: Work, models: Sequence[Model]
    ) -> tuple[Delivered | OpenCall, Sequence[Model]]:
        """By the first provider of the models that takes calls now."""
        for at, model in enumerate(models[:-1]):
            with suppress(BreakerIsOpen):
                return self.calls[model.provider].begin(caller, work), models[at:]
        return self.calls[models[-1].provider].begin(caller, work), models[-1:]

    def _started(self, call: OpenCall, models: Sequence[Model], question: Question) -> Begun:
        max_tokens = call.granted(TOKEN_POLICY) - question.most_input
        call.tally.details |= {"method": METHOD, "route": PATH}
        asked = Asked(
            models=models,
            prompt=question.prompt,
            max_tokens=max_tokens,
            temperature=question.body.temperature,
            reply_seconds=self.reply_seconds,
            idle_seconds=self.idle_seconds,
            options=question.options,
        )
        completion = Completion(call, asked, self.providers, self.clock)
        parts = parts_of(completion, self.providers.loop, self.ongoing.added(completion, self.readers.give_back))
        headers = {**call.headers, MAX_TOKENS_HEADER: str(max_tokens)}
        return Begun(completion, list(islice(parts, 1)), parts, headers)

    def _work(self, fingerprint: str, key: str | None, allowance: Callable[[Caller, datetime], Allowance]) -> Work:
        return Work(
            feature=FEATURE,
            noun="messages",
            route=f"{METHOD} {PATH}",
            fingerprint=fingerprint,
            idempotency_key=key,
            lease_seconds=self.longest_call,
            allowance=allowance,
        )

    def _fingerprint(self, question: Question) -> str:
        """Of what is asked, however the answer is to come."""
        body = question.body
        asked = [body.model, question.prompt.as_sent, question.options, body.wanted_tokens, body.temperature]
        return hmac_sha256(self.hash_key, orjson.dumps(asked))

    def _allowance(self, tier: Tier, at_least: int, at_most: int, now: datetime) -> Allowance:
        plan, today = self.plans[tier], day_of(now)
        return Allowance(
            draws=(
                Draw(DAY, FEATURE, CALL, today, plan.per_day),
                Draw(TOKEN_POLICY, FEATURE, TOKENS, today, plan.tokens_per_day, at_least, at_most),
            ),
            burst=Burst(plan.burst, plan.burst_seconds),
            concurrency=plan.concurrency,
            failures_per_hour=plan.failures_per_hour,
            shed_from=1.0,
        )


class OngoingCompletions:
    """Those of this process, so that they end in time when it is told to stop (metering.parts.Drain)."""

    def __init__(self, drain_seconds: float) -> None:
        self.draining = False
        self._drain_seconds = drain_seconds
        self._all: dict[Completion, None] = {}

    def added(self, completion: Completion, at_end: Callable[[], None]) -> Callable[[], None]:
        """Returns what is to be called at its end."""
        self._all[completion] = None

        def end() -> None:
            self._all.pop(completion, None)
            at_end()

        return end

    def drain(self) -> None:
        self.draining = True
        timer = threading.Timer(self._drain_seconds, self._stop)
        timer.daemon = True
        timer.start()

    def drained(self) -> bool:
        return not self._all

    def _stop(self) -> None:
        for completion in list(self._all):
            completion.stop(StopReason.SHUTDOWN)
