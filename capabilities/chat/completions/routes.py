"""Completions in OpenAI's format, the models, and what is left of the day: beside predictions under /api/gateway."""

from collections.abc import Sequence

from flask import Blueprint

from auth.principal import Caller
from capabilities.chat.admit import ADMISSION_PROBLEMS
from capabilities.chat.completions.answers import ChatCompletion, CompletionChunks
from capabilities.chat.completions.bodies import LARGEST_BODY, CompletionBody
from capabilities.chat.completions.complete import MAX_TOKENS_HEADER, Completer
from capabilities.chat.completions.error_form import OPENAI_ERRORS
from capabilities.chat.completions.offer import (
    ChatUsageAnswer,
    ModelAnswer,
    ModelsAnswer,
    OpenAIModel,
    OpenAIModels,
    as_openai_says,
    offered,
    used_today,
)
from capabilities.chat.completions.read_request import read_request
from capabilities.chat.voice.work import VoiceCalls
from metering.limits import LimitsUnavailable
from metering.rate_limit_headers import METERED_HEADERS
from providers.problems import PROVIDER_PROBLEMS
from security.api.operation import Answer, Guard, operation
from security.api.request_bodies import Json
from security.edge.problems import NotFound

GATEWAY = "/api/gateway"
OPENAI = "/openai/v1"
COMPLETION_HEADERS = {
    **METERED_HEADERS,
    MAX_TOKENS_HEADER: "How long the reply may be, in tokens: less than you asked for when your day or the model has no more",
}


def completion_routes(completer: Completer, voice: VoiceCalls, default_model: str, *, guard: Guard) -> Blueprint:
    admission = completer.admission
    routes = Blueprint("chat_completions", __name__, url_prefix=GATEWAY)
    add_completion(routes, completer, "/chat/completion", "createCompletion", guard)
    add_completion(routes, completer, f"{OPENAI}/chat/completions", "createOpenAiCompletion", guard)

    @operation(
        routes,
        "GET",
        "/chat/models",
        operation_id="listChatModels",
        summary="List the models to chat with",
        guard=guard,
        answers={200: ModelsAnswer},
    )
    def models(caller: Caller) -> Answer:
        """Those of the providers that are set up, and whether your plan includes them. Costs nothing."""
        return Answer(200, ModelsAnswer(default_model=default_model, models=models_of(caller)))

    @operation(
        routes,
        "GET",
        f"{OPENAI}/models",
        operation_id="listOpenAiModels",
        summary="List the models, in OpenAI's format",
        guard=guard,
        answers={200: OpenAIModels},
        error_form=OPENAI_ERRORS,
    )
    def openai_models(caller: Caller) -> Answer:
        """The same as `GET /api/gateway/chat/models`, for clients of OpenAI's API."""
        return Answer(200, OpenAIModels(data=[as_openai_says(each) for each in models_of(caller)]))

    @operation(
        routes,
        "GET",
        f"{OPENAI}/models/<path:model_id>",
        operation_id="getOpenAiModel",
        summary="Get a model, in OpenAI's format",
        guard=guard,
        answers={200: OpenAIModel},
        problems=(NotFound,),
        error_form=OPENAI_ERRORS,
    )
    def openai_model(caller: Caller, model_id: str) -> Answer:
        """The slash in the name of a model may be written as `%2F`."""
        for each in models_of(caller):
            if each.id == model_id:
                return Answer(200, as_openai_says(each))
        raise NotFound("There is no model with this ID")

    @operation(
        routes,
        "GET",
        "/chat/usage",
        operation_id="getChatUsage",
        summary="Get today's messages, tokens and recordings",
        guard=guard,
        answers={200: ChatUsageAnswer},
        problems=(LimitsUnavailable,),
    )
    def usage(caller: Caller) -> Answer:
        """What you have used, what is held for replies in progress, and what is left in the current UTC day. Costs nothing."""
        return Answer(200, used_today(caller, *admission.usage(caller), voice=voice.usage(caller)))

    def models_of(caller: Caller) -> Sequence[ModelAnswer]:
        return offered(admission.providers, caller.tier, admission.clock().date())

    return routes


def add_completion(routes: Blueprint, completer: Completer, path: str, operation_id: str, guard: Guard) -> None:
    @operation(
        routes,
        "POST",
        path,
        operation_id=operation_id,
        summary="Complete a chat, in OpenAI's format",
        guard=guard,
        body=Json(CompletionBody, limit=LARGEST_BODY),
        answers={200: (ChatCompletion, CompletionChunks())},
        answer_headers=COMPLETION_HEADERS,
        accepts_idempotency_key=True,
        problems=(*ADMISSION_PROBLEMS, *PROVIDER_PROBLEMS),
        error_form=OPENAI_ERRORS,
    )
    def complete(caller: Caller, body: CompletionBody, idempotency_key: str | None) -> Answer:
        """Takes and answers what `POST /v1/chat/completions` of OpenAI does, for the models of all providers. OpenAI's own clients
        work with `base_url=https://…/api/gateway/openai/v1` and an API key of yours.

        Nothing is stored. It uses one message and the tokens of prompt and reply, but only when you receive a reply. If you end
        the connection, the reply is stopped, and what you had received counts. Members that change the reply and are not known here
        are refused. `tools`, `response_format`, pictures and the like need a model of OpenAI, Google or Groq.
        """
        question = read_request(body)
        if body.stream:
            return Answer(200, *completer.streamed(caller, question, idempotency_key))
        whole = completer.whole(caller, question, idempotency_key)
        return Answer(200, whole.body, whole.headers)
