"""Sending a message, or asking for another version of a reply: what is special about it among metered calls.

(metering.metered_calls owns their order.) Up to the generation all happens in the request; from there on nothing rests on it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from time import monotonic, sleep
from typing import Final
from uuid import UUID

import orjson
from sqlalchemy.orm import Session

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.chat.choose_models import LEAST_REPLY, MODELS_TRIED, PROMPT_OF_UNKNOWN, longest_reply, models_for
from capabilities.chat.conversations.append import append
from capabilities.chat.conversations.branches import MOST_MESSAGES
from capabilities.chat.conversations.context import Turn, context_of, tokens_of
from capabilities.chat.conversations.hold import find_conversation, hold_conversation, message_in
from capabilities.chat.conversations.make import add_conversation
from capabilities.chat.conversations.problems import ConversationFull, ReplyRunning
from capabilities.chat.models import ChatMessage, Conversation, MessageRole, MessageState
from capabilities.chat.plan_limits import FEATURE, ChatLimits
from capabilities.chat.replies import rows
from capabilities.chat.replies.bodies import ContextTold, RegenerateBody, ReplyFields, ReplyStart, SendBody
from capabilities.chat.replies.follow import Follow
from capabilities.chat.replies.generation import Asked, Generation, Ids
from capabilities.chat.replies.live_text import Reader
from capabilities.chat.replies.problems import PromptTooLong
from capabilities.chat.replies.running import RunningReplies
from database import reading, transaction
from database.base import Clock, uuid7
from metering.breaker import BreakerIsOpen
from metering.idempotency import RequestStillRunning
from metering.limits import CALL, TOKENS, Burst, Draw
from metering.metered_calls import Allowance, Delivered, MeteredCalls, OpenCall, Work
from metering.rate_limit_headers import DAY, TOKEN_POLICY
from metering.windows import day_of
from providers.assembly import Providers
from providers.catalogue import Model
from providers.completion import Message, Prompt, Role
from providers.problems import CallStopped
from security.edge.problems import NotFound, Problem, ValidationFailed, field_error
from security.secrets.hmac_sha256 import hmac_sha256

SEND_PATH: Final = "/api/gateway/chat/messages"
REGENERATE_PATH: Final = f"{SEND_PATH}/regenerate"
JOIN_SECONDS: Final = 5.0
"""Between the claim of an Idempotency-Key and the row of its reply lies one transaction."""


@dataclass(frozen=True)
class Wanted:
    """A checked request. `content` is None for another version of a reply that there is."""

    path: str
    fields: ReplyFields
    content: str | None
    conversation_id: UUID | None
    at: UUID | None
    """The parent of the message, or the reply of which another version is wanted."""
    at_beginning: bool
    idempotency_key: str | None

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
class Place:
    """Where in a conversation the message goes, and what that conversation says of its replies. `parent_id`: of the new message; of
    another version of a reply its own parent, which the user wrote.
    """

    conversation_id: UUID | None = None
    parent_id: UUID | None = None
    system_prompt: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Prepared:
    """What the models of a plan are asked. `prompt_tokens` is the most that the prompt can have."""

    models: Sequence[Model]
    prompt: Prompt
    prompt_tokens: int
    max_tokens: int
    max_tokens_reduced: bool
    context: ContextTold


@dataclass(frozen=True)
class Sent:
    """A reply that is on its way, or was when the request was first made. The reader must be closed."""

    ids: Ids
    start: ReplyStart
    reader: Reader
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SendMessage:
    """One per process. `calls` by provider. `hash_key`: the server's key of `request_data_hash`."""

    calls: Mapping[str, MeteredCalls]
    providers: Providers
    plans: Mapping[Tier, ChatLimits]
    running: RunningReplies
    follow: Follow
    default_model: str
    reply_seconds: float
    idle_seconds: float
    longest_call: float
    hash_key: bytes
    clock: Clock

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
        fingerprint = self._fingerprint(wanted)
        try:
            with reading() as session:
                place = _place(session, caller.user_id, wanted)
            prepared = cache(lambda tier: self._prepared(tier, place, wanted))
            work = Work(
                feature=FEATURE,
                noun="messages",
                route=f"POST {wanted.path}",
                fingerprint=fingerprint,
                idempotency_key=wanted.idempotency_key,
                lease_seconds=self.longest_call,
                allowance=lambda who, now: self._allowance(who.tier, prepared(who.tier), now),
            )
            call = self._begun(caller, work, prepared(caller.tier).models)
        except RequestStillRunning:
            raise
        except Problem:  # perhaps because of what the same request did before
            stored = self._stored(caller.user_id, wanted, fingerprint)
            if stored is None:
                raise
            call = Delivered(stored, {"Idempotency-Replayed": "true"})
        if isinstance(call, Delivered):
            return self._replayed(caller.user_id, call)
        return self._started(call, prepared(call.running.caller.tier), place, wanted)

    def _stored(self, user_id: UUID, wanted: Wanted, fingerprint: str) -> bytes | None:
        if wanted.idempotency_key is None:
            return None
        keys = next(iter(self.calls.values())).idempotency
        return keys.look(user_id, f"POST {wanted.path}", wanted.idempotency_key, fingerprint)

    def _begun(self, caller: Caller, work: Work, models: Sequence[Model]) -> Delivered | OpenCall:
        """By the first provider of the models that takes calls now."""
        *others, last = dict.fromkeys(model.provider for model in models)
        for provider in others:
            with suppress(BreakerIsOpen):
                return self._begun_by(provider, caller, work)
        return self._begun_by(last, caller, work)

    def _begun_by(self, provider: str, caller: Caller, work: Work) -> Delivered | OpenCall:
        call = self.calls[provider].begin(caller, work)
        if isinstance(call, OpenCall):
            call.tally.provider = provider
        return call

    def _fingerprint(self, wanted: Wanted) -> str:
        fields = wanted.fields
        where = (wanted.path, str(wanted.conversation_id), str(wanted.at), wanted.at_beginning)
        asked = [*where, wanted.content, fields.model, fields.max_tokens, fields.temperature]
        return hmac_sha256(self.hash_key, orjson.dumps(asked))

    def _allowance(self, tier: Tier, prepared: Prepared, now: datetime) -> Allowance:
        plan, day, most = self.plans[tier], day_of(now), prepared.prompt_tokens + prepared.max_tokens
        least = prepared.prompt_tokens + min(LEAST_REPLY, prepared.max_tokens)
        return Allowance(
            draws=(
                Draw(DAY, FEATURE, CALL, day, plan.per_day),
                Draw(TOKEN_POLICY, FEATURE, TOKENS, day, plan.tokens_per_day, least, most),
            ),
            burst=Burst(plan.burst, plan.burst_seconds),
            concurrency=plan.concurrency,
            failures_per_hour=plan.failures_per_hour,
            shed_from=1.0,
        )

    def _prepared(self, tier: Tier, place: Place, wanted: Wanted) -> Prepared:
        """Raises NotInPlan, ValidationFailed, ModelUnavailable."""
        plan = self.plans[tier]
        name = wanted.fields.model or place.model or self.default_model
        models = models_for(self.providers.catalogue, self.calls.keys(), name, tier, self.clock())[:MODELS_TRIED]
        longest = longest_reply(tier, plan, models, wanted.fields.max_tokens)
        max_tokens = min(wanted.fields.max_tokens or place.max_tokens or longest, longest)
        reduced = max_tokens < (wanted.fields.max_tokens or place.max_tokens or 0)
        room = [model.context - max_tokens for model in models if model.context is not None]
        most = min(room if plan.longest_prompt is None else [*room, plan.longest_prompt], default=PROMPT_OF_UNKNOWN)
        first = [] if place.system_prompt is None else [Message(Role.SYSTEM, place.system_prompt)]
        last = [] if wanted.content is None else [Message(Role.USER, wanted.content)]
        own = _most_tokens([*first, *last])
        context = None
        if place.conversation_id is not None and place.parent_id is not None:
            with reading() as session:
                context = context_of(session, place.conversation_id, place.parent_id, most - own)
        turns = [] if context is None else [_message(turn) for turn in context.turns]
        if own > most or not (turns or last):
            raise PromptTooLong(most)
        messages = [*first, *turns, *last]
        told = ContextTold(sent=len(turns) + len(last), dropped=0 if context is None else context.dropped)
        return Prepared(models, Prompt(messages), _most_tokens(messages), max_tokens, reduced, told)

    def _started(self, call: OpenCall, prepared: Prepared, place: Place, wanted: Wanted) -> Sent:
        granted = call.granted(TOKEN_POLICY) - prepared.prompt_tokens
        models = _beginning_with(prepared.models, call)
        call.tally.details["route"] = wanted.path
        try:
            ids = _ids(call.running.caller.user_id, place, wanted)
            call.tally.answer = orjson.dumps({**asdict(ids), "model": models[0].id}).decode()
            temperature = wanted.fields.temperature
            asked = Asked(
                models=models,
                prompt=prepared.prompt,
                max_tokens=granted,
                temperature=place.temperature if temperature is None else temperature,
                reply_seconds=self.reply_seconds,
                idle_seconds=self.idle_seconds,
            )
            generation = Generation(ids, call, asked, self.providers, self.clock)
            reader = Reader(generation.text)
            with self.running.begun(generation):
                self._write(ids, call, models[0], place, wanted)
        except BaseException:
            call.released()
            raise
        start = _start(
            ids,
            models[0].id,
            max_tokens=granted,
            max_tokens_reduced=prepared.max_tokens_reduced or granted < prepared.max_tokens,
            context=prepared.context,
        )
        return Sent(ids, start, reader, call.headers)

    def _write(self, ids: Ids, call: OpenCall, model: Model, place: Place, wanted: Wanted) -> None:
        """The message and the row of its reply. Raises NotFound, ReplyRunning, ConversationFull for what changed meanwhile."""
        now = self.clock()
        with transaction() as session:
            if place.conversation_id is None:
                conversation = add_conversation(session, ids.user_id, now)
                conversation.id = ids.conversation_id
                session.flush()
            else:
                conversation = hold_conversation(session, ids.user_id, place.conversation_id)
            if place.parent_id is not None:
                _refuse_running(message_in(session, conversation.id, place.parent_id))
            shared = {"conversation_id": conversation.id, "user_id": ids.user_id, "created_at": now}
            messages: list[ChatMessage] = []
            if wanted.content is not None:
                own = ChatMessage(
                    id=ids.user_message_id,
                    parent_id=place.parent_id,
                    role=MessageRole.USER,
                    content=wanted.content,
                    state=MessageState.COMPLETE,
                    **shared,
                )
                messages = [own]
            reply = ChatMessage(
                id=ids.message_id,
                parent_id=ids.user_message_id,
                role=MessageRole.ASSISTANT,
                content="",
                state=MessageState.PENDING,
                model=model.id,
                provider=model.provider,
                request_id=call.running.request_id,
                owner=self.running.owner,
                owner_until=rows.lease(),
                **shared,
            )
            append(session, conversation, now, *messages, reply)

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


def _place(session: Session, user_id: UUID, wanted: Wanted) -> Place:
    """Raises NotFound, ReplyRunning, ConversationFull."""
    if wanted.conversation_id is None:
        return Place()
    conversation = find_conversation(session, user_id, wanted.conversation_id)
    if conversation.message_count + (1 if wanted.content is None else 2) > MOST_MESSAGES:
        raise ConversationFull
    parent_id = _parent(session, conversation, wanted)
    return Place(
        conversation.id,
        parent_id,
        conversation.system_prompt,
        conversation.model,
        conversation.max_tokens,
        conversation.temperature,
    )


def _parent(session: Session, conversation: Conversation, wanted: Wanted) -> UUID | None:
    at = None if wanted.at_beginning else wanted.at or conversation.current_leaf_id
    if at is None:
        if wanted.content is None:
            raise NotFound("The conversation has no reply yet")
        return None
    message = message_in(session, conversation.id, at)
    _refuse_running(message)
    again = wanted.content is None and message.role == MessageRole.ASSISTANT
    return message.parent_id if again else message.id


def _refuse_running(message: ChatMessage) -> None:
    if MessageState(message.state).running:
        raise ReplyRunning


def _ids(user_id: UUID, place: Place, wanted: Wanted) -> Ids:
    """Lists are in the order of new ones."""
    user_message_id = _known(place.parent_id) if wanted.content is None else uuid7()
    return Ids(user_id, place.conversation_id or uuid7(), user_message_id, uuid7())


def _beginning_with(models: Sequence[Model], call: OpenCall) -> Sequence[Model]:
    """That of the provider whose breaker let the call pass, and those behind it."""
    at = next(each for each, model in enumerate(models) if model.provider == call.tally.provider)
    return models[at:]


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
