"""OpenRouter, with a key that its caller hands in for one call. Nothing here keeps it, and no answer holds it.

Sources: openrouter.ai/docs, "API reference", "Errors and debugging", "Structured outputs", "Provider routing", "Get current API key".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Final

import orjson
import structlog
from pydantic import SecretStr

from metering.breaker import Breaker
from providers.answer_values import NOT_TEXT, WRONG_TYPES
from providers.catalogue import Model
from providers.chat_completions import ChatCompletions
from providers.completion import Completion, Message, Prompt
from providers.http_client import HttpClient, Reply
from providers.metrics import PROVIDER_SECONDS, PROVIDER_TOKENS
from providers.problems import (
    ContentRefused,
    CreditExhausted,
    KeyRejected,
    ModelNotUsable,
    ModelUnavailable,
    ProviderBroke,
    ProviderBusy,
    ProviderFailed,
    ProviderTimedOut,
)

NAME: Final = "openrouter"
CHOSEN = "chosen"
"""The label of every model but the default one in metrics: callers may name any."""
MASK = b"[masked]"
JSON = "application/json"
MODEL_NAME = re.compile(r"[A-Za-z0-9~][A-Za-z0-9._:/-]{0,99}")
LONGEST_LABEL = 200


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What OpenRouter says of a key. Money is in US dollars; None means without a limit."""

    label: str
    limit: float | None
    limit_remaining: float | None
    usage: float
    is_free_tier: bool


class OpenRouterCompletions(ChatCompletions):
    """Errors come as a status, or within a 200: of the whole answer, or of its one choice. `model` of a completion is the one that
    answered, which a router such as openrouter/auto chose.
    """

    # The older name: a provider that must know every parameter of a request (`require_parameters`) is seldom listed with the new one.
    longest_answer = "max_tokens"

    def read(self, reply: Reply, model: Model, prompt: Prompt) -> Completion:
        if (failure := failure_in(reply)) is not None:
            raise failure
        completion = super().read(reply, model, prompt)
        answered = orjson.loads(reply.body).get("model")
        if not isinstance(answered, str) or MODEL_NAME.fullmatch(answered) is None:
            raise ProviderFailed("reply_malformed")
        return replace(completion, model=answered)


class OpenRouter:
    """One per process. `base_url` is from the settings, never from a user."""

    def __init__(self, base_url: str, http: HttpClient, *, default_model: str) -> None:
        self.breaker = Breaker()
        self.default_model = default_model
        self._base_url = base_url
        self._http = http
        self._wire = OpenRouterCompletions()

    def complete(
        self,
        key: SecretStr,
        model: str,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any],
        schema_name: str,
        max_output_tokens: int,
        deadline_seconds: float,
    ) -> Completion:
        """An answer in JSON that fits the schema, if the model keeps to it. Blocks the calling thread. Raises a ProviderFailed."""
        started, prompt, asked = perf_counter(), Prompt(messages), Model(NAME, model, pictures=False, listed=False)
        form = {"name": schema_name, "strict": True, "schema": schema}
        body = self._wire.request(
            asked,
            prompt,
            max_output_tokens=max_output_tokens,
            temperature=None,
            options={
                "response_format": {"type": "json_schema", "json_schema": form},
                "provider": {"require_parameters": True},
            },
            stream=False,
        )
        label = model if model == self.default_model else CHOSEN
        try:
            reply = self._ask("POST", self._wire.path, key, body, deadline_seconds)
            completion = self._wire.read(reply, asked, prompt)
        except ProviderFailed as failure:
            _note(failure, label, perf_counter() - started)
            raise
        PROVIDER_SECONDS.labels(NAME, label, "completed").observe(perf_counter() - started)
        PROVIDER_TOKENS.labels(NAME, label, "input").inc(completion.usage.input_tokens)
        PROVIDER_TOKENS.labels(NAME, label, "output").inc(completion.usage.output_tokens)
        return completion

    def look_up_key(self, key: SecretStr, *, deadline_seconds: float) -> KeyFacts | None:
        """None for a key that OpenRouter does not accept. It costs nothing. Raises a ProviderFailed."""
        reply = self._ask("GET", "/key", key, None, deadline_seconds)
        failure = failure_in(reply)
        if isinstance(failure, KeyRejected):
            return None
        if isinstance(failure, CreditExhausted | ContentRefused | ModelNotUsable):  # nothing of that was asked
            raise ProviderFailed(failure.reason)
        if failure is not None:
            raise failure
        return _key_facts(reply.body)

    def _ask(self, method: str, path: str, key: SecretStr, body: bytes | None, seconds: float) -> Reply:
        """Wherever the answer repeats the key, it is masked."""
        secret = key.get_secret_value()
        sent = {"Accept": JSON, "User-Agent": "mirroros", **self._wire.headers(secret)}
        if body is not None:
            sent["Content-Type"] = JSON
        reply = self._http.request(method, self._base_url + path, headers=sent, body=body, deadline_seconds=seconds)
        return replace(reply, body=reply.body.replace(secret.encode(), MASK))


def failure_in(reply: Reply) -> ProviderFailed | None:
    """None for an answer without an error."""
    try:
        document = orjson.loads(reply.body)
        choices = document.get("choices")
        error = document.get("error") or (choices[0].get("error") if choices else None)
        code = error.get("code") if error else reply.status
        metadata = error.get("metadata") if error else None
    except WRONG_TYPES:
        return None if reply.status == 200 else _failure(reply.status, None, reply.retry_after, told=False)
    if reply.status == 200 and not error:
        return None
    code = code if type(code) is int and 400 <= code < 600 else reply.status
    return _failure(code, metadata, reply.retry_after, told=bool(error))


def _failure(code: int, metadata: object, seconds: str | None, *, told: bool) -> ProviderFailed:
    """`told`: OpenRouter itself says what happened, and so it works, whatever is the matter with the model."""
    reason = f"status_{code}"
    moderated = isinstance(metadata, dict) and bool(metadata.get("reasons") or metadata.get("flagged_input"))
    if code == 403 and moderated:
        return ContentRefused("content_filter")
    if code in {401, 403}:
        return KeyRejected(reason)
    if code == 402:
        return CreditExhausted(reason)
    if code == 429:
        return ProviderBusy(seconds)
    if told and code in {400, 404}:  # an unknown model, or none of its providers takes a schema
        return ModelNotUsable(reason)
    if code in {408, 504}:
        return ProviderTimedOut()
    if told and code == 503:
        return ModelUnavailable(reason)
    if code >= 500 and not (told and code == 502):
        return ProviderBroke(reason)
    return ProviderFailed(reason)


def _key_facts(body: bytes) -> KeyFacts:
    try:
        data = orjson.loads(body)["data"]
        label, free = data["label"], data["is_free_tier"]
        limit, remaining = (_dollars(data[name], or_none=True) for name in ("limit", "limit_remaining"))
        usage = _dollars(data["usage"])
    except WRONG_TYPES:
        raise ProviderFailed("reply_malformed") from None
    if not isinstance(label, str) or NOT_TEXT.search(label) or not isinstance(free, bool) or usage is None:
        raise ProviderFailed("reply_malformed")
    return KeyFacts(label[:LONGEST_LABEL], limit, remaining, usage, free)


def _dollars(value: object, *, or_none: bool = False) -> float | None:
    """Raises TypeError for what is no amount. What remains may be below nothing."""
    if value is None and or_none:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _note(failure: ProviderFailed, label: str, seconds: float) -> None:
    PROVIDER_SECONDS.labels(NAME, label, failure.error).observe(seconds)
    structlog.get_logger().warning(failure.error, provider=NAME, reason=failure.reason)
