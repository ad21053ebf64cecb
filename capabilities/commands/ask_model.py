"""Ask a model about a command: what is special about it among metered calls (metering.metered_calls owns their order)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from pydantic import SecretStr

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.commands.bodies import ModelUsage, OpenRouterKeyAnswer
from capabilities.commands.plan_limits import FEATURE, CommandsLimits
from capabilities.commands.replies import read_reply, schema_of
from capabilities.commands.tasks import Asked, Replied, Task
from metering.limits import CALL, Burst, Draw
from metering.metered_calls import Allowance, Delivered, MeteredCalls, Running, Tally, Work
from metering.rate_limit_headers import DAY, RateLimitExceeded, TooManyFailures
from metering.windows import Window, day_of
from providers.completion import Message, Role
from providers.openrouter import NAME, OpenRouter
from providers.problems import ProviderBusy
from security.secrets.hide_secrets import hide_secrets
from security.secrets.hmac_sha256 import hmac_sha256

MOST_OUTPUT_TOKENS: Final = 4096
"""With what a model thinks."""
NOT_ASKED: Final = {"api_key", "model"}
"""Members of a body that are no part of what the model reads."""


@dataclass(frozen=True)
class CommandHelp:
    """One per process. `hash_key`: the server's key of `request_data_hash`. `provider_seconds` is the longest that OpenRouter may
    take, `longest_call` what the whole call with its settling takes at most.
    """

    calls: MeteredCalls
    openrouter: OpenRouter
    plans: Mapping[Tier, CommandsLimits]
    provider_seconds: float
    longest_call: float
    hash_key: bytes

    def ask(
        self, caller: Caller, task: Task[Asked, Replied], body: Asked, key: SecretStr, idempotency_key: str | None
    ) -> Delivered:
        """Raises a Problem for every way in which there is no answer; none of them is counted."""
        asked = body.model_dump(mode="json", exclude=NOT_ASKED)
        model = body.model or self.openrouter.default_model
        work = Work(
            feature=FEATURE,
            noun="answers",
            route=task.route,
            fingerprint=hmac_sha256(self.hash_key, orjson.dumps([task.name, model, asked])),
            idempotency_key=idempotency_key,
            lease_seconds=self.longest_call,
            allowance=self._allowance,
        )

        def perform(running: Running, tally: Tally) -> bytes:
            return self._perform(task, body, asked, running, tally, model=model, key=key)

        try:
            return self.calls.once(caller, work, perform)
        except (RateLimitExceeded, TooManyFailures) as refused:
            refused.members["limited_by"] = "plan"
            raise
        except ProviderBusy as busy:
            busy.members["limited_by"] = "provider"
            raise

    def look_up_key(self, key: SecretStr) -> OpenRouterKeyAnswer:
        """Not counted. Raises a ProviderFailed."""
        try:
            facts = self.openrouter.look_up_key(key, deadline_seconds=self.provider_seconds)
        except ProviderBusy as busy:
            busy.members["limited_by"] = "provider"
            raise
        if facts is None:
            return OpenRouterKeyAnswer(
                valid=False, label=None, limit=None, limit_remaining=None, usage=None, is_free_tier=None
            )
        return OpenRouterKeyAnswer(
            valid=True,
            label=facts.label,
            limit=facts.limit,
            limit_remaining=facts.limit_remaining,
            usage=facts.usage,
            is_free_tier=facts.is_free_tier,
        )

    def _allowance(self, caller: Caller, now: datetime) -> Allowance:
        return _allowance_of(self.plans[caller.tier], day_of(now))

    def _perform(
        self,
        task: Task[Asked, Replied],
        body: Asked,
        asked: Mapping[str, Any],
        running: Running,
        tally: Tally,
        *,
        model: str,
        key: SecretStr,
    ) -> bytes:
        data, redactions = _without_secrets(asked, key)
        tally.provider = NAME
        method, _, path = task.route.partition(" ")
        tally.details |= {"method": method, "route": path, "redactions": redactions}
        completion = self.openrouter.complete(
            key,
            model,
            [Message(Role.SYSTEM, task.instructions), Message(Role.USER, data)],
            schema=schema_of(task.reply),
            schema_name=task.name.replace("-", "_"),
            max_output_tokens=MOST_OUTPUT_TOKENS,
            deadline_seconds=self.provider_seconds,
        )
        usage = completion.usage
        tally.model = completion.model
        tally.details["estimated"] = usage.estimated
        tally.units |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        answer = task.answer(
            **task.members(body, read_reply(task.reply, completion.text)),
            redactions=redactions,
            model=completion.model,
            usage=ModelUsage(
                input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, estimated=usage.estimated
            ),
            request_id=str(running.request_id),
        )
        return answer.model_dump_json().encode()


def _without_secrets(asked: Mapping[str, Any], key: SecretStr) -> tuple[str, int]:
    """The question as one JSON document, so that no text in it ends the data, and how many secrets were masked."""
    count, data = 0, {}
    for name, value in asked.items():
        if isinstance(value, str):
            hidden = hide_secrets(value, key.get_secret_value())
            count, value = count + hidden.count, hidden.text  # noqa: PLW2901
        if value is not None:
            data[name] = value
    return orjson.dumps(data).decode(), count


@lru_cache(16)
def _allowance_of(plan: CommandsLimits, day: Window) -> Allowance:
    """Every call of a plan and day has the same."""
    return Allowance(
        draws=(Draw(DAY, FEATURE, CALL, day, plan.per_day),),
        burst=Burst(plan.burst, plan.burst_seconds),
        concurrency=plan.concurrency,
        failures_per_hour=plan.failures_per_hour,
        shed_from=1.0,
    )
