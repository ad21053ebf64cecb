"""The one way in of messages and completions: what a reply may use is reserved at the first provider that takes calls now.

(metering.metered_calls owns the order of it.)
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import orjson

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.chat.choose_models import LEAST_REPLY, models_for
from capabilities.chat.plan_limits import FEATURE, ChatLimits
from capabilities.chat.replies.generation import Asked
from capabilities.chat.replies.problems import ModelNotInTier, ModelUnavailable, PromptTooLong, ReplyTooLong
from database.base import Clock
from metering.breaker import BreakerIsOpen
from metering.limits import CALL, TOKENS, Ask, Burst, Draw, Standing
from metering.metered_calls import METERED_PROBLEMS, Allowance, Delivered, MeteredCalls, OpenCall, Work
from metering.rate_limit_headers import DAY, TOKEN_POLICY
from metering.windows import day_of
from providers.assembly import Providers
from providers.catalogue import Model
from providers.completion import NO_OPTIONS, Prompt
from security.edge.problems import TooBusy
from security.secrets.hmac_sha256 import hmac_sha256

METHOD = "POST"
ADMISSION_PROBLEMS = (ModelNotInTier, ModelUnavailable, PromptTooLong, ReplyTooLong, *METERED_PROBLEMS, TooBusy)
"""How messages and completions are refused alike, beside what the providers say."""


@dataclass(frozen=True)
class Request:
    """`asked` is all that it says: what says the same is the same request, whatever form the answer is to have."""

    path: str
    asked: Sequence[object]
    idempotency_key: str | None

    @property
    def route(self) -> str:
        return f"{METHOD} {self.path}"


@dataclass(frozen=True)
class Prepared:
    """What is asked of the models of a plan, in their order. `prompt_tokens` is the most that the prompt can have, `max_tokens` the
    longest reply. `dropped`: how many messages of the conversation are left out.
    """

    models: Sequence[Model]
    prompt: Prompt
    prompt_tokens: int
    max_tokens: int
    temperature: float | None
    options: Mapping[str, Any] = field(default_factory=lambda: NO_OPTIONS)
    dropped: int = 0


@dataclass(frozen=True)
class Admitted:
    """`asked` is what remains of `prepared`: the models that can be asked, and as long a reply as was granted."""

    call: OpenCall
    prepared: Prepared
    asked: Asked


@dataclass(frozen=True)
class Admission:
    """One per process. `calls` by provider. `longest_call`: what a call with its settling takes at most. `hash_key`: the server's key
    of `request_data_hash`.
    """

    calls: Mapping[str, MeteredCalls]
    providers: Providers
    plans: Mapping[Tier, ChatLimits]
    reply_seconds: float
    idle_seconds: float
    longest_call: float
    hash_key: bytes
    clock: Clock

    def admit(self, caller: Caller, request: Request, prepare: Callable[[Tier], Prepared]) -> Delivered | Admitted:
        """Raises a Problem for every way in which nothing may be asked."""
        prepared = cache(prepare)

        def allowance(who: Caller, now: datetime) -> Allowance:
            asked = prepared(who.tier)
            least = asked.prompt_tokens + min(LEAST_REPLY, asked.max_tokens)
            return self._allowance(who.tier, least, asked.prompt_tokens + asked.max_tokens, now)

        call = self._begun(caller, self._work(request, allowance), prepared(caller.tier).models)
        if isinstance(call, Delivered):
            return call
        call.tally.details |= {"method": METHOD, "route": request.path}
        return self._admitted(call, prepared(call.running.caller.tier))

    def models(self, name: str, tier: Tier) -> Sequence[Model]:
        """Raises what `models_for` raises."""
        return models_for(self.providers.catalogue, self.calls.keys(), name, tier, self.clock())

    def stored(self, user_id: UUID, request: Request) -> Delivered | None:
        """What the same request was answered before."""
        if request.idempotency_key is None:
            return None
        keys = next(iter(self.calls.values())).idempotency
        answer = keys.look(user_id, request.route, request.idempotency_key, self._fingerprint(request))
        return None if answer is None else Delivered(answer, {"Idempotency-Replayed": "true"})

    def usage(self, caller: Caller) -> tuple[Ask, Standing]:
        """Today's figures, nothing taken. Raises LimitsUnavailable."""
        work = self._work(Request("", (), None), lambda who, now: self._allowance(who.tier, 1, 1, now))
        return next(iter(self.calls.values())).usage(caller, work)

    def _begun(self, caller: Caller, work: Work, models: Sequence[Model]) -> Delivered | OpenCall:
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

    def _admitted(self, call: OpenCall, prepared: Prepared) -> Admitted:
        providers = [model.provider for model in prepared.models]
        provider = call.tally.provider  # a plan that changed a moment ago may not have it
        asked = Asked(
            models=prepared.models[providers.index(provider) if provider in providers else 0 :],
            prompt=prepared.prompt,
            max_tokens=call.granted(TOKEN_POLICY) - prepared.prompt_tokens,
            temperature=prepared.temperature,
            reply_seconds=self.reply_seconds,
            idle_seconds=self.idle_seconds,
            options=prepared.options,
        )
        return Admitted(call, prepared, asked)

    def _work(self, request: Request, allowance: Callable[[Caller, datetime], Allowance]) -> Work:
        return Work(
            feature=FEATURE,
            noun="messages",
            route=request.route,
            fingerprint=self._fingerprint(request),
            idempotency_key=request.idempotency_key,
            lease_seconds=self.longest_call,
            allowance=allowance,
        )

    def _fingerprint(self, request: Request) -> str:
        return hmac_sha256(self.hash_key, orjson.dumps([request.path, *request.asked]))

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
