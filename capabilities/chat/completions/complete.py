"""Make a completion: what is special about it among metered calls (metering.metered_calls owns their order)."""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Final

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.chat.admit import Admission, Admitted, Prepared, Request
from capabilities.chat.choose_models import LEAST_REPLY, MODELS_TRIED, PROMPT_OF_UNKNOWN, longest_reply
from capabilities.chat.completions.answers import ChatCompletion, chunks_of_whole
from capabilities.chat.completions.completion import Completion, Part, chunks_of, parts_of
from capabilities.chat.completions.read_request import Question
from capabilities.chat.replies.generation import StopReason
from capabilities.chat.replies.problems import PromptTooLong
from capabilities.chat.replies.reader_slots import ReaderSlots
from metering.open_call import Delivered
from providers.problems import CallStopped
from security.edge.client_left import client_left

PATH = "/api/gateway/chat/completion"
"""At every address: a key stands for the same request at all of them."""
MAX_TOKENS_HEADER: Final = "X-Max-Completion-Tokens"


@dataclass(frozen=True)
class Begun:
    """`first` of `parts` was read already, so that what fails before it is an ordinary answer."""

    completion: Completion
    first: Sequence[Part]
    parts: Generator[Part]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Completer:
    """One per process."""

    admission: Admission
    readers: ReaderSlots
    ongoing: "OngoingCompletions"

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

    def _begin(self, caller: Caller, question: Question, key: str | None) -> Delivered | Begun:
        if self.ongoing.draining:
            raise CallStopped(sent=0)
        request = Request(PATH, question.asked, key)
        with self.readers.until_failure():
            call = self.admission.admit(caller, request, lambda tier: self._prepared(tier, question))
            if isinstance(call, Delivered):
                self.readers.give_back()
                return call
        return self._started(call)

    def _prepared(self, tier: Tier, question: Question) -> Prepared:
        plan = self.admission.plans[tier]
        formats = {name: each.format for name, each in self.admission.providers.by_name.items()}
        models = question.able(self.admission.models(question.body.model, tier), formats)[:MODELS_TRIED]
        contexts = [model.context for model in models if model.context is not None]
        room = min(contexts, default=PROMPT_OF_UNKNOWN) - question.most_input
        if room < LEAST_REPLY or (plan.longest_prompt is not None and question.most_input > plan.longest_prompt):
            raise PromptTooLong(min(plan.longest_prompt or room + question.most_input, room + question.most_input))
        wanted = question.body.wanted_tokens
        most = min(room, longest_reply(tier, plan, models, wanted))
        return Prepared(
            models,
            question.prompt,
            question.most_input,
            most if wanted is None else min(wanted, most),
            question.body.temperature,
            question.options,
        )

    def _started(self, admitted: Admitted) -> Begun:
        call, asked = admitted.call, admitted.asked
        completion = Completion(call, asked, self.admission.providers, self.admission.clock)
        loop = self.admission.providers.loop
        parts = parts_of(completion, loop, self.ongoing.added(completion, self.readers.give_back))
        headers = {**call.headers, MAX_TOKENS_HEADER: str(asked.max_tokens)}
        return Begun(completion, list(islice(parts, 1)), parts, headers)


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
