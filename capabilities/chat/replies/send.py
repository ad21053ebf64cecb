"""Sending a message, or asking for another version of a reply: what is special about it among metered calls.

(metering.metered_calls owns their order.) Up to the generation all happens in the request; from there on nothing rests on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from time import monotonic, sleep
from typing import Final
from uuid import UUID

import orjson
from sqlalchemy import Engine

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.chat.admit import Admission, Admitted, Prepared, Request
from capabilities.chat.choose_models import MODELS_TRIED, PROMPT_OF_UNKNOWN, longest_reply
from capabilities.chat.conversations.context import Turn, context_of, tokens_of
from capabilities.chat.replies import rows
from capabilities.chat.replies.bodies import ContextTold, RegenerateBody, ReplyOptions, ReplyStart, SendBody
from capabilities.chat.replies.find_place import Place, find_place
from capabilities.chat.replies.follow import Follow
from capabilities.chat.replies.generation import Generation, Ids
from capabilities.chat.replies.live_text import Reader
from capabilities.chat.replies.problems import PromptTooLong
from capabilities.chat.replies.running import RunningReplies
from capabilities.chat.replies.write_reply import write_reply
from database import reading
from database.base import uuid7
from metering.idempotency import RequestStillRunning
from metering.metered_calls import Delivered
from providers.completion import Message, Prompt, Role
from providers.problems import CallStopped
from security.edge.problems import Problem, ValidationFailed, field_error

SEND_PATH: Final = "/api/gateway/chat/messages"
REGENERATE_PATH: Final = f"{SEND_PATH}/regenerate"
JOIN_SECONDS: Final = 5.0
"""Between the claim of an Idempotency-Key and the row of its reply lies one transaction."""


@dataclass(frozen=True)
class Wanted:
    """A checked request. `content` is None for another version of a reply that there is."""

    path: str
    fields: ReplyOptions
    content: str | None
    conversation_id: UUID | None
    at: UUID | None
    """The parent of the message, or the reply of which another version is wanted."""
    at_beginning: bool
    idempotency_key: str | None

    @property
    def request(self) -> Request:
        fields = self.fields
        where = (str(self.conversation_id), str(self.at), self.at_beginning)
        asked = (*where, self.content, fields.model, fields.max_tokens, fields.temperature)
        return Request(self.path, asked, self.idempotency_key)

    @classmethod
    def sent(cls, body: SendBody, idempotency_key: str | None) -> "Wanted":
        """Raises ValidationFailed."""
        if body.parent_id is not None and body.conversation_id is None:
            raise ValidationFailed([field_error(["conversation_id"], "missing", "Send it with parent_id")])
        at_beginning = "parent_id" in body.model_fields_set and body.parent_id is None
        return cls(SEND_PATH, body, body.content, body.conversation_id, body.parent_id, at_beginning, idempotency_key)

    @classmethod
    def again(cls, body: RegenerateBody, idempotency_key: str | None) -> "Wanted":
        return cls(REGENERATE_PATH, body, None, body.conversation_id, body.message_id, False, idempotency_key)


@dataclass(frozen=True)
class Sent:
    """A reply that is on its way, or was when the request was first made. `fresh`: it has just been. The reader must be closed."""

    ids: Ids
    start: ReplyStart
    reader: Reader
    headers: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False


@dataclass(frozen=True)
class SendMessage:
    """One per process."""

    engine: Engine
    admission: Admission
    running: RunningReplies
    follow: Follow
    default_model: str

    def send(self, caller: Caller, wanted: Wanted) -> Sent:
        """Raises a Problem when there is no reply; none of them is charged."""
        if self.running.draining:
            raise CallStopped(sent=0)
        until = monotonic() + JOIN_SECONDS
        while True:
            try:
                return self._sent(caller, wanted)
            except RequestStillRunning as running:
                if (joined := self._join(caller.user_id, running.request_id)) is not None:
                    return joined
                if monotonic() > until:
                    raise
                sleep(0.05)  # its row is about to be written, or its answer is

    def _sent(self, caller: Caller, wanted: Wanted) -> Sent:
        try:
            place = self._place(caller.user_id, wanted)
            call = self.admission.admit(caller, wanted.request, lambda tier: self._prepared(tier, place, wanted))
        except RequestStillRunning:
            raise
        except Problem:  # perhaps because of what the same request did before
            stored = self.admission.stored(caller.user_id, wanted.request)
            if stored is None:
                raise
            call = stored
        if isinstance(call, Delivered):
            return self._replayed(caller.user_id, call)
        return self._started(call, place, wanted)

    def _place(self, user_id: UUID, wanted: Wanted) -> Place:
        """Raises NotFound, ReplyRunning, ConversationFull."""
        if wanted.conversation_id is None:
            return Place()
        again = wanted.content is None
        return find_place(
            self.engine, user_id, wanted.conversation_id, wanted.at, at_beginning=wanted.at_beginning, again=again
        )

    def _prepared(self, tier: Tier, place: Place, wanted: Wanted) -> Prepared:
        """Raises NotInPlan, ValidationFailed, ModelUnavailable."""
        plan, fields = self.admission.plans[tier], wanted.fields
        models = self.admission.models(fields.model or place.model or self.default_model, tier)[:MODELS_TRIED]
        longest = longest_reply(tier, plan, models, fields.max_tokens)
        max_tokens = min(fields.max_tokens or place.max_tokens or longest, longest)
        room = [model.context - max_tokens for model in models if model.context is not None]
        most = min(room if plan.longest_prompt is None else [*room, plan.longest_prompt], default=PROMPT_OF_UNKNOWN)
        first = [] if place.system_prompt is None else [Message(Role.SYSTEM, place.system_prompt)]
        last = [] if wanted.content is None else [Message(Role.USER, wanted.content)]
        own = _most_tokens([*first, *last])
        context = None
        if place.conversation_id is not None and place.parent_id is not None:
            context = context_of(self.engine, place.conversation_id, place.parent_id, most - own)
        turns = [] if context is None else [_message(turn) for turn in context.turns]
        if own > most or not (turns or last):
            raise PromptTooLong(most)
        messages = [*first, *turns, *last]
        return Prepared(
            models,
            Prompt(messages),
            _most_tokens(messages),
            max_tokens,
            place.temperature if fields.temperature is None else fields.temperature,
            dropped=0 if context is None else context.dropped,
        )

    def _started(self, admitted: Admitted, place: Place, wanted: Wanted) -> Sent:
        call, asked, prepared = admitted.call, admitted.asked, admitted.prepared
        wished = wanted.fields.max_tokens or place.max_tokens or prepared.max_tokens
        turns = sum(message.role is not Role.SYSTEM for message in asked.prompt.messages)
        try:
            ids = _ids(call.running.caller.user_id, place, wanted)
            write_reply(
                self.engine,
                ids,
                is_new=place.conversation_id is None,
                parent_id=place.parent_id,
                content=wanted.content,
                model=asked.models[0],
                request_id=call.running.request_id,
                owner=self.running.owner,
                now=self.admission.clock(),
            )
            call.tally.answer = orjson.dumps({**asdict(ids), "model": asked.models[0].id}).decode()
            start = _start(
                ids,
                asked.models[0].id,
                max_tokens=asked.max_tokens,
                max_tokens_reduced=asked.max_tokens < wished,
                context=ContextTold(sent=turns, dropped=prepared.dropped),
            )
            generation = Generation(ids, call, asked, self.admission.providers, self.admission.clock)
            reader = Reader(generation.text)
            self.running.begin(generation, start)
        except BaseException:
            call.released()
            raise
        return Sent(ids, start, reader, call.headers, fresh=True)

    def _join(self, user_id: UUID, request_id: UUID | None) -> Sent | None:
        """The running reply of the request that has the same Idempotency-Key."""
        if request_id is None:
            return None
        generation = self.running.of_request(request_id)
        if generation is not None and generation.ids.user_id == user_id:
            ids, model = generation.ids, generation.model.id
        else:
            with reading() as session:
                found = rows.running_reply(session, user_id, request_id)
            if found is None:
                return None
            ids, model = Ids(user_id, found.conversation_id, _known(found.parent_id), found.id), found.model or ""
        return Sent(ids, _start(ids, model), self.follow.reader(user_id, ids.message_id))

    def _replayed(self, user_id: UUID, stored: Delivered) -> Sent:
        """Raises NotFound when it was deleted."""
        answer = orjson.loads(stored.body)
        model = answer.pop("model")
        ids = Ids(**{name: UUID(value) for name, value in answer.items()})
        return Sent(ids, _start(ids, model), self.follow.reader(user_id, ids.message_id), stored.headers)


def _ids(user_id: UUID, place: Place, wanted: Wanted) -> Ids:
    """Lists are in the order of new ones."""
    user_message_id = _known(place.parent_id) if wanted.content is None else uuid7()
    return Ids(user_id, place.conversation_id or uuid7(), user_message_id, uuid7())


def _message(turn: Turn) -> Message:
    return Message(Role(turn.role.value), turn.text)


def _most_tokens(messages: Sequence[Message]) -> int:
    return sum(tokens_of(len(message.text.encode())) for message in messages)


def _known(message_id: UUID | None) -> UUID:
    """Every reply has a message before it."""
    if message_id is None:
        raise ValueError("A reply without a message before it")
    return message_id


def _start(
    ids: Ids,
    model: str,
    *,
    max_tokens: int | None = None,
    max_tokens_reduced: bool = False,
    context: ContextTold | None = None,
) -> ReplyStart:
    return ReplyStart(
        conversation_id=ids.conversation_id,
        message_id=ids.message_id,
        user_message_id=ids.user_message_id,
        model=model,
        max_tokens=max_tokens,
        max_tokens_reduced=max_tokens_reduced,
        context=context,
    )
