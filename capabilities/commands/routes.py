"""Help with commands, beside predictions under /api/gateway. Nothing is ever run here."""

from collections.abc import Callable
from typing import Final

from flask import Blueprint
from pydantic import BaseModel

from auth.principal import Caller
from capabilities.commands.ask_model import CommandHelp
from capabilities.commands.bodies import (
    LARGEST_BODY,
    OpenRouterKeyAnswer,
    OpenRouterKeyBody,
    ShellCommandBody,
    ShellErrorBody,
    SuggestBody,
)
from capabilities.commands.provider_key import HEADER, KeySentTwice, provider_key
from capabilities.commands.tasks import EXPLAIN, EXPLAIN_ERROR, OPTIMIZE, PATH, SUGGEST, Asked, Replied, Task
from metering.metered_calls import METERED_PROBLEMS
from metering.rate_limit_headers import METERED_HEADERS
from providers.problems import (
    CallStopped,
    ContentRefused,
    CreditExhausted,
    KeyRejected,
    ModelNotUsable,
    ModelUnavailable,
    ProviderBusy,
    ProviderFailed,
    ProviderTimedOut,
    ProviderUnreachable,
)
from security.api.operation import Answer, AnyHandler, Guard, operation
from security.api.request_bodies import Json
from security.api.slots import Slots
from security.edge.problems import Problem, ValidationFailed

KEY_HEADERS: Final = {
    HEADER: "Your key for OpenRouter. Send it here or as `api_key`. It is used for this request alone and kept nowhere."
}
PROVIDER_TROUBLE: Final[tuple[type[Problem], ...]] = (
    KeySentTwice,
    ValidationFailed,
    ProviderBusy,
    ProviderFailed,
    ProviderUnreachable,
    ModelUnavailable,
    ProviderTimedOut,
    CallStopped,
)
HELP_PROBLEMS: Final[tuple[type[Problem], ...]] = (
    *METERED_PROBLEMS,
    *PROVIDER_TROUBLE,
    CreditExhausted,
    KeyRejected,
    ModelNotUsable,
    ContentRefused,
)


def commands_routes(help_: CommandHelp, *, metered: Guard, signed_in: Guard, slots: Slots) -> Blueprint:
    """`metered` admits on a cached state that the reservation checks; `signed_in` asks each time. `slots`: of looking keys up."""
    routes = Blueprint("commands", __name__, url_prefix=PATH)

    def helping(
        task: Task[Asked, Replied], operation_id: str, summary: str, body: type[BaseModel]
    ) -> Callable[[AnyHandler], AnyHandler]:
        return operation(
            routes,
            "POST",
            f"/{task.name}",
            operation_id=operation_id,
            summary=summary,
            guard=metered,
            body=Json(body, limit=LARGEST_BODY),
            request_headers=KEY_HEADERS,
            answers={200: task.answer},
            answer_headers=METERED_HEADERS,
            accepts_idempotency_key=True,
            problems=HELP_PROBLEMS,
        )

    def answer(caller: Caller, task: Task[Asked, Replied], body: Asked, idempotency_key: str | None) -> Answer:
        delivered = help_.ask(caller, task, body, provider_key(body.api_key), idempotency_key)
        return Answer(200, delivered.body, delivered.headers)

    @helping(SUGGEST, "suggestCommand", "Suggest a command", SuggestBody)
    def suggest(caller: Caller, body: SuggestBody, idempotency_key: str | None) -> Answer:
        """A model finds a command that does what you describe, and explains it. Nothing is run.

        Uses one answer of your plan, but only when you receive it, and OpenRouter charges your account there. Secrets of a known
        shape in your text are masked before the model gets it. Neither your key nor your text is kept. If you repeat a request with
        the same `Idempotency-Key`, you get the stored answer at no cost.
        """
        return answer(caller, SUGGEST, body, idempotency_key)

    @helping(EXPLAIN, "explainCommand", "Explain a command", ShellCommandBody)
    def explain(caller: Caller, body: ShellCommandBody, idempotency_key: str | None) -> Answer:
        """A model says what a command does, part by part, and how much it can destroy. Counts as a suggestion does."""
        return answer(caller, EXPLAIN, body, idempotency_key)

    @helping(EXPLAIN_ERROR, "explainError", "Explain an error", ShellErrorBody)
    def explain_error(caller: Caller, body: ShellErrorBody, idempotency_key: str | None) -> Answer:
        """A model says why a command failed, and what may help. Counts as a suggestion does.

        Send the end of what the command printed. The model gets it as data, so instructions in it have no effect.
        """
        return answer(caller, EXPLAIN_ERROR, body, idempotency_key)

    @helping(OPTIMIZE, "optimizeCommand", "Improve a command", ShellCommandBody)
    def optimize(caller: Caller, body: ShellCommandBody, idempotency_key: str | None) -> Answer:
        """A model rewrites a command so that it does the same faster, safer or in a simpler way. Counts as a suggestion does."""
        return answer(caller, OPTIMIZE, body, idempotency_key)

    @operation(
        routes,
        "POST",
        "/validate-key",
        operation_id="validateOpenRouterKey",
        summary="Check a key for OpenRouter",
        guard=signed_in,
        within=slots,
        body=Json(OpenRouterKeyBody, optional=True),
        request_headers=KEY_HEADERS,
        answers={200: OpenRouterKeyAnswer},
        problems=PROVIDER_TROUBLE,
    )
    def validate_key(caller: Caller, body: OpenRouterKeyBody | None) -> Answer:
        """Says whether OpenRouter accepts your key, and what may still be spent with it. Costs nothing and does not count."""
        del caller
        key = provider_key(None if body is None else body.api_key)
        return Answer(200, help_.look_up_key(key))

    return routes
