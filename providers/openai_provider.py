"""OpenAI, or another server that speaks its format, as this process calls it."""

from collections.abc import Sequence
from time import perf_counter
from urllib.parse import quote
from uuid import UUID

import structlog

from metering.breaker import Breaker
from providers.catalogue import Model
from providers.chat_completions import MODEL_NOT_FOUND, error_code, failure_of, read_completion, request_document
from providers.completion import Completion, Message, estimated_usage
from providers.health import ProviderHealth
from providers.http_client import HttpClient, Reply
from providers.metrics import PROVIDER_COST, PROVIDER_SECONDS, PROVIDER_TOKENS
from providers.problems import CallStopped, ProviderFailed, ProviderMisconfigured, ProviderTimedOut

JSON = "application/json"


class OpenAIProvider:
    """One per process, shared by all threads. `base_url` is from the settings, never from a user."""

    mock = False

    def __init__(self, name: str, base_url: str, key: str, default_model: Model, http: HttpClient) -> None:
        self.name = name
        self.default_model = default_model
        self.breaker = Breaker()
        self.health = ProviderHealth(name, self.breaker, self.try_key)
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {key}", "Accept": JSON, "User-Agent": "mirroros"}
        self._http = http

    def complete(
        self,
        model: Model,
        messages: Sequence[Message],
        *,
        max_output_tokens: int,
        deadline_seconds: float,
        request_id: UUID,
    ) -> Completion:
        """`X-Client-Request-Id` is how OpenAI's support finds a call (developers.openai.com, "Debugging requests")."""
        started = perf_counter()
        headers = {**self._headers, "Content-Type": JSON, "X-Client-Request-Id": str(request_id)}
        try:
            reply = self._http.request(
                "POST",
                f"{self._base_url}/chat/completions",
                headers=headers,
                body=request_document(model, messages, max_output_tokens),
                deadline_seconds=deadline_seconds,
            )
            completion = read_completion(reply, model, messages)
        except ProviderFailed as failure:
            if isinstance(failure, ProviderTimedOut | CallStopped) and failure.sent:
                most = estimated_usage(messages, max_output_tokens)
                failure.cost_micros = model.cost_micros(most.input_tokens, most.output_tokens)
            self._note(model, failure, perf_counter() - started)
            raise
        self.health.note(None)
        PROVIDER_SECONDS.labels(self.name, model.id, "completed").observe(perf_counter() - started)
        PROVIDER_TOKENS.labels(self.name, model.id, "input").inc(completion.usage.input_tokens)
        PROVIDER_TOKENS.labels(self.name, model.id, "output").inc(completion.usage.output_tokens)
        PROVIDER_COST.labels(self.name, model.id).inc(completion.cost_micros)
        return completion

    def try_key(self, seconds: float) -> None:
        """Ask for the description of the default model, which costs nothing. Raises a ProviderFailed.

        A server without such descriptions answers 404, and that will do.
        """
        reply = self._http.request(
            "GET",
            f"{self._base_url}/models/{quote(self.default_model.id, safe='')}",
            headers=self._headers,
            body=None,
            deadline_seconds=seconds,
        )
        if not _knows_model(reply):
            raise failure_of(reply)

    def _note(self, model: Model, failure: ProviderFailed, seconds: float) -> None:
        self.health.note(failure)
        PROVIDER_SECONDS.labels(self.name, model.id, failure.error).observe(seconds)
        PROVIDER_COST.labels(self.name, model.id).inc(failure.cost_micros)
        log = structlog.get_logger()
        tell = log.error if isinstance(failure, ProviderMisconfigured) else log.warning
        tell(failure.error, provider=self.name, model=model.id, reason=failure.reason)


def _knows_model(reply: Reply) -> bool:
    return reply.status == 200 or (reply.status == 404 and error_code(reply.body) != MODEL_NOT_FOUND)
